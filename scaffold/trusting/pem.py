"""The fingerprints of the certificates in a text: a store may hold what no library here reads, and that counts too."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Final

_BLOCK: Final = re.compile(rb"-----BEGIN CERTIFICATE-----(?P<base64>[^-]+)-----END CERTIFICATE-----")


def fingerprints(text: bytes) -> tuple[str, ...]:
    """SHA-256 in lower-case hex of each certificate in PEM, in its order."""
    found = []
    for block in _BLOCK.finditer(text):
        try:
            found.append(hashlib.sha256(base64.b64decode(block["base64"])).hexdigest())
        except binascii.Error:
            continue
    return tuple(found)
