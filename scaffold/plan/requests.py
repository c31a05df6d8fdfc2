"""Reads the requests over keys that are not here, and holds each against what the topology certifies."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from scaffold.errors import EntityError, StoreError, TopologyError, Unreadable
from scaffold.pki import keys, requests
from scaffold.pki.keys import PublicKey
from scaffold.plan.desired import Desired, MadeCa, profile_shown
from scaffold.store import files
from scaffold.store.existing_ca import ExistingCa
from scaffold.store.observation import Observation
from scaffold.topology import graph
from scaffold.topology.address import Address
from scaffold.topology.model import Party, Topology


def read(t: Topology, of_cas: Mapping[str, Address]) -> tuple[dict[Address, PublicKey], dict[Address, TopologyError]]:
    """By server and client: the key that is to be certified, or what is wrong with the request.

    `of_cas` are the CAs by the SHA-256 of their keys' SPKI.
    """
    found: dict[Address, PublicKey] = {}
    problems: dict[Address, TopologyError] = {}
    for party in graph.parties(t):
        if party.csr is None:
            continue
        try:
            found[party.address] = _key(t, party, party.csr, of_cas)
        except TopologyError as error:
            problems[party.address] = error
    return found, problems


def keys_of_cas(desired: Desired, observed: Observation, adopted: Mapping[str, ExistingCa]) -> dict[str, Address]:
    """The CAs by the SHA-256 of their keys' SPKI: those of today and of before, and those above adopted ones."""
    return dict(_keys_of_cas(desired, observed, adopted))


def _keys_of_cas(
    desired: Desired, observed: Observation, adopted: Mapping[str, ExistingCa]
) -> Iterator[tuple[str, Address]]:
    for label, ca_key in observed.ledger.ca_keys.items():
        yield hashlib.sha256(ca_key.spki).hexdigest(), Address.labelled(label)
    for one in desired.cas:
        if isinstance(one, MadeCa) and (there := observed.certificate(one.paths.certificate).certificate) is not None:
            yield keys.spki_sha256(there), one.ca.address
    for name, existing in adopted.items():
        for certificate in existing.path:
            yield keys.spki_sha256(certificate), Address.ca(name)


def _key(t: Topology, party: Party, path: Path, of_cas: Mapping[str, Address]) -> PublicKey:
    try:
        content = files.read_named(path)
        if content is None:
            raise _wrong(t, party, "csr", "is not there", "paths are relative to the topology's own folder")
        request = requests.load(content.content)
    except StoreError as error:
        raise _wrong(t, party, "csr", f"cannot be read: {error}", "give this user the right to read it") from error
    except Unreadable as error:
        raise _wrong(t, party, "csr", f"is {error}", "`openssl req -new` makes one") from error
    for field, words in requests.refusals(request, party.key):
        raise _wrong(t, party, field, words, "have another request made")
    for field, words in requests.differences(request, profile_shown(t, party)):
        raise _wrong(t, party, field, words, "make the request and the topology agree")
    key = request.public_key()
    if not isinstance(key, PublicKey):
        raise _wrong(t, party, "csr", "has a key of a type that is not supported here", "have another request made")
    if (ca := of_cas.get(keys.spki_sha256(key))) is not None:
        words = f"has the key of {ca}, or of a CA above it, and that key can issue certificates"
        raise _wrong(t, party, "csr", words, "have a request made with a key of its own")
    return key


def _wrong(t: Topology, party: Party, field: str, words: str, hint: str) -> TopologyError:
    place = t.place(party.address.role.section, party.name, field)
    if place is None or place == t.place(party.address.role.section, party.name):
        place = t.place(party.address.role.section, party.name, "csr")
    return EntityError(str(party.address), f"{party.csr} {words}", place=place, hint=hint)
