"""What is settled of a request's head before anybody looks at it, beyond what h11 has refused already (RFC 9112)."""

from __future__ import annotations

import re
from collections.abc import Iterable, MutableMapping
from typing import Any
from urllib.parse import unquote

Headers = list[tuple[bytes, bytes]]

# RFC 3986 3.2.2: a name or an IPv4 address, or an address in brackets, and a port that may be empty.
_AUTHORITY = rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::\d*)?"
_HOST = re.compile(_AUTHORITY)
_ABSOLUTE = re.compile(rb"https?://(?P<host>" + _AUTHORITY + rb")(?P<path>/.*)?", re.IGNORECASE | re.DOTALL)

_CLAIMS = re.compile(
    r"x-client-(subject|issuer|identity|roles|verify|dn|cn|san|serial|fingerprint)(-.*)?|x-client-cert.*"
    r"|x-on-behalf-of(-.*)?|client-cert(-.*)?|x-ssl(-.*)?|ssl-client-.*|x-arr-clientcert|x-amzn-(mtls|oidc)-.*"
    r"|x-forwarded-(client-cert|tls-client-cert|user|email|groups?|preferred-username|access-token)(-.*)?"
    r"|x-spiffe-.*|(x-)?remote-(user|group|groups|name|email)|x-(auth-request|authenticated|webauth)(-.*)?"
)
"""Headers in which gateways and proxies say who called them, by certificate or otherwise."""


class Malformed(Exception):
    """The head could be read in two ways: 400."""


def settled(scope: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The scope with one host, one end of the body, and a path as servers have it. Raises Malformed.

    A proxy's `GET https://host/path` is one of `/path`, and of that host (RFC 9112 3.2.2).
    """
    headers: Headers = list(scope["headers"])
    names = [name for name, _ in headers]
    if b"content-length" in names and b"transfer-encoding" in names:
        raise Malformed("the head of the request can be read in more than one way")  # RFC 9112 6.1
    if not all(_HOST.fullmatch(value.strip(b" \t")) for name, value in headers if name == b"host"):
        raise Malformed("the Host of the request is no host")
    raw: bytes = scope["raw_path"]
    if b"://" not in raw or raw.startswith(b"/"):
        return scope
    if (parts := _ABSOLUTE.fullmatch(raw)) is None or not parts["host"]:
        raise Malformed("the request asks for a URL that is none of a web server")
    path = parts["path"] or b"/"
    headers = [(name, parts["host"] if name == b"host" else value) for name, value in headers]
    return {**scope, "raw_path": path, "path": unquote(path.decode("ascii")), "headers": headers}


def without_claims(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The headers without those that say who called: nobody has checked what they say. `_` is as good as `-` there."""
    return [each for each in headers if not _CLAIMS.fullmatch(each[0].decode("latin-1").replace("_", "-"))]
