"""Subjects are written as OpenSSL writes those of certificates."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from scaffold.pki.names import rfc2253 as rfc2253_of_certificate
from scaffold.pki.profiles import subject_name
from scaffold.settings.subjects import rfc2253
from scaffold.topology.model import Subject

words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)


@given(words, words, words, words, words)
@example("#", "##", " ", "#a ", "Ćao")
def test_names_are_written_as_openssl_writes_those_of_certificates(cn, o, ou, st_, locality):
    subject = Subject(cn, o, ou, "NL", st_, locality)
    assert rfc2253(subject) == rfc2253_of_certificate(subject_name(subject))
