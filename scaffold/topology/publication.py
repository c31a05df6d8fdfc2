"""Where a CA publishes, below the topology's `publish`: its CRL, its OCSP responder, its certificate."""

from __future__ import annotations

from scaffold.topology.address import Address
from scaffold.topology.generations import FIRST


def published_name(ca: str, generation: int | None = FIRST) -> str:
    """The name under which a generation is published: `issuing`, `issuing.2`."""
    return ca if generation in (None, FIRST) else f"{ca}.{generation}"


def published_as(ca: Address) -> str:
    """The same of the generation at an address."""
    return published_name(ca.name, ca.generation)


def crl_url(publish: str, name: str) -> str:
    """Where the CRL of what is published as `name` is; `publish` is the topology's."""
    return f"{publish.rstrip('/')}/crl/{name}.crl"


def ocsp_url(publish: str, name: str) -> str:
    """Where its OCSP responder is."""
    return f"{publish.rstrip('/')}/ocsp/{name}"


def ca_url(publish: str, name: str) -> str:
    """Where its certificate is."""
    return f"{publish.rstrip('/')}/ca/{name}.cer"
