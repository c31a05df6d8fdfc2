"""How the head of a request is read: in one way, or not at all (RFC 9112).

Where two programs could see two requests in the same bytes, one of them lets in what the other has not looked at.
"""

from __future__ import annotations

import io
import re
from email.message import Message

# RFC 9112 3: a token, one space, what has no space in it, one space, the version.
_REQUEST_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ [\x21-\x7e\x80-\xff]+ HTTP/[1-9]\.\d\r?\n")
# RFC 3986 3.2.2: a name or an IPv4 address, or an address in brackets, and a port that may be empty.
_AUTHORITY = r"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::\d*)?"
_HOST = re.compile(_AUTHORITY)
_ABSOLUTE = re.compile(rf"https?://(?P<host>{_AUTHORITY})(?P<rest>[/?].*)?", re.IGNORECASE)


class Malformed(Exception):
    """The head cannot be read, or could be read in two ways: 400."""


class Lines(io.BufferedReader):
    """Input that notes whether a line held a control character that others may take for the end of a line."""

    has_stray = False

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        self.has_stray |= b"\r" in line.removesuffix(b"\n").removesuffix(b"\r") or b"\0" in line
        return line


def is_request_line(line: bytes) -> bool:
    """Whether it is method, target and version, and nothing else."""
    return _REQUEST_LINE.fullmatch(line) is not None


def check(head: Message, version: str) -> None:
    """Raises Malformed where another program could see another host (RFC 9112 3.2) or another end (6.3)."""
    lengths = head.get_all("Content-Length", [])
    is_cut_short = bool(head.defects or head.get_payload())  # a line that is no header, or a space before its colon
    if is_cut_short or len(lengths) > 1 or (lengths and "Transfer-Encoding" in head):
        raise Malformed("the head of the request can be read in more than one way")
    hosts = head.get_all("Host", [])
    if len(hosts) > 1 or (not hosts and version >= "HTTP/1.1"):
        raise Malformed("the request must say its Host, once")
    if not all(_HOST.fullmatch(host.strip(" \t")) for host in hosts):
        raise Malformed("the Host of the request is no host")


def split_target(target: str) -> tuple[str, str | None]:
    """Path and query of a request's target, and the host where it names one, as proxies do (RFC 9112 3.2.2).

    Raises Malformed for the URL of something else.
    """
    if "://" not in target.partition("?")[0] or target.startswith("/"):
        return target, None
    if (parts := _ABSOLUTE.fullmatch(target)) is None or not parts["host"]:
        raise Malformed("the request asks for a URL that is none of a web server")
    rest = parts["rest"] or "/"
    return rest if rest.startswith("/") else f"/{rest}", parts["host"]


def keeps_open(head: Message, version: str) -> bool:
    """Whether the caller wants to send another request on the connection (RFC 9112 9.3)."""
    lines = head.get_all("Connection", [])
    words = {word.strip(" \t").lower() for line in lines for word in line.split(",")}
    return "close" not in words and (version >= "HTTP/1.1" or "keep-alive" in words)
