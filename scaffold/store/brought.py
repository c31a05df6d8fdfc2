"""Reads the files of CAs that were made elsewhere, and refuses what cannot serve before anything relies on it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509

from scaffold.errors import PkiError, StoreError, TopologyError, Unreadable
from scaffold.pki import bundles, chains, keys, permits, profiles
from scaffold.pki import crl as crls
from scaffold.pki.crl import Crl
from scaffold.pki.names import comparable, rfc2253
from scaffold.pki.permits import Leaf
from scaffold.store import files
from scaffold.store.existing_ca import ExistingCa
from scaffold.topology import graph
from scaffold.topology.mistakes import Mistakes
from scaffold.topology.model import Ca, Client, Party, Topology


def read(t: Topology, ca: Ca, mistakes: Mistakes, *, keys_away: bool = False) -> ExistingCa | None:
    """What `ca.existing` names, as far as its certificates lead to a root and can be understood; else None.

    What is wrong with any of its files goes to `mistakes`, with the place in the YAML; the key is not asked for where
    `keys_away`.
    """
    existing = ca.existing
    if existing is None:
        raise ValueError(f"{ca.address} is made here")
    certificate: x509.Certificate | None = None
    path: chains.Path = ()
    encrypted, found = False, None
    left_out: tuple[str, ...] = ()
    with mistakes.gathering():
        certificate = _certificate(t, ca, existing.certificate)
    if existing.key is not None and not keys_away:
        with mistakes.gathering():
            encrypted = _check_key(t, ca, existing.key, certificate)
    with mistakes.gathering():
        path = _path(t, ca, certificate)
    mistakes.add_all(_refusals(t, ca, path))
    with mistakes.gathering():
        found, left_out = _crls(t, ca, path)
    if certificate is None or any(permits.not_understood(one) is not None for one in path[1:]) or not path:
        return None
    return ExistingCa(certificate, path[1:], encrypted, found, left_out)


def _refusals(t: Topology, ca: Ca, path: chains.Path) -> Iterator[TopologyError]:
    for finding in permits.refusals(path):
        field = "certificate" if finding.certificate == path[0] else "chain"
        yield _wrong(t, ca, field, str(finding), "name another certificate of it, or another CA")


def leaves(t: Topology, party: Party) -> tuple[Leaf, ...]:
    """What the certificates of `party` ask of the CAs above them; of one that is issued elsewhere, what is known."""
    if not party.has_issued:
        return (Leaf("client", profiles.identity_names(party.identity)),) if isinstance(party, Client) else ()
    if isinstance(party, Client):
        return (Leaf.of(profiles.for_client_side(t, party)),)
    own = (Leaf.of(profiles.for_server(t, party)),) if party.issued_here else ()
    return (*own, Leaf.of(profiles.for_client_side(t, party))) if party.has_second or party.one_leaf else own


_CERTIFICATES: Final = "name a file with certificates, in PEM, PKCS#7 or one in DER"


# --- Certificates and the way up ----------------------------------------------------------------------------------


def _certificate(t: Topology, ca: Ca, path: Path) -> x509.Certificate:
    """The first of a file; the others count as its chain. One that is for a server or client is no CA."""
    try:
        found = bundles.parse_certificates(_read(t, ca, "certificate", path))[0]
    except Unreadable as error:
        raise _wrong(t, ca, "certificate", f"{path} is {error}", error.hint or _CERTIFICATES) from error
    if (problem := bundles.not_understood(found)) is not None:
        raise _wrong(t, ca, "certificate", f"{path} is {problem}", "have it issued again")
    if (problem := permits.not_understood(found)) is not None:
        raise _wrong(t, ca, "certificate", f"{path} is a certificate that {problem}", "have it issued again")
    if not chains.is_ca(found) and found.version is not x509.Version.v1:
        hint = "a CA has basicConstraints CA:TRUE and, among its key usages, keyCertSign (RFC 5280 4.2.1.9, 4.2.1.3)"
        raise _wrong(t, ca, "certificate", f"{path} is not the certificate of a CA", hint)
    return found


def _pool(t: Topology, ca: Ca, *fields: str) -> tuple[tuple[x509.Certificate, ...], tuple[str, ...]]:
    """What may be above it, from these files; and what is the matter with those that cannot be understood."""
    existing = ca.existing
    found: list[x509.Certificate] = []
    problems: list[str] = []
    for field, path in (("certificate", existing.certificate), ("chain", existing.chain)) if existing else ():
        if path is None or field not in fields:
            continue
        try:
            each = bundles.parse_certificates(_read(t, ca, field, path))
        except Unreadable as error:
            raise _wrong(t, ca, field, f"{path} is {error}", error.hint or _CERTIFICATES) from error
        for one in each:
            problem = bundles.not_understood(one)
            if problem is None:
                found.append(one)
            else:
                problems.append(f"{path} holds {problem}")
    return tuple(found), tuple(problems)


def _path(t: Topology, ca: Ca, certificate: x509.Certificate | None) -> chains.Path:
    """Of several ways up to a root, the one that works for most; of these, the one that ends last.

    Without a certificate there is none, and its chain is read all the same: it may be wrong as well.
    """
    if certificate is None:
        _pool(t, ca, "chain")
        return ()
    pool, problems = _pool(t, ca, "certificate", "chain")
    try:
        paths = chains.paths_to_roots(certificate, pool)
    except PkiError as error:
        hint = "name a file with the certificates up to the root under `chain:`"
        message = f"{error}; {problems[0]}" if problems else str(error)
        has_chain = ca.existing is not None and ca.existing.chain is not None
        raise _wrong(t, ca, "chain" if has_chain else "certificate", message, hint) from error
    if len(paths) == 1:
        return paths[0]
    asked = tuple(_below(t, ca))
    return min(paths, key=lambda path: _drawbacks(path, asked))


def _drawbacks(path: chains.Path, asked: tuple[Leaf, ...]) -> tuple[int, int, int, float, int]:
    """What speaks against a path, the weightiest first."""
    refused = sum(1 for _ in permits.refusals(path))
    forbidden = sum(1 for leaf in asked for _ in permits.forbidden(path, leaf)) if not refused else 0
    strictly = sum(1 for _ in permits.strict_refusals(path)) if not refused else 0
    return refused, forbidden, strictly, -ends(path).timestamp(), len(path)


def ends(path: chains.Path) -> datetime:
    """When the first certificate of a path ends, and the path with it (RFC 5280 6.1.3 a 2)."""
    return min(one.not_valid_after_utc for one in path)


def _below(t: Topology, ca: Ca) -> Iterator[Leaf]:
    for party in graph.parties(t):
        if any(graph.root_of(t, name).name == ca.name for name in graph.issuers(t, party)):
            yield from leaves(t, party)


# --- The key ------------------------------------------------------------------------------------------------------


def _check_key(t: Topology, ca: Ca, path: Path, certificate: x509.Certificate | None) -> bool:
    """Whether the key is encrypted; if not, that it is the certificate's, where that can be read."""
    pem = _read(t, ca, "key", path)
    if keys.is_encrypted(pem):
        if ca.key_password is None:
            hint = "add its password: `key_password: {env: NAME}` or `{file: PATH}`"
            raise _wrong(t, ca, "key", f"{path} is encrypted", hint)
        return True
    try:
        same = keys.public_of(pem) == keys.spki(certificate) if certificate is not None else None
    except Unreadable as error:
        raise _wrong(t, ca, "key", f"{path} is {error}", "name the file with its private key, in PEM") from error
    if certificate is None:
        return False
    if not same:
        hint = "name the key that its certificate is for, or that key's certificate"
        raise _wrong(t, ca, "key", f"{path} is not the key of the certificate", hint)
    if not isinstance(certificate.public_key(), keys.PublicKey):
        kind = type(certificate.public_key()).__name__.removesuffix("PublicKey")
        raise _wrong(
            t,
            ca,
            "key",
            f"{path} is a {kind} key, which is not supported for signing here",
            "remove its `key`, to trust the CA only",
        )
    return False


