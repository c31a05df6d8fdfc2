"""What a check of verify that went the wrong way means, and what to do about it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from scaffold.plan.drift import changed_files
from scaffold.plan.model import Change
from scaffold.store.layout import party_paths
from scaffold.topology.address import Address
from scaffold.verify.model import Check, Observed, Probe

_RESTORE: Final = (
    "`scaffold plan` says whether a file was edited, and `scaffold apply` restores it. Where nothing differs, it is "
    "the template: `scaffold templates check` tries all that it must do."
)

_LETS_IN_STRANGER: Final = "{server} lets in {client}, which may not call it: its allow list"

_LETS_IN: Final[Mapping[Probe, str]] = {
    Probe.EDGE: "{server} lets in {client}, whose certificate is broken on purpose or revoked.",
    Probe.NOT_ALLOWED: f"{_LETS_IN_STRANGER} is not asked.",
    Probe.OTHER_SUBJECT: "{server} believes what a caller says of itself, and not its certificate.",
    Probe.NO_CERTIFICATE: "{server} demands no certificate: whoever reaches its port gets in.",
    Probe.FOREIGN_CA: "{server} trusts a CA by its name alone: anybody can make a CA of that name.",
    Probe.SIBLING_CA: "{server} does not look at which CA below its root has signed.",
    Probe.SAME_NAME_CA: "{server} tells CAs apart by their names alone, and two have the same.",
    Probe.SELF_SIGNED: "{server} does not verify who has signed a certificate.",
    Probe.EXPIRED: "{server} does not look at the end of a certificate.",
    Probe.NOT_YET_VALID: "{server} does not look at the beginning of a certificate.",
    Probe.SERVER_CERTIFICATE: "{server} does not look at the purpose: a server's certificate gets in as a client's.",
    Probe.NO_EKU: "{server} takes a certificate without any purpose for a client's.",
    Probe.ISSUED_BY_LEAF: "{server} lets a leaf sign others: whoever has any certificate can make more.",
    Probe.OLD_TLS: "{server} speaks a version of TLS below the profile that the topology asks for.",
    Probe.REVOKED: "{server} does not look up revocation: a revoked certificate gets in until it ends.",
    Probe.REVOKED_CA: "{server} does not look up whether a CA of the chain is revoked.",
    Probe.FALSE_NAME: "{client} does not compare the server's name: any server below the root can pose as {server}.",
    Probe.FALSE_COMMON_NAME: (
        "{client} takes a common name for a host's name: any server below the root whose common name is that of "
        "{server} can pose as it."
    ),
    Probe.FALSE_LONE_COMMON_NAME: (
        "{client} takes a common name for a host's name where there is no other: whoever has a certificate with that "
        "of {server} can pose as it."
    ),
    Probe.FALSE_EXPIRED: "{client} does not look at the end of a server's certificate.",
    Probe.FALSE_ROOT: "{client} trusts a root that is not the topology's: anybody can pose as {server}.",
    Probe.FALSE_EKU: "{client} does not look at the purpose: any client can pose as {server}.",
    Probe.FALSE_REVOKED: "{client} does not look up whether {server} is revoked.",
}
"""Of what gets in, or is believed, although it must not be."""

_LETS_IN_UNCHECKED: Final = (
    "Nobody could say whether the certificate is revoked, and it was let in: `on_unavailable: refuse` forbids that."
)

_TAKES_NO_COMMON_NAME: Final = (
    "{client} is stricter than its template declares: it takes no common name for a host's name."
)

_REFUSES: Final[Mapping[Probe, str]] = {
    Probe.CONTROL: "Even a fresh certificate without a fault is refused: the refusals above prove nothing yet.",
    Probe.STAPLE: "{server} staples no good OCSP response to its certificate.",
    Probe.HEALTH: "The health port must answer 200 on /healthz, and 404 elsewhere.",
    Probe.FORGED_HEADERS: "A caller that sends identity headers must be let in as itself.",
    Probe.FALSE_COMMON_NAME: _TAKES_NO_COMMON_NAME,
    Probe.FALSE_LONE_COMMON_NAME: _TAKES_NO_COMMON_NAME,
    Probe.TRUE_SERVER: "{client} refuses a sound certificate: its refusals of false servers prove nothing yet.",
}
"""Of what is refused although it must not be, where `expected` and `seen` do not say all."""

_EXPLAIN: Final = "`scaffold explain {client} {server}` goes through each check with the file and line that makes it."

_OUTPUT: Final = "`scaffold up --only {address}` shows what the server prints meanwhile."

_RESTORE_THERE: Final = (
    "What runs there is not what `scaffold apply` has made: bring the folder of {address} to its host again, and "
    "start it again. `scaffold verify` without --running says whether the folder itself is right."
)

_REACH: Final = "Start {address} there, or correct its `address` in the topology; a firewall may stand between."

_OUTPUT_THERE: Final = "Look at what {address} prints where it runs."


def meaning(check: Check, drift: Collection[Change] = ()) -> str | None:
    """What a failed check says of its server or client, in one sentence, where that is not plain.

    `drift` is what was not as the topology says before.
    """
    match check.observed:
        case Observed.UNREACHABLE:
            return "Nobody answered."
        case Observed.ALLOWED:
            said: str | None = _LETS_IN.get(check.probe, _LETS_IN_UNCHECKED)
            if check.probe is Probe.NOT_ALLOWED and (files := _changed(check.server, drift)):
                said = f"{_LETS_IN_STRANGER} is not as the topology says ({files})."
        case Observed.REFUSED:
            said = _REFUSES.get(check.probe)
        case _:
            said = "That is neither a welcome nor a refusal, so it proves nothing."
    return said.format(client=check.client, server=check.server) if said is not None else None


def _changed(server: str, drift: Collection[Change]) -> str:
    """Which files that decide who may call a server were changed: `tls/allowed.json differs`."""
    address = Address.server(server)
    folder = f"{party_paths(address.role, server).folder}/"
    files = [path.removeprefix(folder) for path in changed_files(drift).get(address, ())]
    return f"{', '.join(files)} {'differs' if len(files) == 1 else 'differ'}" if files else ""


def remedy(check: Check) -> str:
    """The next command, which is the same for many failures of one server."""
    match check.observed:
        case Observed.ALLOWED:
            said = _RESTORE
        case Observed.REFUSED:
            said = _EXPLAIN if check.probe in (Probe.EDGE, Probe.CONTROL) else _RESTORE
        case _:
            said = _OUTPUT
    return said.format(client=check.client, server=check.server, address=Address.server(check.server))


def remedy_there(check: Check) -> str:
    """The same of a server that runs by itself, which nobody here has started."""
    match check.observed:
        case Observed.UNREACHABLE:
            said = _REACH
        case Observed.ALLOWED:
            said = _RESTORE_THERE
        case Observed.REFUSED:
            said = _EXPLAIN if check.probe in (Probe.EDGE, Probe.CONTROL) else _RESTORE_THERE
        case _:
            said = _OUTPUT_THERE
    return said.format(client=check.client, server=check.server, address=Address.server(check.server))
