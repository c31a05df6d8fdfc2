"""Private keys: written as PKCS#8 PEM (plain or encrypted), read back, and named by their public half."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from collections.abc import Callable
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, padding, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from scaffold.errors import PkiError, Unreadable, WrongPassword
from scaffold.pki.der import NULL, OCTET_STRING, SEQUENCE, element, elements, integer
from scaffold.topology.model import KeyType

PrivateKey = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | mldsa.MLDSA44PrivateKey
    | mldsa.MLDSA65PrivateKey
    | mldsa.MLDSA87PrivateKey
)

PublicKey = (
    ec.EllipticCurvePublicKey
    | rsa.RSAPublicKey
    | ed25519.Ed25519PublicKey
    | mldsa.MLDSA44PublicKey
    | mldsa.MLDSA65PublicKey
    | mldsa.MLDSA87PublicKey
)

Octets = Callable[[str, int], bytes]
"""Makes up so many octets for a purpose."""

# OWASP's figure for PBKDF2-HMAC-SHA-256; `cryptography` writes 2,048 rounds and offers no other number.
PBKDF2_ROUNDS: Final = 600_000
_SALT_OCTETS: Final = 16
_AES_256_OCTETS: Final = 32
_AES_BLOCK_BITS: Final = 128

# RFC 8018 A, RFC 3565 4.1, RFC 8018 B.1.2.
_PBES2: Final = bytes.fromhex("06092a864886f70d01050d")
_PBKDF2: Final = bytes.fromhex("06092a864886f70d01050c")
_AES_256_CBC: Final = bytes.fromhex("060960864801650304012a")
_HMAC_WITH_SHA256: Final = bytes.fromhex("06082a864886f70d0209")

MALFORMED: Final = (
    ValueError,
    TypeError,
    NotImplementedError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
)
"""What cryptography raises, often only when a part is looked at, for what it cannot parse or does not know."""

_CURVES: Final = {"secp256r1": KeyType.EC_P256, "secp384r1": KeyType.EC_P384, "secp521r1": KeyType.EC_P521}
_RSA_BITS: Final = {2048: KeyType.RSA_2048, 3072: KeyType.RSA_3072, 4096: KeyType.RSA_4096}

_PEM_KEY: Final = re.compile(
    rb"-----BEGIN (?P<label>(?:[A-Z0-9]+ )*PRIVATE KEY)-----(?P<body>.*?)-----END (?P=label)-----", re.DOTALL
)
# OpenSSL's older way, a header of RFC 1421 4.6.1.1 in the armour.
_OLDER_WAY: Final = b"Proc-Type: 4,ENCRYPTED"


def to_pem(key: PrivateKey) -> bytes:
    """The key as unencrypted PKCS#8 PEM (RFC 5208, RFC 7468 10; ML-DSA as its seed, RFC 9881 6)."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def to_encrypted_pem(key: PrivateKey, password: bytes, octets: Octets) -> bytes:
    """The key as encrypted PKCS#8 PEM: PBES2 (RFC 8018 6.2), PBKDF2-HMAC-SHA-256 with 600,000 rounds, AES-256-CBC.

    `octets` makes salt and initialization vector up. Raises PkiError where the password is empty.
    """
    if not password:
        raise PkiError("an empty password protects no private key")
    salt, iv = octets("salt", _SALT_OCTETS), octets("initialization vector", _AES_BLOCK_BITS // 8)
    derived = PBKDF2HMAC(hashes.SHA256(), _AES_256_OCTETS, salt, PBKDF2_ROUNDS).derive(password)
    plain = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    padder = padding.PKCS7(_AES_BLOCK_BITS).padder()
    encryptor = Cipher(algorithms.AES(derived), modes.CBC(iv)).encryptor()
    sealed = encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
    return _pem("ENCRYPTED PRIVATE KEY", element(SEQUENCE, _pbes2(salt, iv), element(OCTET_STRING, sealed)))


def _pbes2(salt: bytes, iv: bytes) -> bytes:
    """The PBES2 AlgorithmIdentifier of RFC 8018 A.4."""
    # RFC 8018 A.2: the parameters of a HMAC are NULL, not absent.
    prf = element(SEQUENCE, _HMAC_WITH_SHA256, element(NULL))
    rounds = element(SEQUENCE, element(OCTET_STRING, salt), integer(PBKDF2_ROUNDS), prf)
    kdf = element(SEQUENCE, _PBKDF2, rounds)
    cipher = element(SEQUENCE, _AES_256_CBC, element(OCTET_STRING, iv))
    return element(SEQUENCE, _PBES2, element(SEQUENCE, kdf, cipher))


def is_encrypted(pem: bytes) -> bool:
    """Whether the first private key in the PEM is encrypted: as PKCS#8, or in OpenSSL's older way."""
    if b"ENCRYPTED" not in pem:  # most are not, and the search takes its time
        return False
    found = _PEM_KEY.search(pem)
    return found is not None and (found["label"] == b"ENCRYPTED PRIVATE KEY" or _OLDER_WAY in found["body"])


def load(pem: bytes, password: bytes | None = None) -> PrivateKey:
    """The private key of a PEM file. `password` is ignored where the key is not encrypted.

    Raises Unreadable where there is no key of a supported type, WrongPassword where the password is missing or wrong.
    """
    encrypted = is_encrypted(pem)
    if encrypted and not password:
        raise WrongPassword("the private key is encrypted, and no password was given")
    try:
        key = serialization.load_pem_private_key(pem, password if encrypted else None)
    except Exception as error:
        if encrypted and _is_intact_envelope(pem):
            raise WrongPassword("the password does not open the private key") from error
        raise Unreadable("not a private key in PEM, or a damaged one") from error
    if not isinstance(key, PrivateKey):
        raise Unreadable(f"a private key of a type that signs no certificates here: {type(key).__name__}")
    return key


def _is_intact_envelope(pem: bytes) -> bool:
    """Whether an encrypted key is whole, so that what failed to open it can only be the password."""
    found = _PEM_KEY.search(pem)
    if found is None or _OLDER_WAY in found["body"]:
        return found is not None
    body = b"".join(found["body"].split())
    try:
        [envelope] = elements(base64.b64decode(body, validate=True))
        algorithm, sealed = elements(envelope.content)
    except ValueError:
        return False
    return (envelope.tag, algorithm.tag, sealed.tag) == (SEQUENCE, SEQUENCE, OCTET_STRING)


def public_of(pem: bytes) -> bytes:
    """The DER SubjectPublicKeyInfo of an unencrypted private key. Raises Unreadable, or WrongPassword if encrypted."""
    if is_encrypted(pem):
        raise WrongPassword("the private key is encrypted: its public half is not readable")
    try:
        # Only the public half is looked at; the primality checks of RSA would cost a plan milliseconds a key.
        key = serialization.load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)
    except Exception as error:
        raise Unreadable("not a private key in PEM, or a damaged one") from error
    return _der(key.public_key())


