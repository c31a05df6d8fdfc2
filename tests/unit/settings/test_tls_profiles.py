"""TLS profiles are Mozilla's."""

from __future__ import annotations

from scaffold.settings.tls_profiles import tls_settings
from scaffold.topology.model import TlsProfile


def test_the_profiles_are_mozillas():
    modern, intermediate = tls_settings(TlsProfile.MODERN), tls_settings(TlsProfile.INTERMEDIATE)
    assert (modern.min_version, modern.ciphers) == ("TLSv1.3", ())
    assert intermediate.min_version == "TLSv1.2"
    assert len(intermediate.ciphers) == 6
    assert all(cipher.startswith("ECDHE-") for cipher in intermediate.ciphers)
    assert intermediate.groups == modern.groups == ("X25519", "prime256v1", "secp384r1")


def test_the_hybrid_group_is_named_only_where_asked_for():
    assert tls_settings(TlsProfile.MODERN, post_quantum=True).groups[0] == "X25519MLKEM768"
    assert "X25519MLKEM768" not in tls_settings(TlsProfile.MODERN).groups
