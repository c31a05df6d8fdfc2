"""The templates that a draft names: of those there are, the first that takes every certificate that was found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from scaffold.kinds.catalogue import Kind
from scaffold.pki import permits
from scaffold.pki.chains import Path
from scaffold.pki.names import rfc2253
from scaffold.topology.model import IdentityForm
from scaffold.topology.names import form_of


@dataclass(frozen=True, slots=True)
class Caller:
    """A client with a certificate from elsewhere: its identities, the best first, and if it says its purpose."""

    who: str
    identities: Sequence[str]
    says_purpose: bool


@dataclass(frozen=True, slots=True)
class Fitting:
    """A template, why it is not the one before it in the order of preference, and what even this one does not take."""

    kind: Kind
    instead: str | None
    objections: Sequence[str]


def fitting(kinds: Sequence[Kind], paths: Sequence[Path], callers: Sequence[Caller] = ()) -> Fitting:
    """The first of `kinds`, which are in order of preference, that takes the CAs of `paths` and knows all `callers`.

    Where none does it is one that objects to fewest of them.
    """
    objections = {kind.name: tuple(_objections(kind, paths, callers)) for kind in kinds}
    best = min(kinds, key=lambda kind: len(objections[kind.name]))
    preferred = objections[kinds[0].name]
    instead = f"not {kinds[0].name}: {preferred[0]}" if best is not kinds[0] else None
    return Fitting(best, instead, objections[best.name])


def identity_for(kind: Kind, identities: Sequence[str]) -> str:
    """By which of its identities, the best of which comes first, a caller is known to a server of that kind."""
    seen = kind.capabilities.sees_callers_by
    return next((one for one in identities if form_of(one) in seen), identities[0])


def _objections(kind: Kind, paths: Sequence[Path], callers: Sequence[Caller]) -> Iterator[str]:
    """What a kind refuses of what was found, by what it declares, each as a sentence goes on after its name."""
    can = kind.capabilities
    if "strict_x509" in can.supports:
        findings = (one for path in paths for one in permits.strict_refusals(path))
        yield from dict.fromkeys(
            f"it refuses certificates below {rfc2253(one.certificate.subject) or 'a CA'}, which {one.words}"
            for one in findings
        )
    for caller in callers:
        if not any(form_of(one) in can.sees_callers_by for one in caller.identities):
            yield f"it cannot identify {caller.who} by its {_FORMS[form_of(caller.identities[0])]}"
        elif "demands_eku" in can.supports and not caller.says_purpose:
            yield f"it refuses {caller.who}, which has no extended key usage"


_FORMS: Final = {IdentityForm.URI: "URI", IdentityForm.DNS: "DNS name", IdentityForm.SUBJECT: "subject"}