# --- CRLs ---------------------------------------------------------------------------------------------------------


def _crls(t: Topology, ca: Ca, path: chains.Path) -> tuple[bytes | None, tuple[str, ...]]:
    """Those that serve, in PEM, and what the others are; None where no file is named."""
    existing = ca.existing
    if existing is None or (file := existing.crl or existing.chain_crl) is None:
        return None, ()
    field, signers = ("crl", path) if existing.crl is not None else ("chain_crl", path[1:])
    try:
        found = crls.load_all(_read(t, ca, field, file))
    except Unreadable as error:
        raise _wrong(t, ca, field, f"{file} is {error}", "name a file with CRLs, in PEM or one in DER") from error
    own = path[0] if field == "chain_crl" else None
    wrong = [(one, _of_itself(one, own) or _of_no_use(one, signers)) for one in found]
    serving = [crls.to_pem(one) for one, problem in wrong if problem is None]
    return b"".join(serving), tuple(problem for _, problem in wrong if problem is not None)


def _of_itself(crl: Crl, own: x509.Certificate | None) -> str | None:
    """What is said of a list of the CA's own among those of the CAs above: its own is signed here."""
    if own is None or not crls.signed_by(crl, own):
        return None
    return f"a CRL of {rfc2253(crl.issuer)} itself: to continue from it, give it once as `crl`"


def _of_no_use(crl: Crl, path: chains.Path) -> str | None:
    try:
        issuer = comparable(crl.issuer)
        name = rfc2253(crl.issuer)
    except ValueError:
        return "a CRL whose issuer cannot be read"
    if issuer not in {comparable(one.subject) for one in path}:
        return f"a CRL of {name}, which is no CA of this chain (one CA cannot sign for another here)"
    signers = [one for one in path if crls.signed_by(crl, one)]
    if not signers:
        return f"a CRL of {name} that the key in its certificate has not signed"
    if all(chains.names_another_key(crl, one) for one in signers):
        return f"a CRL of {name} whose authority key identifier is not that of its certificate (RFC 5280 5.2.1)"
    if not any(permits.may_sign_crls(one) for one in signers):
        return f"a CRL of {name}, whose key usage has no cRLSign (RFC 5280 4.2.1.3)"
    problem = crls.unusable(crl)
    return None if problem is None else f"a CRL of {name} that {problem}"


# --- Files and errors ---------------------------------------------------------------------------------------------


def _read(t: Topology, ca: Ca, field: str, path: Path) -> bytes:
    try:
        found = files.read_named(path)
    except StoreError as error:
        raise _wrong(t, ca, field, str(error), error.hint) from error
    if found is None:
        raise _wrong(t, ca, field, f"{path} is not there", "paths are relative to the topology's own folder")
    return found.content


def _wrong(t: Topology, ca: Ca, field: str, message: str, hint: str | None = None) -> TopologyError:
    place = t.place("cas", ca.name, "existing", field)
    return TopologyError(f"{ca.address}: {message}", place=place, hint=hint)
