"""A subject as servers that see nothing else of a certificate print it."""

from __future__ import annotations

from scaffold.pki.rfc2253 import attribute, name
from scaffold.topology import distinguished_names
from scaffold.topology.model import IdentityForm, Subject
from scaffold.topology.names import form_of


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


def stated_subjects(identity: str) -> tuple[str | None, ...]:
    """What is printed of a caller that is known by its subject, in each way that it may be; None: by something else."""
    if form_of(identity) is not IdentityForm.SUBJECT:
        return (None,)
    stated = distinguished_names.parse(identity.removeprefix("subject:"))
    return tuple(dict.fromkeys(map(name, distinguished_names.spellings(stated))))