def spki_sha256(owner: PublicKey | x509.Certificate) -> str:
    """The lower-case hex SHA-256 of the DER SubjectPublicKeyInfo of a public key or of a certificate's."""
    return hashlib.sha256(spki(owner)).hexdigest()


def spki(owner: PublicKey | x509.Certificate) -> bytes:
    """The DER SubjectPublicKeyInfo (RFC 5280 4.1.2.7) of a public key or of a certificate's."""
    return _spki_of(owner) if isinstance(owner, x509.Certificate) else _der(owner)


@functools.lru_cache(maxsize=4096)
def _spki_of(certificate: x509.Certificate) -> bytes:
    """Each certificate is asked for it several times, and to encode a key takes longer than to sign with it."""
    return _der(certificate.public_key())


def _der(key: object) -> bytes:
    return key.public_bytes(  # type: ignore[attr-defined,no-any-return]
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def key_type(key: object) -> KeyType | None:
    """The language's name of a public or private key's type, or None where the language has none for it."""
    match key:  # the most frequent type first: each question to an abstract class takes its time
        case ec.EllipticCurvePublicKey() | ec.EllipticCurvePrivateKey():
            return _CURVES.get(key.curve.name)
        case rsa.RSAPublicKey() | rsa.RSAPrivateKey():
            return _RSA_BITS.get(key.key_size)
        case ed25519.Ed25519PublicKey() | ed25519.Ed25519PrivateKey():
            return KeyType.ED25519
        case mldsa.MLDSA44PublicKey() | mldsa.MLDSA44PrivateKey():
            return KeyType.ML_DSA_44
        case mldsa.MLDSA65PublicKey() | mldsa.MLDSA65PrivateKey():
            return KeyType.ML_DSA_65
        case mldsa.MLDSA87PublicKey() | mldsa.MLDSA87PrivateKey():
            return KeyType.ML_DSA_87
        case _:
            return None


def signature_hash(key: PrivateKey) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | None:
    """The hash that a CA's key signs with; None where the algorithm brings its own (RFC 8032, FIPS 204).

    A curve takes the hash of its own strength (RFC 5480 4); RSA takes SHA-256 whatever its size.
    """
    match key:
        case rsa.RSAPrivateKey():
            return hashes.SHA256()
        case ec.EllipticCurvePrivateKey():
            if key.key_size > 384:
                return hashes.SHA512()
            return hashes.SHA384() if key.key_size > 256 else hashes.SHA256()
        case _:
            return None


def nonce_derived(key: PrivateKey) -> bool | None:
    """What `cryptography` is to be told of how a key signs: an ECDSA nonce is derived (RFC 6979), never drawn.

    None, its own default, where that means nothing to the key, or OpenSSL is older than 3.2.
    """
    return True if isinstance(key, ec.EllipticCurvePrivateKey) and derives_nonces() else None


@functools.cache
def derives_nonces() -> bool:
    """Whether OpenSSL can derive the nonces of ECDSA (RFC 6979): from 3.2 on."""
    try:
        ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
    except UnsupportedAlgorithm:
        return False
    return True


def _pem(label: str, der: bytes) -> bytes:
    """RFC 7468: base64 in lines of 64 characters."""
    text = base64.b64encode(der).decode()
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode()
