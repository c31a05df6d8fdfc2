"""Signatures over bytes: made, and checked by whatever algorithm.

The checks of `cryptography` itself know no SHA-1 and no MD5.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, mldsa, padding, rsa

from scaffold.pki.keys import MALFORMED, PrivateKey, derives_nonces


def verifies(signed: x509.Certificate | x509.CertificateRevocationList, signer: x509.Certificate) -> bool | None:
    """Whether the key of `signer` signed the certificate or CRL; None where that cannot be said.

    How strong the hash is does not count: who relies on the signature must ask that too.
    """
    try:
        key = signer.public_key()
        said = signed.tbs_certificate_bytes if isinstance(signed, x509.Certificate) else signed.tbs_certlist_bytes
        algorithm, parameters = signed.signature_hash_algorithm, signed.signature_algorithm_parameters
        match key:
            case rsa.RSAPublicKey() if algorithm is not None:
                padded = parameters if isinstance(parameters, padding.PSS) else padding.PKCS1v15()
                key.verify(signed.signature, said, padded, algorithm)
            case ec.EllipticCurvePublicKey() if algorithm is not None:
                key.verify(signed.signature, said, ec.ECDSA(algorithm))
            case dsa.DSAPublicKey() if algorithm is not None:
                key.verify(signed.signature, said, algorithm)
            case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
                key.verify(signed.signature, said)
            case mldsa.MLDSA44PublicKey() | mldsa.MLDSA65PublicKey() | mldsa.MLDSA87PublicKey():
                key.verify(signed.signature, said)
            case _:
                return False
    except InvalidSignature:
        return False
    except MALFORMED:
        return None
    return True


def sign(key: PrivateKey, data: bytes, algorithm: hashes.HashAlgorithm | None) -> bytes:
    """The signature of `key` over `data`; `algorithm` is None where the key brings its own."""
    if algorithm is not None and isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(data, ec.ECDSA(algorithm, deterministic_signing=derives_nonces()))
    if algorithm is not None and isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), algorithm)
    return key.sign(data)  # type: ignore[call-arg,arg-type,unused-ignore]
