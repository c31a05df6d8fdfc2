"""Reasons in words: every code has its sentence, and programs read the codes that they always did."""

from __future__ import annotations

import string
from datetime import UTC, datetime, timedelta

import pytest

from scaffold.pki.profiles import Aspect
from scaffold.plan import checks
from scaffold.plan.model import Action, Change
from scaffold.plan.reasons import Reason, ReasonCode
from scaffold.topology.address import Address, Part
from scaffold.view import reasons
from scaffold.view.reasons import sentence, sentences, shortly

STABLE = {
    "asked", "authority", "authority-key-identifier", "basic-constraints", "certificate", "chain", "content", "crl",
    "crl-due", "crl-pointer", "due", "edited", "entries", "existing", "expired", "extended-key-usage", "extension",
    "fault", "issuer", "issuer-key", "issuer-pointers", "key-encryption", "key-identifier", "key-mismatch",
    "key-missing", "key-type", "key-unreadable", "key-usage", "life", "lifetime", "missing", "must-staple",
    "name-constraints", "not-asked-for", "not-yet-valid", "ocsp-nocheck", "on-purpose", "outlives-issuer", "overwrite",
    "revoked", "rights", "sans", "signature", "stale", "staple", "staple-due", "subject", "template", "unreadable",
}  # fmt: skip
"""What programs read in the JSON of plan and apply: a contract."""


def test_programs_read_the_codes_that_they_always_did() -> None:
    assert {code.code for code in ReasonCode} >= STABLE


@pytest.mark.parametrize("code", ReasonCode)
def test_every_code_has_one_sentence_of_the_values_that_a_reason_has(code: ReasonCode) -> None:
    tables = (reasons._SENTENCES.get(code), reasons._OF_FILES.get(code))
    [said] = [one for one in tables if one is not None]
    pieces = (said,) if isinstance(said, str) else said
    named = {name for piece in pieces for _, name, _, _ in string.Formatter().parse(piece) if name}
    assert named <= {"path", "found", "wanted", "of"}
    assert sentence(Reason(code, "p", "f", "w", "o"))


@pytest.mark.parametrize("aspect", Aspect)
def test_every_aspect_of_a_certificate_has_a_code(aspect: Aspect) -> None:
    assert checks._OF_ASPECTS[aspect].code == aspect.value


def test_values_are_written_as_people_read_them() -> None:
    day = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert sentence(Reason(ReasonCode.DUE, found=day, wanted=day - timedelta(days=1))) == (
        "it expires on 2030-01-02 03:04 UTC and is due since 2030-01-01 03:04 UTC"
    )
    assert sentence(Reason(ReasonCode.CRL_LIFE, found=timedelta(days=2), wanted=timedelta(hours=1))) == (
        "it is valid for 2d, the topology says 1h"
    )
    assert sentence(Reason(ReasonCode.ENTRIES_MISSING, found=1200)) == (
        "revoked here, and not listed yet: 1,200 certificates"
    )
    assert sentence(Reason(ReasonCode.CHAIN_PENDING, of=(Address.ca("a"), Address.ca("b")))) == (
        "the intermediate certificate of ca.a, ca.b is new"
    )
    assert sentence(Reason(ReasonCode.MUST_STAPLE, wanted="status_request")) == (
        "the demand to staple is absent, the topology says status_request"
    )


def test_braces_in_a_value_are_text() -> None:
    assert sentence(Reason(ReasonCode.SUBJECT, found="CN={path}", wanted="CN={0}")) == (
        "the subject is CN={path}, the topology says CN={0}"
    )


def test_a_path_is_whole_for_programs_and_short_for_people() -> None:
    reason = Reason(ReasonCode.TEMPLATE, "clients/teller/run.sh")
    change = Change(Address.client("teller", Part.PROJECT), Action.UPDATE, (reason, reason))
    assert sentences(change) == "; ".join(["clients/teller/run.sh: the rendered text has changed"] * 2)
    assert list(map(str, shortly(change))) == ["run.sh, run.sh: the rendered text has changed"]


def missing(count: int, part: Part) -> Change:
    address = Address.client("teller").with_part(part)
    reasons = tuple(Reason(ReasonCode.MISSING, f"clients/teller/{number}.cs") for number in range(count))
    edited = Reason(ReasonCode.TEMPLATE, "clients/teller/run.sh")
    return Change(address, Action.UPDATE, (*reasons, edited))


def test_many_files_of_a_project_that_are_not_there_are_counted() -> None:
    """Somebody's two files are there before anything was applied."""
    first, second = map(str, shortly(missing(30, Part.PROJECT)))
    assert first == "the project is there in part: 30 of its files are not"
    assert second == "run.sh: the rendered text has changed"
    assert sentences(missing(30, Part.PROJECT)).count("is not there") == 30, "a program and a log have each of them"
    assert sum("is not there" in str(said) for said in shortly(missing(5, Part.PROJECT))) == 5
    assert sum("is not there" in str(said) for said in shortly(missing(30, Part.TRUST))) == 30
