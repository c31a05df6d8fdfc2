"""Which files are in `tls/` of a server or client, and by which other names it asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from scaffold.settings.peers import needs_crls, trust_in, trusts_each_apart
from scaffold.topology.model import Files, Party, Server, Topology

CERTIFICATE: Final = "cert.pem"
KEY: Final = "key.pem"
TRUST: Final = "ca.pem"
CRL: Final = "crl.pem"
COMBINED: Final = "combined.pem"
TRUSTSTORE: Final = "truststore.p12"
CLIENT_CERTIFICATE: Final = "client-cert.pem"
CLIENT_KEY: Final = "client-key.pem"
CLIENT_TRUST: Final = "client-ca.pem"
CLIENT_COMBINED: Final = "client-combined.pem"
CLIENT_TRUSTSTORE: Final = "client-truststore.p12"

NO_FILES: Final = Files()

_FIXED: Final = frozenset(
    {
        *(CERTIFICATE, KEY, TRUST, CRL, COMBINED, TRUSTSTORE, "intermediates.pem", "staple.der"),
        *(CLIENT_CERTIFICATE, CLIENT_KEY, CLIENT_TRUST, CLIENT_COMBINED, CLIENT_TRUSTSTORE),
        *("bundle.pfx", "pfx-password"),
    }
)

_SECRETS: Final = frozenset({KEY, CLIENT_KEY, COMBINED, CLIENT_COMBINED, "bundle.pfx", "pfx-password"})


def is_taken(name: str) -> bool:
    """Whether scaffold, or a template in its allow list, calls a file of its own so."""
    begins = tuple(common.removesuffix("pem") for common in (TRUST, CLIENT_TRUST))
    is_root_of_one = name.startswith(begins) and name.endswith(".pem")
    return name.casefold() in _FIXED or name.startswith("allowed.") or is_root_of_one


def is_secret(name: str) -> bool:
    """Whether a file of one of scaffold's own names in `tls/` holds a key or a password."""
    return name in _SECRETS


def standing(t: Topology, party: Party) -> tuple[str, ...]:
    """The names in `tls/` of `party`, but for what its template renders and for the names that it asks for."""
    files = party.files or NO_FILES
    calls = isinstance(party, Server) and bool(party.calls)
    has_key = party.csr is None
    asked = {
        CERTIFICATE: True,
        KEY: has_key,
        TRUST: True,
        "intermediates.pem": True,
        CRL: needs_crls(t, party),
        "staple.der": isinstance(party, Server) and party.staple,
        "bundle.pfx": party.pfx is not None,
        "pfx-password": party.pfx is not None,
        COMBINED: files.combined and has_key,
        TRUSTSTORE: files.truststore,
        CLIENT_CERTIFICATE: party.has_second,
        CLIENT_KEY: party.has_second,
        CLIENT_TRUST: calls,
        CLIENT_COMBINED: files.client_combined and party.has_second,
        CLIENT_TRUSTSTORE: files.client_truststore and calls,
    }
    each: tuple[str, ...] = ()
    if trusts_each_apart(t, party):
        each = tuple(trust_in(CLIENT_TRUST if calls else TRUST, name) for name in party.calls)
    return (*(name for name, there in asked.items() if there), *each)


def without_ground(party: Party) -> Iterator[tuple[str, str]]:
    """What `files` asks for and cannot be: the field, and the file that is lacking."""
    files = party.files or NO_FILES
    if files.combined and party.csr is not None:
        yield "combined", "private key"
    if files.client_combined and not party.has_second:
        yield "client_combined", "second certificate"
    if files.client_truststore and not (isinstance(party, Server) and party.calls):
        yield "client_truststore", "server that it calls"


@dataclass(frozen=True, slots=True)
class Derived:
    """A file in `tls/` that is made of others there; `name` and `sources` are names in it.

    `copied`: it is its sources one after the other; otherwise it is a PKCS#12 trust store of their certificates.
    """

    name: str
    sources: tuple[str, ...]
    copied: bool
    secret: bool


def derived(t: Topology, party: Party) -> tuple[Derived, ...]:
    """The files that `party` asks for beside those that everybody has, in the order in which they are made."""
    if party.files is None:
        return ()
    there = standing(t, party)
    made = (
        Derived(COMBINED, (KEY, CERTIFICATE), copied=True, secret=True),
        Derived(CLIENT_COMBINED, (CLIENT_KEY, CLIENT_CERTIFICATE), copied=True, secret=True),
        Derived(TRUSTSTORE, (TRUST,), copied=False, secret=False),
        Derived(CLIENT_TRUSTSTORE, (CLIENT_TRUST,), copied=False, secret=False),
    )
    # A key before its certificate: who reloads between the two keeps the old pair until they match.
    renamed = sorted(party.files.names.items(), key=lambda one: (not is_secret(one[0]), one))
    return (
        *(one for one in made if one.name in there),
        *(Derived(other, (name,), copied=True, secret=is_secret(name)) for name, other in renamed),
    )


def name_of(party: Party, name: str) -> str:
    """What a person looks for: the other name of a file where it has one."""
    return (party.files or NO_FILES).names.get(name, name)
