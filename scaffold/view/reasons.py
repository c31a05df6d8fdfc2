"""Reasons in words: the one place where a plan's data becomes sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from scaffold.plan.model import Change
from scaffold.plan.reasons import Reason, ReasonCode, Value
from scaffold.store.layout import FOLDERS
from scaffold.topology.address import Part
from scaffold.topology.durations import format_duration

_ANOTHER_CA: Final = (
    "with another key {of} is another CA: every certificate that it signed is refused until it is replaced; to "
    "keep them, restore the key from a backup"
)

_SENTENCES: Final[Mapping[ReasonCode, tuple[str, ...]]] = {
    ReasonCode.MISSING: ("{path} is not there",),
    ReasonCode.CONTENT: ("{path} differs (see `plan --diff`)",),
    ReasonCode.STALE: ("{path} is no longer needed",),
    ReasonCode.UNREADABLE: ("{path} is not {wanted}, or a damaged one",),
    ReasonCode.INCOMPREHENSIBLE: ("{path} cannot be understood: {found}",),
    ReasonCode.KEY_MISSING: ("{path} is not there",),
    ReasonCode.KEY_UNREADABLE: (
        "{path} is not a private key, or a damaged one; it is overwritten by a new key",
    ),
    ReasonCode.KEY_LOST: (f"{{path}} is not there: {_ANOTHER_CA}",),
    ReasonCode.KEY_MISMATCH: ("{path} is not the key of {wanted}",),
    ReasonCode.REQUEST_KEY: ("the request has another key than {wanted}",),
    ReasonCode.KEY_REPLACED: (f"{{path}} is not the key that was made here: {_ANOTHER_CA}",),
    ReasonCode.KEY_TYPE: ("the key is {found}", "the topology says {wanted}"),
    ReasonCode.KEY_TYPE_UNKNOWN: ("the key is of a type that is not used here: {found}",),
    ReasonCode.REVOKED: ("it was revoked on {found}: {of}",),
    ReasonCode.KEY_OF_REVOKED: ("{path} is the key of a certificate that was revoked",),
    ReasonCode.KEY_ENCRYPTED: ("{path} is encrypted", "the topology says that it is not encrypted"),
    ReasonCode.KEY_NOT_ENCRYPTED: ("{path} is not encrypted", "the topology says that it is encrypted"),
    ReasonCode.RIGHTS: ("{path} has the rights {found}, a private key has {wanted}",),
    ReasonCode.RIGHTS_OF_FOLDER: ("{path} has the rights {found}, a folder of secrets has {wanted}",),
    ReasonCode.RIGHTS_OF_FILE: ("{path} has the rights {found}, a file with a secret has {wanted}",),
    ReasonCode.ISSUER_KEY: ("the key of its issuer {of} is new",),
    ReasonCode.ISSUER: ("the issuer is {found}", "that of {of} is {wanted}"),
    ReasonCode.SIGNATURE: ("it is not signed by the key that {of} has today",),
    ReasonCode.NOT_SELF_SIGNED: ("it is not self-signed",),
    ReasonCode.CHAIN: ("the intermediate certificates have changed",),
    ReasonCode.CHAIN_PENDING: ("the intermediate certificate of {of} is new",),
    ReasonCode.EXISTING: ("it is taken from {found}",),
    ReasonCode.SOURCE: ("{found} has the certificate with serial {of}, valid until {wanted}",),
    ReasonCode.SOURCE_KEY: ("{found} has a new key, under the certificate with serial {of}, valid until {wanted}",),
    ReasonCode.SUBJECT: ("the subject is {found}", "the topology says {wanted}"),
    ReasonCode.AUTHORITY_KEY_IDENTIFIER: ("the authority key identifier is {found}",),
    ReasonCode.KEY_IDENTIFIER: ("the subject key identifier is {found}", "the topology says {wanted}"),
    ReasonCode.BASIC_CONSTRAINTS: ("the basic constraints are {found}", "the topology says {wanted}"),
    ReasonCode.KEY_USAGE: ("the key usage is {found}", "the topology says {wanted}"),
    ReasonCode.EXTENDED_KEY_USAGE: ("the extended key usage is {found}", "the topology says {wanted}"),
    ReasonCode.SANS: ("the names are {found}", "the topology says {wanted}"),
    ReasonCode.NAME_CONSTRAINTS: ("the name constraints are {found}", "the topology says {wanted}"),
    ReasonCode.CRL_POINTER: ("the CRL's address is {found}", "the topology says {wanted}"),
    ReasonCode.ISSUER_POINTERS: ("the addresses of OCSP and issuer are {found}", "the topology says {wanted}"),
    ReasonCode.MUST_STAPLE: ("the demand to staple is {found}", "the topology says {wanted}"),
    ReasonCode.OCSP_NOCHECK: ("the exemption from OCSP is {found}", "the topology says {wanted}"),
    ReasonCode.EXTENSION: ("extension {of} is {found}", "the topology says {wanted}"),
    ReasonCode.FAULT: ("it does not have the fault of the topology: {wanted}",),
    ReasonCode.ON_PURPOSE: ("broken on purpose: {wanted}",),
    ReasonCode.NOT_YET_VALID: ("it is valid from {found}",),
    ReasonCode.OUTLIVES_ISSUER: ("it expires on {found}, after its issuer {of}, on {wanted}",),
    ReasonCode.LIFETIME: ("it expires on {found}", "later than the {wanted} that the topology gives it"),
    ReasonCode.EXPIRED: ("it expired on {found}",),
    ReasonCode.DUE: ("it expires on {found} and is due since {wanted}",),
    ReasonCode.MOMENT: ("it is valid from {found}", "by the topology's `at` from {wanted}"),
    ReasonCode.RENEWAL_ASKED: ("its renewal was requested",),
    ReasonCode.REVOCATION_ASKED: ("revoked for {wanted}: serial {of} (valid until {found})",),
    ReasonCode.RELEASE_ASKED: ("the hold on serial {of} (valid until {found}) is lifted",),
    ReasonCode.CRL_KEY: ("{of} gets a new key",),
    ReasonCode.CRL_NAME: ("{of} has a new name",),
    ReasonCode.CRL_CERTIFICATE: ("{of} gets a new certificate",),
    ReasonCode.ENTRIES_MISSING: ("revoked here, and not listed yet: {found}",),
    ReasonCode.ENTRIES_IN_COPY: ("{path} is a newer copy", "and lists revocations that are not known here: {found}"),
    ReasonCode.ENTRIES_LIFTED: ("it lists {found}, whose hold is lifted",),
    ReasonCode.CRL_LIFE: ("it is valid for {found}", "the topology says {wanted}"),
    ReasonCode.CRL_ENDLESS: ("it is no longer valid",),
    ReasonCode.CRL_NOT_YET_VALID: (
        "it is valid from {found}",
        "the clock that signed it was ahead, or this one is behind",
    ),
    ReasonCode.CRL_DUE: ("it expires on {found}, and half of its lifetime has passed",),
    ReasonCode.BUNDLE_CERTIFICATE: ("its certificate is reissued",),
    ReasonCode.BUNDLE_INPUTS: ("it was made from another certificate, chain or key, or with another protection",),
    ReasonCode.BUNDLE_FOREIGN: ("{path} differs from what scaffold wrote",),
    ReasonCode.BUNDLE_PASSWORD: ("{path} is not the password in {wanted}",),
    ReasonCode.BUNDLE_ASKED: ("{path} is made again, as requested",),
    ReasonCode.STAPLE_STATUS: ("{path} says {found}, the state says {wanted}",),
    ReasonCode.STAPLE_NOT_YET_VALID: ("{path} is valid from {found}",),
    ReasonCode.STAPLE_EXPIRED: ("{path} expired on {found}",),
    ReasonCode.STAPLE_DUE: ("{path} expires on {found}, and half of its lifetime has passed",),
    ReasonCode.NO_PROJECT: ("{path} has no project yet",),
    ReasonCode.OVERWRITE: ("{path} is overwritten by the template's text, as requested",),
    ReasonCode.NO_APP: ("{path} is not there", "and is made from {wanted}"),
    ReasonCode.NOT_ITS_TEMPLATES: ("{path} is there", "and was not made from a template"),
    ReasonCode.NEWER_TEMPLATE: ("the template is at {wanted}", "it was made at {found}"),
    ReasonCode.OTHER_ANSWERS: ("it was made from another template, or with other answers",),
    ReasonCode.CHECK_NOT_IN_FORCE: (
        "check_revocation: {wanted} is not in force until then: it is {found}, as before",
    ),
    ReasonCode.STILL_LISTENS: (
        "it listens on {found} until then, as before",
        "and its callers dial {wanted} already",
    ),
    ReasonCode.NOT_LET_IN: ("not let in until then: {of}",),
    ReasonCode.ROLES_GIVEN: ("roles are given: {of}",),
    ReasonCode.ROLES_TAKEN: ("roles are taken away: {of}",),
    ReasonCode.ROLES_NOT_IN_FORCE: ("not in force until then, roles: {of}",),
    ReasonCode.STILL_LET_IN: ("still let in until then: {of}",),
    ReasonCode.NOT_RENDERED: ("{path} is no longer rendered",),
    ReasonCode.GONE: ("{of} is not in the topology any more",),
    ReasonCode.GONE_WITH_KEY: (
        "{of} is not in the topology any more, and its private key is deleted for good",
    ),
    ReasonCode.CALLS_NOBODY: ("{of} makes no calls",),
    ReasonCode.NO_PFX: ("{of} has no pfx",),
    ReasonCode.NO_FILES: ("{of} has no such files",),
    ReasonCode.OWNER: ("{path} belongs to {found}", "the topology says {wanted}"),
}  # fmt: skip
"""In one piece, or in two that are on lines of their own where they are long."""

_OF_FILES: Final[Mapping[ReasonCode, str]] = {
    ReasonCode.STAPLE_CERTIFICATE: "its certificate is reissued",
    ReasonCode.STAPLE_WRONG: "{found}",
    ReasonCode.AUTHORITY: "a CA that it holds gets a new certificate",
    ReasonCode.AUTHORITY_KEY: "a CA that it names gets a new key",
    ReasonCode.CRL_PENDING: "a CRL is signed again",
    ReasonCode.CRL_PENDING_DUE: "a CRL is signed again, because it is due",
    ReasonCode.CRL_SUPERSEDED: "a CRL was signed again, and the one that is there is still valid",
    ReasonCode.FOLLOWS: "its contents change",
    ReasonCode.NOT_ITS_SOURCES: "its contents differ",
    ReasonCode.TEMPLATE: "the rendered text has changed",
    ReasonCode.EDITED: "your edit and a change of the template conflict; both are written to {wanted}",
    ReasonCode.NO_BASE: (
        "it was edited, a template has changed, and the text that was rendered before is not kept; both texts "
        "are written to {wanted}"
    ),
    ReasonCode.BESIDE_TAKEN: "your edit and a change of the template conflict; {wanted} is not changed",
    ReasonCode.NO_TEXT: (
        "it was edited, a template has changed, and they cannot be merged, "
        "since one is not UTF-8 text, or has more than 1 MiB"
    ),
    ReasonCode.NO_FILE: "it is not a regular file: move it away",
    ReasonCode.MERGED: "the rendered text has changed, and is merged into your edit",
    ReasonCode.MERGED_BEFORE: "the rendered text has changed, and your edit has that change already",
    ReasonCode.DRIFTED: "it differs (see --diff); your text is kept in {wanted}",
    ReasonCode.DRIFT_STAYS: (
        "it differs, and the text that was rendered before is not kept: it is not changed until you settle the conflict"
    ),
    ReasonCode.RESOLVED: "it is replaced by your merge in {wanted}",
    ReasonCode.RESOLVED_MINE: "your text is kept, as you decided",
    ReasonCode.WITHDRAWN: "the template no longer has that change; your text is kept",
    ReasonCode.NOT_EXECUTABLE: "it is made executable again, as requested",
    ReasonCode.HELD: "waits until then",
    ReasonCode.NOT_OURS: "it existed before; its text and the template's are written to {wanted}",
}
"""What is said after the file's path: where it is the same of several files, they are named once."""


