"""Reads the files of certificates that somebody else issues, and refuses what cannot serve before it is taken over."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from cryptography import x509

from scaffold.errors import EntityError, PkiError, StoreError, TopologyError, Unreadable
from scaffold.pki import bundles, chains, keys, permits
from scaffold.pki.keys import PrivateKey
from scaffold.pki.names import rfc2253
from scaffold.store import files
from scaffold.store.existing_ca import ExistingCa
from scaffold.store.existing_leaf import BroughtLeaf
from scaffold.topology.address import Address
from scaffold.topology.model import ExistingLeaf, Party, Topology

_T = TypeVar("_T")

_PAUSES: Final = (0.02, 0.05, 0.1)
"""Seconds. Certificate and key are replaced one after the other: what does not fit together is read again."""

_READABLE_BY_ALL: Final = 0o004


def read_roots(t: Topology, party: Party, existing: ExistingLeaf) -> tuple[x509.Certificate, ...]:
    """The roots in `trust` of a server. Raises TopologyError, with the place in the YAML, where there are none."""
    if existing.trust is None:
        return ()
    found = _certificates(t, party, "trust", existing.trust)
    roots = tuple(dict.fromkeys(one for one in found if chains.is_anchor(one)))
    if not roots:
        hint = "trust anchors are self-signed: name a file with the root above its issuer"
        raise wrong(t, party, "trust", f"{existing.trust} holds no root", hint)
    return roots


def read_leaf(
    t: Topology, party: Party, existing: ExistingLeaf, roots: tuple[x509.Certificate, ...], issuer: ExistingCa | None
) -> BroughtLeaf:
    """Reads certificate, chain and key; `roots` vouch for a server, and `issuer` for a client.

    Raises TopologyError, with the place in the YAML, for what cannot serve. Links are followed, as certbot lays them.
    """
    return _again(lambda: _read_leaf(t, party, existing, roots, issuer))


def read_key(
    t: Topology, party: Party, existing: ExistingLeaf, leaf: BroughtLeaf, password: bytes | None
) -> PrivateKey | None:
    """The key of a leaf as it was judged; None where the file has changed since.

    Raises TopologyError where it is not the certificate's, and WrongPassword.
    """
    found = _read(t, party, "key", existing.key)
    if _digest(found.content) != leaf.key_file:
        return None
    key = keys.load(found.content, password)
    if keys.spki(key.public_key()) != keys.spki(leaf.certificate):
        raise _mismatch(t, party, existing)
    return key


def _again(read: Callable[[], _T]) -> _T:
    for pause in _PAUSES:
        try:
            return read()
        except TopologyError:
            time.sleep(pause)
    return read()


def _read_leaf(
    t: Topology, party: Party, existing: ExistingLeaf, roots: tuple[x509.Certificate, ...], issuer: ExistingCa | None
) -> BroughtLeaf:
    found = _certificates(t, party, "certificate", existing.certificate)
    key = _read(t, party, "key", existing.key)
    leaf = _leaf(t, party, existing, found, key.content)
    pool = [one for one in found if one != leaf]
    if existing.chain is not None:
        pool.extend(_certificates(t, party, "chain", existing.chain))
    path = _below(t, party, leaf, issuer) if issuer is not None else _up_to(t, party, existing, leaf, pool, roots)
    for finding in (*permits.leaf_refusals(leaf), *permits.refusals(path[1:])):
        raise wrong(t, party, "certificate", str(finding), "have it issued again, or use another")
    return BroughtLeaf(leaf, path[1:], _digest(key.content), bool(key.mode & _READABLE_BY_ALL))


# --- The certificate and its key ------------------------------------------------------------------------------------


def _leaf(
    t: Topology, party: Party, existing: ExistingLeaf, found: tuple[x509.Certificate, ...], pem: bytes
) -> x509.Certificate:
    """Which certificate is meant: the one over the key or, of an encrypted key, the only one that is no CA's."""
    leaves = [one for one in found if not chains.is_ca(one)]
    if not leaves:
        hint = (
            f"give the file with the certificate of the {party.address.role.value} itself, such as fullchain.pem; "
            "`openssl req -x509` makes one with -addext basicConstraints=critical,CA:FALSE"
        )
        message = f"{existing.certificate} has only certificates of CAs (basicConstraints CA:TRUE)"
        raise wrong(t, party, "certificate", message, hint)
    if keys.is_encrypted(pem):
        if existing.key_password is None:
            hint = "add its password beside `key`: `key_password: {env: NAME}` or `{file: PATH}`"
            raise wrong(t, party, "key", f"{existing.key} is encrypted", hint)
        if len(leaves) > 1:
            message = f"{existing.certificate} has several certificates that are not of CAs"
            raise wrong(t, party, "certificate", message, "keep one of them")
        return leaves[0]
    try:
        spki = keys.public_of(pem)
        keys.load(pem)
    except Unreadable as error:
        hint = "give PKCS#8, PKCS#1 or SEC1 in PEM, encrypted or not"
        raise wrong(t, party, "key", f"{existing.key} is {error}", hint) from error
    over_the_key = [one for one in leaves if keys.spki(one) == spki]
    if not over_the_key:
        raise _mismatch(t, party, existing)
    return over_the_key[0]


