"""CAs that were made elsewhere: their files are read where they lie, and checked before anything relies on them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from scaffold.errors import PkiError, StoreError, TopologyError, Unreadable
from scaffold.pki import bundles, chains, keys
from scaffold.pki import crl as crls
from scaffold.store import files
from scaffold.topology.model import Ca, Topology


@dataclass(frozen=True, slots=True)
class ExistingCa:
    """`above` is the way from its issuer up to its root, empty where it is a root itself. `crls` are PEM."""

    certificate: x509.Certificate
    above: tuple[x509.Certificate, ...]
    encrypted_key: bool
    crls: bytes | None


def load(t: Topology, ca: Ca) -> ExistingCa:
    """Reads what `ca.existing` names. Raises TopologyError, with the place in the YAML, for what cannot serve."""
    existing = ca.existing
    if existing is None:
        raise ValueError(f"{ca.address} is made here")
    certificate = _certificates(t, ca, "certificate", existing.certificate)[0]
    if not chains.is_ca(certificate):
        raise _wrong(t, ca, "certificate", f"{existing.certificate} is not the certificate of a CA")
    pool = _certificates(t, ca, "chain", existing.chain) if existing.chain else ()
    try:
        above = chains.up_to_root(certificate, pool)[1:]
    except PkiError as error:
        hint = "name a file with the certificates up to the root under `chain:`"
        raise _wrong(t, ca, "chain" if existing.chain else "certificate", str(error), hint) from error
    encrypted = existing.key is not None and _check_key(t, ca, existing.key, certificate)
    return ExistingCa(certificate, above, encrypted, _crls(t, ca, existing.crl) if existing.crl else None)


def _certificates(t: Topology, ca: Ca, field: str, path: Path) -> tuple[x509.Certificate, ...]:
    try:
        return bundles.load_certificates(_read(t, ca, field, path))
    except Unreadable as error:
        raise _wrong(t, ca, field, f"{path} is {error}") from error


def _check_key(t: Topology, ca: Ca, path: Path, certificate: x509.Certificate) -> bool:
    """Whether the key is encrypted; if not, that it is the certificate's."""
    pem = _read(t, ca, "key", path)
    if keys.is_encrypted(pem):
        if ca.key_password is None:
            hint = "say where its password is: `key_password: {env: NAME}` or `{file: PATH}`"
            raise _wrong(t, ca, "key", f"{path} is encrypted", hint)
        return True
    try:
        same = keys.public_of(pem) == keys.spki(certificate)
    except Unreadable as error:
        raise _wrong(t, ca, "key", f"{path} is {error}") from error
    if not same:
        raise _wrong(t, ca, "key", f"{path} is not the key of the certificate")
    return False


def _crls(t: Topology, ca: Ca, path: Path) -> bytes:
    content = _read(t, ca, "crl", path)
    try:
        return b"".join(map(crls.to_pem, crls.load_all(content)))
    except Unreadable as error:
        raise _wrong(t, ca, "crl", f"{path} is {error}") from error


def _read(t: Topology, ca: Ca, field: str, path: Path) -> bytes:
    try:
        found = files.read(str(path.resolve()))
    except StoreError as error:
        raise _wrong(t, ca, field, str(error), error.hint) from error
    if found is None:
        raise _wrong(t, ca, field, f"{path} is not there", "paths are relative to the topology's own folder")
    return found.content


def _wrong(t: Topology, ca: Ca, field: str, message: str, hint: str | None = None) -> TopologyError:
    place = t.place("cas", ca.name, "existing", field)
    return TopologyError(f"{ca.address}: {message}", place=place, hint=hint)
