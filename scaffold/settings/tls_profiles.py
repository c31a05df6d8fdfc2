"""What a Mozilla server side TLS profile comes to: protocols, cipher suites and groups by OpenSSL's names."""

from __future__ import annotations

import functools
from typing import assert_never

from scaffold.settings.values import Tls
from scaffold.topology.model import TlsProfile

_GROUPS = ("X25519", "prime256v1", "secp384r1")
_HYBRID_GROUP = "X25519MLKEM768"
_TLS13_SUITES = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
_TLS12_CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
)


@functools.cache
def tls_settings(profile: TlsProfile, *, post_quantum: bool = False) -> Tls:
    """A Mozilla server side TLS profile, guideline 6.0 (https://wiki.mozilla.org/Security/Server_Side_TLS).

    X25519MLKEM768 is named only where `post_quantum` asks for it: a TLS library that does not know a group (OpenSSL
    before 3.5) refuses the whole configuration.
    """
    groups = (_HYBRID_GROUP, *_GROUPS) if post_quantum else _GROUPS
    match profile:
        case TlsProfile.MODERN:
            return Tls(profile.value, "TLSv1.3", (), _TLS13_SUITES, groups)
        case TlsProfile.INTERMEDIATE:
            return Tls(profile.value, "TLSv1.2", _TLS12_CIPHERS, _TLS13_SUITES, groups)
        case _:
            assert_never(profile)
