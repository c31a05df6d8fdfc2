"""The TLS contexts, made from what lies in tls/ and made anew when that changes."""

from __future__ import annotations

import hashlib
import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from peer import Allowed, CallerContext, Peer, load_allowed
from settings import Tls

log = logging.getLogger("tls")


@dataclass(frozen=True)
class Material:
    """One consistent reading of tls/. `trust` changes when the roots, intermediates or CRLs do."""

    server: ssl.SSLContext
    allowed: Mapping[Peer, Allowed]
    trust: str


class Store:
    """Holds the current material. What does not load (a pair renamed half, say) leaves the old one in place."""

    def __init__(self, folder: Path, settings: Tls) -> None:
        self._folder = folder
        self._settings = settings
        self._seen = _fingerprint(folder)
        self._complaint = ""
        self.current = self._load()

    def refresh(self) -> bool:
        """Takes up a changed tls/; whether connections made before must not go on, since the trust changed.

        A hash of the contents sees what no file event tells of: a secret swapped by symlink, a folder made anew.
        """
        seen = _fingerprint(self._folder)
        if seen == self._seen:
            return False
        try:
            material = self._load()
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            self._complain(f"{self._folder}/ does not load, the old material serves on: {error}")
            return False
        # The reference is swapped and the old context left alone: loading into a live one can crash the process.
        before, self.current = self.current, material
        self._seen, self._complaint = seen, ""
        log.info("%s/ was reloaded", self._folder)
        return material.trust != before.trust

    def _complain(self, message: str) -> None:
        if message != self._complaint:
            log.warning(message)
            self._complaint = message

    def _load(self) -> Material:
        trust = ["ca.pem", "intermediates.pem", "crl.pem"]
        return Material(
            server=_server_context(self._folder, self._settings),
            allowed=load_allowed(self._folder / "allowed.json"),
            trust=_digest([self._folder / name for name in trust]),
        )


def _server_context(folder: Path, settings: Tls) -> ssl.SSLContext:
    """For connections from callers: no certificate, or none that these roots vouch for, means no connection."""
    context = CallerContext(ssl.PROTOCOL_TLS_SERVER)
    context.chains = {}
    _apply_profile(context, settings)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    # The topology's roots alone; the system's are never loaded.
    _load_trust(context, folder / "ca.pem", folder / "intermediates.pem")
    if settings.check_crl:
        # Without the flag the CRLs are loaded and ignored. CHAIN asks one of every CA, so intermediates can be revoked.
        context.load_verify_locations(folder / "crl.pem")
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    # No tickets: they would resume sessions past a new CRL, and past this context.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    # A caller who hangs up between two requests is no error; HTTP itself says where a request ends.
    context.options |= ssl.OP_IGNORE_UNEXPECTED_EOF
    context.set_alpn_protocols(["http/1.1"])
    return context


def _apply_profile(context: ssl.SSLContext, settings: Tls) -> None:
    """Mozilla's guideline 6.0. Python lets nobody choose groups; OpenSSL's default begins with X25519 as Mozilla's."""
    context.minimum_version = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}[
        settings.min_version
    ]
    if settings.ciphers:
        context.set_ciphers(":".join(settings.ciphers))
    context.options |= ssl.OP_NO_RENEGOTIATION


def _load_trust(context: ssl.SSLContext, roots: Path, intermediates: Path) -> None:
    """Trusts the roots; the intermediates only help to build chains, so that a peer may send its leaf alone."""
    context.load_verify_locations(roots)
    if intermediates.exists() and b"BEGIN CERTIFICATE" in intermediates.read_bytes():
        context.load_verify_locations(intermediates)
    # PARTIAL_CHAIN (on by default in some contexts since Python 3.13) would make anchors of the intermediates.
    context.verify_flags &= ~ssl.VERIFY_X509_PARTIAL_CHAIN
    # RFC 5280 to the letter: CA flags, key identifiers, critical extensions.
    context.verify_flags |= ssl.VERIFY_X509_STRICT


def _fingerprint(folder: Path) -> str:
    return _digest(sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else [])


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
