"""Kestrel speaks HTTP/2 too: floods of frames, and headers that HTTP/2 does not have, end their connection.

The same frames, sent as they should be, are the control.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import Iterable, Iterator

import pytest

from tests.handshake import dotnet_lab as lab
from tests.handshake.nginx_lab import Authority, Credential, allow, client, context_of, identity
from tests.handshake.traffic import half_open
from tests.requirements import require_command

require_command("dotnet")

# RFC 9113 6, and 7 for the last one
HEADERS, RST_STREAM, SETTINGS, GOAWAY, CONTINUATION = 1, 3, 4, 7, 9
END_STREAM, END_HEADERS = 1, 4
CANCEL = b"\0\0\0\x08"

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
A_GET = b"\x82\x87\x84\x41\x09localhost"
"""GET https://localhost/ in HPACK (RFC 7541, appendix A)."""


@pytest.fixture(scope="module")
def desk(root: Authority, ca: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[lab.Project]:
    made = lab.server_project(tmp_path_factory.mktemp("desk"), root, ca, [allow("teller", ca)], files=lab.PFX).write()
    with lab.running(made) as project:
        yield project


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def header(name: bytes, value: bytes) -> bytes:
    """A literal field that is not indexed (RFC 7541 6.2.2)."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def answers(desk: lab.Project, root: Authority, caller: Credential, frames: Iterable[bytes]) -> tuple[set[int], bytes]:
    """The kinds of frames that come back until an answer has ended or the connection has, and the bytes of DATA."""
    context = context_of(caller, root)
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("127.0.0.1", desk.port), timeout=90) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        assert connection.selected_alpn_protocol() == "h2"
        with contextlib.suppress(OSError):
            connection.sendall(PREFACE + frame(SETTINGS, 0, 0))
            for each in frames:
                connection.sendall(each)
        return _read(connection)


def _read(connection: ssl.SSLSocket) -> tuple[set[int], bytes]:
    text, kinds, data = b"", set(), b""
    with contextlib.suppress(OSError):
        while piece := connection.recv(65536):
            text += piece
            while len(text) >= 9 and len(text) >= 9 + (length := int.from_bytes(text[:3], "big")):
                kind, flags, body = text[3], text[4], text[9 : 9 + length]
                text = text[9 + length :]
                kinds.add(kind)
                data += body if kind == 0 else b""
                if kind in (0, HEADERS) and flags & END_STREAM:
                    return kinds, data
    return kinds, data


def get(*more: bytes) -> list[bytes]:
    return [frame(HEADERS, END_STREAM | END_HEADERS, 1, A_GET + b"".join(more))]


def test_a_request_is_answered(desk: lab.Project, root: Authority, teller: Credential) -> None:
    kinds, data = answers(desk, root, teller, get(header(b"x-client-subject", b"CN=boss")))
    assert GOAWAY not in kinds
    assert identity("teller").encode() in data
    assert b"boss" not in data


@pytest.mark.parametrize(
    "field",
    [
        header(b"connection", b"keep-alive"),
        header(b"X-Client-Subject", b"CN=boss"),
        header(b"x-a", b"b\r\nx-client-subject: CN=boss"),
        header(b"x-a", b"b\0"),
        header(b":path", b"/other"),
    ],
)
def test_what_http_2_does_not_have_is_no_request(
    desk: lab.Project, root: Authority, teller: Credential, field: bytes
) -> None:
    """RFC 9113 8.2: the stream or its connection ends, and nothing is answered."""
    kinds, data = answers(desk, root, teller, get(field))
    assert kinds & {GOAWAY, RST_STREAM}
    assert data == b""


def resets() -> Iterator[bytes]:
    for stream in range(1, 60_001, 2):
        yield frame(HEADERS, END_STREAM | END_HEADERS, stream, A_GET) + frame(RST_STREAM, 0, stream, CANCEL)


def endless_head() -> Iterator[bytes]:
    yield frame(HEADERS, END_STREAM, 1, A_GET)
    for _ in range(10_000):
        yield frame(CONTINUATION, 0, 1, header(b"x-a", b"a" * 120))


@pytest.mark.parametrize("flood", [resets, endless_head])
@pytest.mark.parametrize("who", ["teller", "stranger"])
def test_a_flood_ends_its_own_connection(
    desk: lab.Project, root: Authority, ca: Authority, teller: Credential, flood: object, who: str
) -> None:
    _, data = answers(desk, root, client(ca, who), flood())  # type: ignore[operator]
    assert b"greeting" not in data
    assert desk.ask(teller).status == 200


def test_handshakes_that_stop_half_way_stop_nobody(desk: lab.Project, teller: Credential) -> None:
    with half_open(desk.port, 300) as connections:
        assert desk.ask(teller).status == 200
        assert connections[-1].recv(1) == b""  # Kestrel's own limit for a handshake: ten seconds
