"""Why something is to be done, as data: a code and the values that differ. `view` makes sentences of it.

Nothing is decided on a reason: what is decided on (it is due, it can wait, a person is asked) are fields of the change.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta

from scaffold.topology.address import Address

Value = str | int | datetime | timedelta | Address | tuple[Address, ...] | None
"""A date is aware UTC; an integer counts certificates; None is what is absent."""


class ReasonCode(enum.Enum):
    """What is the matter. A value begins with the stable code that programs read; several may share one."""

    # --- Of any file
    MISSING = "missing"
    CONTENT = "content"
    STALE = "stale"
    UNREADABLE = "unreadable"
    INCOMPREHENSIBLE = "unreadable/understood"

    # --- Of a certificate's key
    KEY_MISSING = "key-missing"
    KEY_LOST = "key-missing/ca"
    """Of a CA that has issued: with another key it is another CA."""
    KEY_UNREADABLE = "key-unreadable"
    KEY_MISMATCH = "key-mismatch"
    KEY_REPLACED = "key-mismatch/ca"
    REQUEST_KEY = "key-mismatch/request"
    KEY_TYPE = "key-type"
    KEY_TYPE_UNKNOWN = "key-type/unknown"
    REVOKED = "revoked"
    KEY_OF_REVOKED = "revoked/key"
    KEY_ENCRYPTED = "key-encryption"
    KEY_NOT_ENCRYPTED = "key-encryption/missing"
    RIGHTS = "rights"
    RIGHTS_OF_FOLDER = "rights/folder"
    RIGHTS_OF_FILE = "rights/secret"

    # --- Of a certificate's issuer
    ISSUER_KEY = "issuer-key"
    ISSUER = "issuer"
    SIGNATURE = "signature"
    NOT_SELF_SIGNED = "signature/self-signed"
    CHAIN = "chain"
    CHAIN_PENDING = "chain/pending"
    EXISTING = "existing"
    SOURCE = "existing/certificate"
    """The source of an adopted leaf has another certificate than `tls/`."""
    SOURCE_KEY = "existing/key"

    # --- Of what a certificate says: the codes of `pki.profiles.Aspect`
    SUBJECT = "subject"
    AUTHORITY_KEY_IDENTIFIER = "authority-key-identifier"
    KEY_IDENTIFIER = "key-identifier"
    BASIC_CONSTRAINTS = "basic-constraints"
    KEY_USAGE = "key-usage"
    EXTENDED_KEY_USAGE = "extended-key-usage"
    SANS = "sans"
    NAME_CONSTRAINTS = "name-constraints"
    CRL_POINTER = "crl-pointer"
    ISSUER_POINTERS = "issuer-pointers"
    MUST_STAPLE = "must-staple"
    OCSP_NOCHECK = "ocsp-nocheck"
    EXTENSION = "extension"
    FAULT = "fault"
    ON_PURPOSE = "on-purpose"

    # --- Of a certificate's life
    NOT_YET_VALID = "not-yet-valid"
    OUTLIVES_ISSUER = "outlives-issuer"
    LIFETIME = "lifetime"
    EXPIRED = "expired"
    DUE = "due"
    MOMENT = "at"
    """Of a reproducible topology, whose `at` decides on all dates."""

    # --- What a person asks for
    RENEWAL_ASKED = "asked"
    REVOCATION_ASKED = "asked/revoked"
    RELEASE_ASKED = "asked/released"

    # --- Of a CRL
    CRL_KEY = "issuer-key/crl"
    CRL_NAME = "issuer/crl-name"
    CRL_CERTIFICATE = "issuer/crl-certificate"
    ENTRIES_MISSING = "entries"
    ENTRIES_IN_COPY = "entries/copy"
    """A copy is newer than the CRL of its CA: that, or the state, was put back from a backup."""
    ENTRIES_LIFTED = "entries/lifted"
    CRL_LIFE = "life"
    CRL_ENDLESS = "expired/endless"
    CRL_NOT_YET_VALID = "not-yet-valid/crl"
    CRL_DUE = "crl-due"

    # --- Of a bundle
    BUNDLE_CERTIFICATE = "certificate"
    BUNDLE_INPUTS = "content/inputs"
    BUNDLE_FOREIGN = "content/foreign"
    BUNDLE_PASSWORD = "password"  # noqa: S105 - the name of a reason
    BUNDLE_ASKED = "overwrite/bundle"

    # --- Of a staple
    STAPLE_CERTIFICATE = "certificate/staple"
    STAPLE_WRONG = "staple"
    STAPLE_STATUS = "revoked/staple"
    STAPLE_NOT_YET_VALID = "not-yet-valid/staple"
    STAPLE_EXPIRED = "expired/staple"
    STAPLE_DUE = "staple-due"

    # --- Of what is in `tls/`
    AUTHORITY = "authority"
    AUTHORITY_KEY = "authority/key"
    CRL_PENDING = "crl"
    CRL_PENDING_DUE = "crl-due/pending"
    CRL_SUPERSEDED = "crl-due/superseded"

    # --- Of what is made of other files there
    FOLLOWS = "derived"
    NOT_ITS_SOURCES = "content/derived"
    OWNER = "owner"

    # --- Of a project
    NO_PROJECT = "missing/project"
    OVERWRITE = "overwrite"
    TEMPLATE = "template"
    NOT_RENDERED = "stale/rendered"
    EDITED = "edited"
    NOT_OURS = "edited/foreign"
    BESIDE_TAKEN = "edited/beside"
    NO_BASE = "edited/no-base"
    NO_TEXT = "edited/no-text"
    NO_FILE = "edited/no-file"
    MERGED = "merged"
    MERGED_BEFORE = "merged/before"
    DRIFTED = "content/edited"
    DRIFT_STAYS = "content/unknown"
    """The text that was last rendered is not kept, and another one must not take its place yet."""
    RESOLVED = "resolved"
    RESOLVED_MINE = "resolved/mine"
    WITHDRAWN = "resolved/withdrawn"
    NOT_EXECUTABLE = "overwrite/executable"
    HELD = "held"
    CHECK_NOT_IN_FORCE = "not-in-force"
    STILL_LISTENS = "not-in-force/listen"
    NOT_LET_IN = "not-in-force/callers"
    ROLES_GIVEN = "roles/given"
    ROLES_TAKEN = "roles/taken"
    ROLES_NOT_IN_FORCE = "not-in-force/roles"
    STILL_LET_IN = "not-in-force/former-callers"

    # --- Of an app from a template
    NO_APP = "missing/app"
    NOT_ITS_TEMPLATES = "edited/app"
    """Something takes its place that no template has made."""
    NEWER_TEMPLATE = "template/version"
    OTHER_ANSWERS = "template/answers"

    # --- Of what is not asked for any more
    GONE = "not-asked-for"
    GONE_WITH_KEY = "not-asked-for/key"
    CALLS_NOBODY = "not-asked-for/calls"
    NO_PFX = "not-asked-for/pfx"
    NO_FILES = "not-asked-for/files"

    @property
    def code(self) -> str:
        """What programs read."""
        return self.value.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Reason:
    """One difference. Never holds a secret.

    `path`: the file, relative to the output folder. `found` and `wanted`: what is there, and what should be. `of`: what
    else it concerns, such as the issuer, an extension or a serial number.
    """

    code: ReasonCode
    path: str | None = None
    found: Value = None
    wanted: Value = None
    of: Value = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A reason, and whether what is there will do for a while: it is only due."""

    reason: Reason
    can_wait: bool = False