def _mismatch(t: Topology, party: Party, existing: ExistingLeaf) -> TopologyError:
    message = f"{existing.key} is not the key of the certificate in {existing.certificate}"
    hint = "they may be replaced at this moment: try again; the files in tls/ stay in use"
    return wrong(t, party, "key", message, hint)


# --- The way up -----------------------------------------------------------------------------------------------------


def _below(t: Topology, party: Party, leaf: x509.Certificate, issuer: ExistingCa) -> chains.Path:
    """A client is let in by the key of its issuer, which is a CA of the topology."""
    if not chains.signed_by(leaf, issuer.certificate):
        message = f"it was issued by {rfc2253(leaf.issuer)}, and not by {Address.ca(party.issuer)}"
        raise wrong(t, party, "certificate", message, "name the CA that has issued it under `issuer`")
    return (leaf, *issuer.path)


def _up_to(
    t: Topology,
    party: Party,
    existing: ExistingLeaf,
    leaf: x509.Certificate,
    pool: list[x509.Certificate],
    roots: tuple[x509.Certificate, ...],
) -> chains.Path:
    """Of the ways up to one of `roots`, the one that works for most; of these, the one that ends last."""
    try:
        found = chains.paths_to_roots(leaf, (*pool, *roots))
    except PkiError as error:
        hint = "put the certificates above it into the same file, or into `chain: FILE`, and its root into `trust`"
        raise wrong(t, party, "chain" if existing.chain else "certificate", str(error), hint) from error
    trusted = [path for path in found if path[-1] in roots]
    if not trusted:
        message = f"its chain leads to {rfc2253(found[0][-1].subject)}, which is not in {existing.trust}"
        raise wrong(t, party, "trust", message, "add that root, or give another file")
    return min(trusted, key=_drawbacks)


def _drawbacks(path: chains.Path) -> tuple[int, float, int]:
    refused = sum(1 for _ in permits.refusals(path[1:]))
    return refused, -min(one.not_valid_after_utc for one in path).timestamp(), len(path)


# --- Files and errors -----------------------------------------------------------------------------------------------


def _certificates(t: Topology, party: Party, field: str, path: Path) -> tuple[x509.Certificate, ...]:
    """All that can be understood: a bundle of public roots may hold one that cannot."""
    try:
        found = bundles.parse_certificates(_read(t, party, field, path).content)
    except Unreadable as error:
        hint = "give PEM, DER or PKCS #7; if the file is just being written, try again"
        raise wrong(t, party, field, f"{path} is {error}", hint) from error
    problems = [bundles.not_understood(one) for one in found]
    understood = tuple(one for one, problem in zip(found, problems, strict=True) if problem is None)
    if not understood:
        raise wrong(t, party, field, f"{path} is {problems[0]}", "have it issued again")
    return understood


def _read(t: Topology, party: Party, field: str, path: Path) -> files.Found:
    try:
        found = files.read_named(path)
    except StoreError as error:
        raise wrong(t, party, field, str(error), "give this user the right to read it") from error
    if found is None:
        raise wrong(t, party, field, f"{path} is not there", "paths are relative to the topology's own folder")
    return found


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def wrong(t: Topology, party: Party, field: str, message: str, hint: str | None = None) -> TopologyError:
    """What is said of a leaf from elsewhere, at its place."""
    place = t.place(party.address.role.section, party.name, "existing", field)
    return EntityError(str(party.address), message, place=place, hint=hint)
