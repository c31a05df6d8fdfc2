"""What git leaves out of an output folder: private keys, what holds one, passwords, and files that are in flight.

Each folder of secrets has a `.gitignore` of its own, written before the first secret is: git lets the nearest one
decide (gitignore(5)), whatever a person or a template says above it, and in a project that is a repository of its own.
It leaves out everything that is not known to be public, so that no name has to be thought of.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Final

from scaffold.store.layout import ARCHIVE, LEDGER, PROJECTS

_HEAD: Final = "# Written by scaffold: this folder has secrets. Only the files named here are committed.\n*\n!*/\n"

_PUBLIC_IN_TLS: Final = frozenset(
    {"cert.pem", "client-cert.pem", "ca.pem", "client-ca.pem", "intermediates.pem", "crl.pem", "staple.der"}
)

OUT: Final = b"""\
# Written by scaffold, and yours to extend. What it leaves out are secrets, and files in flight; each folder that holds
# secrets has a .gitignore of its own besides.
*.key
*.pfx
*.p12
key.pem
*-key.pem
combined.pem
key-password
pfx-password
*.scaffold-tmp
"""
"""Of the output folder itself."""

_FORMER: Final = frozenset({"6d82e685c324d872a335db09e44bbe3955c9fed65ced602fbbdd37954f22131f"})
"""SHA-256 of the texts that earlier versions wrote there."""


def only(public: Iterable[str]) -> bytes:
    """Leaves out everything in a folder but the files `public`, which are relative to it.

    A name with a line break cannot be written there: it stays left out.
    """
    names = [".gitignore", *sorted(name for name in set(public) if name.isprintable())]
    return (_HEAD + "".join(f"!/{_literally(name)}\n" for name in names)).encode()


def _literally(path: str) -> str:
    """The pattern that means `path` and nothing else."""
    return re.sub(r"([\\*?\[\] ])", r"\\\1", path)


def of_tls(rendered: Iterable[str]) -> bytes:
    """Of a `tls/` folder; `rendered` is what the template renders there, which knows no secret."""
    return _of_tls(frozenset(rendered))


@functools.lru_cache(maxsize=256)
def _of_tls(rendered: frozenset[str]) -> bytes:
    """Thousands of projects of one kind render the same files."""
    return only((*_PUBLIC_IN_TLS, *rendered))


PKI: Final = only(("ca.crt", "ca.cer", "chain.pem", "crl.pem"))
"""Of the folder of a CA."""

RECORDS: Final = only(path.rpartition("/")[2] for path in (LEDGER, ARCHIVE, PROJECTS))
"""Of `.scaffold/`: the records can be committed, the lock cannot."""


def at_birth(folder: str) -> bytes:
    """What is in a folder of secrets before its first secret; more may be named later."""
    if folder == ".scaffold":
        return RECORDS
    return PKI if folder.startswith("pki/") else of_tls(())


def is_former(sha256: str) -> bool:
    """Whether an earlier version wrote a text of this digest into the output folder, and nobody has changed it."""
    return sha256 in _FORMER
