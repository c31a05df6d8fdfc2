"""What only a look beyond the YAML tells: which signatures a reproducible topology's tree would hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cryptography.hazmat.primitives.asymmetric import mldsa

from scaffold.errors import TopologyError
from scaffold.pki.keys import derives_nonces
from scaffold.plan.desired import Desired
from scaffold.store.existing_ca import ExistingCa
from scaffold.topology.mistakes import raise_all

_ML_DSA = mldsa.MLDSA44PublicKey | mldsa.MLDSA65PublicKey | mldsa.MLDSA87PublicKey


def check(desired: Desired, adopted: Mapping[str, ExistingCa]) -> None:
    """Raises TopologyError for what would not be the same bytes twice."""
    raise_all((*_signatures_of_this_machine(desired), *_adopted(desired, adopted)))


def _signatures_of_this_machine(desired: Desired) -> Iterator[TopologyError]:
    if not derives_nonces():
        message = "this OpenSSL is older than 3.2, and its ECDSA signatures differ each time (RFC 6979)"
        hint = "install `cryptography` as a wheel, which has its own OpenSSL, or remove reproducible"
        yield TopologyError(message, place=desired.topology.place("reproducible"), hint=hint)


def _adopted(desired: Desired, adopted: Mapping[str, ExistingCa]) -> Iterator[TopologyError]:
    for name, ca in adopted.items():
        if desired.topology.cas[name].issues_here and isinstance(ca.certificate.public_key(), _ML_DSA):
            message = f"{name} signs by ML-DSA, whose signatures differ each time (FIPS 204 3.4)"
            place = desired.topology.place("cas", name, "existing")
            yield TopologyError(message, place=place, hint="leave its `key` out, or use another CA")
