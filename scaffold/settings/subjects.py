"""A subject as servers that see nothing else of a certificate print it."""

from __future__ import annotations

from scaffold.pki.rfc2253 import attribute
from scaffold.topology.model import Subject


def rfc2253(subject: Subject) -> str:
    """A subject as OpenSSL prints it by `XN_FLAG_RFC2253`, and servers that hand it on as text.

    Its certificate holds the attributes in the order C, ST, L, O, OU, CN; RFC 2253 2.1 prints them from the last.
    """
    attributes = (
        ("CN", subject.common_name),
        ("OU", subject.organizational_unit),
        ("O", subject.organization),
        ("L", subject.locality),
        ("ST", subject.state),
        ("C", subject.country),
    )
    return ",".join(attribute(label, value) for label, value in attributes if value)
