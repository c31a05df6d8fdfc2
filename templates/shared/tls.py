"""The TLS contexts, made from what lies in tls/ and made again when that changes."""

from __future__ import annotations

import hashlib
import logging
import math
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import policy
from peer import Allowed, CallerContext, Peer, load_allowed
from policy import Policy
from revocation import Checker

log = logging.getLogger("tls")

TRUST = ("ca.pem", "intermediates.pem", "crl.pem", "policy.json")

UNUSABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""What is raised for files that cannot be used, JSON that is nested too deeply among them."""


@dataclass(frozen=True)
class Material:
    """One consistent reading of tls/. `trust` changes when the roots, intermediates, CRLs or demands do.

    `clients` are for calls to other servers, one for each by its name; `checker` asks whether callers, and servers that
    are called, are revoked, None where the handshake does or nobody. `holds_until`: when an intermediate ends that the
    contexts know (Unix seconds).
    """

    server: CallerContext
    clients: Mapping[str, ssl.SSLContext]
    policy: Policy
    checker: Checker | None
    allowed: Mapping[Peer, Allowed]
    trust: str
    holds_until: float


class Store:
    """Holds the current material. What does not load (a pair renamed half, say) leaves the old one in place.

    `context` is of what kind the contexts for callers are.
    """

    context = CallerContext

    def __init__(self, folder: Path) -> None:
        """Raises one of UNUSABLE where it does not load."""
        self._folder = folder
        self._seen = _fingerprint(folder)
        self._complaint = ""
        self.current = self._load(None)

    def refresh(self) -> bool:
        """Takes up a changed tls/; whether connections made before must not go on, since the trust changed.

        A hash of the contents sees what no file event tells of: a secret swapped by symlink, a folder made again.
        """
        before = self.current
        try:
            seen = _fingerprint(self._folder)
            if seen == self._seen and time.time() < before.holds_until:
                self._complaint = ""
                return False
            material = self._load(before)
        except UNUSABLE as error:
            self._complain(f"{self._folder}/ does not load, the old material serves on: {explain(error)}")
            return False
        # The reference is swapped and the old context left alone: loading into a live one can crash the process.
        self.current = material
        self._seen, self._complaint = seen, ""
        log.info("%s/ was reloaded", self._folder)
        return material.trust != before.trust

    def _complain(self, message: str) -> None:
        if message != self._complaint:
            log.warning(message)
            self._complaint = message

    def _load(self, before: Material | None) -> Material:
        # First: what changes meanwhile is of another trust than the next reading.
        trust = _digest([self._folder / name for name in TRUST])
        demanded = policy.load(self._folder / "policy.json")
        known = _still_valid(self._folder / "intermediates.pem")
        return Material(
            server=_server_context(self.context(ssl.PROTOCOL_TLS_SERVER), self._folder, demanded, known, trust),
            clients=_client_contexts(self._folder, demanded, known),
            policy=demanded,
            checker=self._checker(demanded, before),
            allowed=load_allowed(self._folder / "allowed.json"),
            trust=trust,
            holds_until=known.until,
        )

    def _checker(self, demanded: Policy, before: Material | None) -> Checker | None:
        """The one that is there, for as long as the rules are the same: it remembers answers."""
        if before is not None and before.policy.revocation == demanded.revocation:
            return before.checker
        return Checker(self._folder, demanded.revocation) if demanded.revocation is not None else None


def explain(error: Exception) -> str:
    """What went wrong, in one line."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename} cannot be read: {error.strerror}"
    return f"{type(error).__name__}: {error}"


@dataclass(frozen=True)
class _Intermediates:
    """Certificates in DER, one after the other, and when the first of them ends."""

    certificates: bytes
    until: float


def _still_valid(file: Path) -> _Intermediates:
    """The certificates of a PEM file that have not expired.

    OpenSSL takes an intermediate from here before one of the same name that the peer sends: an expired one would
    shut out who sends its successor.
    """
    if not file.exists() or b"BEGIN CERTIFICATE" not in file.read_bytes():
        return _Intermediates(b"", math.inf)
    reader = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    reader.load_verify_locations(file)
    ends = [ssl.cert_time_to_seconds(str(shown["notAfter"])) for shown in reader.get_ca_certs()]
    encoded = reader.get_ca_certs(binary_form=True)
    now = time.time()
    valid = [(end, certificate) for end, certificate in zip(ends, encoded, strict=True) if end > now]
    until = min((end for end, _ in valid), default=math.inf)
    return _Intermediates(b"".join(certificate for _, certificate in valid), until)