@dataclass(frozen=True, slots=True)
class Said:
    """What is said, in pieces between which a comma is, and of which files."""

    pieces: tuple[str, ...]
    paths: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = ", ".join(self.pieces)
        return f"{', '.join(self.paths)}: {text}" if self.paths else text


def sentence(reason: Reason) -> str:
    """The reason in one sentence, with whole paths."""
    return str(_said(reason, reason.path or ""))


def sentences(change: Change) -> str:
    """All reasons of a change, in one line."""
    return "; ".join(map(sentence, change.reasons))


NAMED_FILES: Final = 5
"""So many files of a project are named for a reason that can be counted; more are counted."""

_COUNTED: Final[Mapping[ReasonCode, str]] = {
    ReasonCode.MISSING: "the project is there in part: {count} of its files are not",
}


def _counted(change: Change) -> Mapping[str, list[Reason]]:
    """The reasons of a project's files that are counted, by what is said of their number."""
    if change.address.part is not Part.PROJECT:
        return {}
    alike: dict[str, list[Reason]] = {}
    for reason in change.reasons:
        alike.setdefault(_COUNTED.get(reason.code, ""), []).append(reason)
    return {words: of_it for words, of_it in alike.items() if words and len(of_it) > NAMED_FILES}


def shortly(change: Change) -> Iterator[Said]:
    """The reasons of a change: paths relative to the entity's own folder, what is the same of several files once."""
    folder = f"{FOLDERS[change.address.role]}/{change.address.name}/"
    files: dict[tuple[str, ...], list[str]] = {}
    counted = _counted(change)
    yield from (Said((words.format(count=len(of_it)),)) for words, of_it in counted.items())
    told = [reason for of_it in counted.values() for reason in of_it]
    for reason in (one for one in change.reasons if one not in told):
        said = _said(reason, (reason.path or "").removeprefix(folder))
        files.setdefault(said.pieces, []).extend(said.paths)
    for pieces, paths in files.items():
        yield Said(pieces, tuple(paths))


def _said(reason: Reason, path: str) -> Said:
    values = {"path": path, "found": _value(reason.found), "wanted": _value(reason.wanted), "of": _value(reason.of)}
    of_file = _OF_FILES.get(reason.code)
    if of_file is not None:
        return Said((of_file.format_map(values),), (path,))
    return Said(tuple(piece.format_map(values) for piece in _SENTENCES[reason.code]))


def _value(value: Value) -> str:
    match value:
        case None:
            return "absent"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M} UTC"
        case timedelta():
            return format_duration(value)
        case int():
            return f"{value:,} certificates"
        case tuple():
            return ", ".join(map(str, value))
        case _:
            return str(value)
