"""Takes over certificates that somebody else issues, with their keys: what the plan has judged, and nothing newer."""

from __future__ import annotations

from scaffold.apply.context import ApplyContext
from scaffold.errors import Overtaken
from scaffold.issuers.adopted import AdoptedIssuer
from scaffold.issuers.port import Request
from scaffold.pki import bundles, keys
from scaffold.pki.keys import PrivateKey
from scaffold.pki.profiles import CertificateProfile
from scaffold.plan.desired import AdoptedCertificate, DesiredParty
from scaffold.store import files
from scaffold.store.layout import CertificatePaths
from scaffold.topology.address import Address, Role
from scaffold.topology.model import Subject


def open_key(context: ApplyContext, one: DesiredParty, adopted: AdoptedCertificate) -> PrivateKey:
    """The key at its source. Raises Overtaken where it is another now, TopologyError, SecretError, WrongPassword."""
    from scaffold.store.brought_leaf import read_key

    existing, leaf = adopted.existing, context.basis.brought.leaves[one.party.address]
    given = existing.key_password
    password = context.secrets.given(given, str(one.party.address)) if given is not None else None
    key = read_key(context.topology, one.party, existing, leaf, password)
    if key is None:
        path = str(existing.key)
        raise Overtaken(f"{path} has changed since the plan was made", path=path, hint="plan again")
    return key


def take_over(context: ApplyContext, address: Address, paths: CertificatePaths) -> None:
    """Writes key and certificate, the key first: a server that reloads between the two keeps its old pair."""
    key, leaf = context.brought_keys[address], context.basis.brought.leaves[address.entity]
    life = leaf.certificate.not_valid_after_utc - context.now
    made = AdoptedIssuer(leaf).issue(Request(str(address), _asked(address), key.public_key(), life, context.now))
    context.write(paths.key, keys.to_pem(key), mode=files.SECRET_FILE)
    context.write(paths.certificate, bundles.pem(made.certificate) + bundles.chain_pem(made.chain))


def _asked(address: Address) -> CertificateProfile:
    """Whatever it is: what must be in it was judged when it was read."""
    return CertificateProfile(Subject(common_name=address.name), "server" if address.role is Role.SERVER else "client")