def _server_context(
    context: CallerContext, folder: Path, demanded: Policy, known: _Intermediates, trust: str
) -> CallerContext:
    """For connections from callers: no certificate, or none that these roots vouch for, means no connection."""
    context.chains, context.trust = {}, trust
    _apply_profile(context, demanded)
    context.load_cert_chain(_readable(folder / "cert.pem"), _readable(folder / "key.pem"))
    context.verify_mode = ssl.CERT_REQUIRED
    # The topology's roots alone; the system's are never loaded.
    _load_trust(context, folder / "ca.pem", known)
    _look_up_in_crls(context, folder, demanded)
    # No tickets: they would resume sessions past a new CRL, and past this context.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    # A caller who hangs up between two requests is no error; HTTP itself says where a request ends.
    context.options |= ssl.OP_IGNORE_UNEXPECTED_EOF
    context.set_alpn_protocols(["http/1.1"])
    return context


def _client_contexts(folder: Path, demanded: Policy, known: _Intermediates) -> Mapping[str, ssl.SSLContext]:
    """For connections to others, by their names. Who leads to the same roots as another shares its context."""
    kinds = {name: (roots, name not in demanded.from_elsewhere) for name, roots in demanded.trust.items()}
    contexts = {kind: _client_context(folder, demanded, known, *kind) for kind in set(kinds.values())}
    return {name: contexts[kind] for name, kind in kinds.items()}


def _client_context(
    folder: Path, demanded: Policy, known: _Intermediates, roots: str, looked_up: bool
) -> ssl.SSLContext:
    """With this server's second certificate, trusting `roots`. Name and chain are checked by default."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.hostname_checks_common_name = False  # names are subject alternative names (RFC 9525 2)
    _apply_profile(context, demanded)
    context.load_cert_chain(_readable(folder / "client-cert.pem"), _readable(folder / "client-key.pem"))
    _load_trust(context, folder / roots, known)
    if looked_up:
        _look_up_in_crls(context, folder, demanded)
    return context


def _apply_profile(context: ssl.SSLContext, demanded: Policy) -> None:
    """Mozilla's guideline 6.0; the groups are in tls/openssl.cnf."""
    context.minimum_version = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}[
        demanded.min_version
    ]
    if demanded.ciphers:
        context.set_ciphers(":".join(demanded.ciphers))
    context.options |= ssl.OP_NO_RENEGOTIATION


def _load_trust(context: ssl.SSLContext, roots: Path, known: _Intermediates) -> None:
    """Trusts the roots; the intermediates only help to build chains, so that a peer may send its leaf alone."""
    context.load_verify_locations(_readable(roots))
    if known.certificates:
        context.load_verify_locations(cadata=known.certificates)
    # PARTIAL_CHAIN (on by default in some contexts since Python 3.13) would make anchors of the intermediates.
    context.verify_flags &= ~ssl.VERIFY_X509_PARTIAL_CHAIN
    # RFC 5280 to the letter: CA flags, key identifiers, critical extensions.
    context.verify_flags |= ssl.VERIFY_X509_STRICT


def _look_up_in_crls(context: ssl.SSLContext, folder: Path, demanded: Policy) -> None:
    if demanded.check_crl:
        # Without the flag the CRLs are loaded and ignored. CHAIN asks one of every CA, so intermediates can be revoked.
        context.load_verify_locations(_readable(folder / "crl.pem"))
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN


def _readable(file: Path) -> Path:
    """The file, which may be read. Raises OSError with its name, which Python's ssl module leaves out."""
    file.open("rb").close()
    return file


def _fingerprint(folder: Path) -> str:
    return _digest(sorted(path for path in folder.iterdir() if path.is_file()))


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        try:
            content = file.read_bytes()
        except OSError:  # renamed or removed this moment, or never there
            continue
        digest.update(f"{file.name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
