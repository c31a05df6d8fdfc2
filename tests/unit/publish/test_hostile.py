"""What one client sends costs no other its answer: nothing that is read grows faster than what was sent, nor far.

No absolute times: each input is compared with one that is eight times as long. What grows with the square takes
sixty-four times as long then, and a quarter of that is more than noise.
"""

from __future__ import annotations

import base64
import contextlib
import socket
import time
from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaffold.errors import Unreadable
from scaffold.pki import ocsp
from scaffold.publish import app, server
from scaffold.publish.app import Publisher
from scaffold.publish.authority import Document
from scaffold.publish.responder import Answer, Responder
from scaffold.running.ports import free_addresses
from tests.unit.pki.lab import NOW, lab
from tests.unit.publish.lab import Reply, request
from tests.unit.publish.test_responder import responder

SHORT, LONG = 8_000, 64_000
NOISE = 4
LEAST = 0.000_2
"""Seconds of CPU below which nothing is compared."""

DOCUMENT = Document.of(b"a CRL", "application/pkix-crl", NOW)


class Source:
    """One document and one responder."""

    def crl(self, ca: str) -> Document:
        return DOCUMENT

    certificate = crl

    def answer(self, ca: str, asked: bytes, now: object) -> Answer:
        return the_responder().answer(asked, NOW)

    def authorities(self) -> dict[str, object]:
        return {}

    def problems(self) -> tuple[object, ...]:
        return ()

    def refresh(self, now: object) -> bool:
        return False


@lru_cache
def the_responder() -> Responder:
    return responder()


@lru_cache
def application() -> object:
    return Publisher(Source(), lambda: NOW).application()


def get(path: str, *headers: tuple[str, str]) -> Reply:
    return request(application(), path, headers)


def cost(work: Callable[[], object]) -> float:
    """The least CPU time of some tries, in seconds."""
    spent = []
    for _ in range(3):
        start = time.process_time()
        work()
        spent.append(time.process_time() - start)
    return max(min(spent), LEAST)


def does_not_explode(work: Callable[[int], object]) -> None:
    """`work` is given a length."""
    work(SHORT)  # what is imported or kept once is no part of it
    short, long = cost(lambda: work(SHORT)), cost(lambda: work(LONG))
    assert long <= NOISE * short * LONG / SHORT


def test_what_grows_with_the_square_would_be_seen():
    with pytest.raises(AssertionError):
        does_not_explode(lambda length: [None for _ in range(length // 8) for _ in range(length // 8)])


# --- Headers --------------------------------------------------------------------------------------------------------

HEADERS = ("If-None-Match", "If-Modified-Since", "Accept", "Host", "Range", "Cookie", "Content-Type", "Connection")
REPEATED = [" ", "\t", ",", ", ", '"', 'W/"', "W/", "a,", ", ,", "\\", '""', "*,", "\xff", "a b"]


@pytest.mark.parametrize("unit", REPEATED, ids=repr)
@pytest.mark.parametrize("name", ["If-None-Match", "Range"])
def test_a_long_header_is_read_once(name, unit):
    does_not_explode(lambda length: get("/crl/x.crl", (name, "a" + unit * (length // len(unit)) + "a")))


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(HEADERS),
    parts=st.tuples(*[st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=3)] * 3),
)
def test_whatever_a_header_repeats_it_is_read_once(name, parts):
    begin, unit, end = parts
    does_not_explode(lambda length: get("/crl/x.crl", (name, begin + (unit or " ") * length + end)))


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (["TAG"], 304),
        (["W/TAG"], 304),
        (['"other",TAG'], 304),
        (['"other" ,\t W/TAG , "more"'], 304),
        (['"other"', "TAG"], 304),
        (["*"], 304),
        (['"other"'], 200),
        (["W/W/TAG"], 200),
        ([""], 200),
        ([], 200),
    ],
    ids=str,
)
def test_who_has_the_content_is_told_so(said, status):
    """RFC 9110 13.1.2, in one line or several (RFC 9110 5.3)."""
    headers = [("If-None-Match", one.replace("TAG", DOCUMENT.etag)) for one in said]
    assert get("/crl/x.crl", *headers).status == status


# --- OCSP -----------------------------------------------------------------------------------------------------------


def tlv(tag: int, body: bytes) -> bytes:
    """DER, or what looks like it."""
    size = len(body)
    octets = size.to_bytes((size.bit_length() + 7) // 8 or 1, "big")
    return bytes([tag]) + (bytes([size]) if size < 128 else bytes([0x80 | len(octets)]) + octets) + body


def asking(listed: bytes, extensions: bytes = b"") -> bytes:
    """An OCSPRequest around a list of requests."""
    more = tlv(0xA2, tlv(0x30, extensions)) if extensions else b""
    return tlv(0x30, tlv(0x30, tlv(0x30, listed) + more))


ONE = ocsp.build_request([ocsp.cert_id(1, lab().issuing.certificate)])
REQUEST = ONE[6:]
SHA1 = bytes.fromhex("300906052b0e03021a0500")
NONCE = bytes.fromhex("06092b0601050507300102")
HOSTILE: dict[str, Callable[[int], bytes]] = {
    "requests": lambda length: asking(REQUEST * (length // len(REQUEST))),
    "empty requests": lambda length: asking(b"\x30\x00" * (length // 2)),
    "indefinite lengths": lambda length: b"\x30\x80" * (length // 2),
    "a nested nonce": lambda length: asking(REQUEST, tlv(0x30, NONCE + tlv(4, b"\x24\x80" * (length // 2)))),
    "a nested nonce for two": lambda n: asking(REQUEST * 2, tlv(0x30, NONCE + tlv(4, b"\x24\x80" * (n // 2)))),
    "extensions": lambda n: asking(
        REQUEST, b"".join(tlv(0x30, tlv(6, b"\x2a\x03" + _base_128(i)) + b"\x04\x00") for i in range(n // 10))
    ),
    "extensions for two": lambda n: asking(
        REQUEST * 2, b"".join(tlv(0x30, tlv(6, b"\x2a\x03" + _base_128(i)) + b"\x04\x00") for i in range(n // 10))
    ),
    "one extension again and again": lambda n: asking(REQUEST, tlv(0x30, NONCE + b"\x04\x00") * (n // 15)),
    "a long serial": lambda n: asking(tlv(0x30, tlv(0x30, SHA1 + tlv(4, bytes(20)) * 2 + tlv(2, b"\x7f" * n)))),
    "a long serial beside another": lambda n: asking(
        tlv(0x30, tlv(0x30, SHA1 + tlv(4, bytes(20)) * 2 + tlv(2, b"\x7f" * n))) + REQUEST
    ),
    "a long OID": lambda n: asking(tlv(0x30, tlv(0x30, tlv(0x30, tlv(6, b"\x2a" + b"\x81" * n + b"\x01"))))),
    "zeros": bytes,
    "a request and zeros": lambda n: ONE + bytes(n),
}


def _base_128(number: int) -> bytes:
    return bytes([0x80 | (number >> 7) + 1, number & 0x7F]) if number < 16_000 else bytes([0x81, 0x80, 1])


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_no_request_costs_more_than_its_length(hostile, monkeypatch):
    """Also where the bound on its length is away."""
    made = {length: hostile(length) for length in (SHORT, LONG)}
    monkeypatch.setattr(ocsp, "LARGEST_REQUEST", 1 << 20)

    def read(length: int) -> None:
        with contextlib.suppress(Unreadable):
            ocsp.parse_request(made[length])

    does_not_explode(read)


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_each_is_answered_by_get_and_by_post(hostile):
    der = hostile(2_000)
    for reply in (
        request(application(), "/ocsp/x", (), der),
        get("/ocsp/x/" + base64.b64encode(der).decode()),
        get("/ocsp/x/" + der.hex()),
    ):
        assert reply.status == 200
        assert reply.headers["content-type"] == "application/ocsp-response"


@settings(max_examples=200, deadline=None)
@given(path=st.text(st.characters(max_codepoint=255), max_size=200))
def test_any_path_is_answered(path):
    assert get("/ocsp/x/" + path).status in {200, 404}


def test_a_request_of_more_than_16_kib_is_not_even_taken_apart():
    with pytest.raises(Unreadable, match="16 KiB"):
        ocsp.parse_request(ONE + bytes(ocsp.LARGEST_REQUEST))


def test_the_longest_lawful_request_keeps_the_bound():
    """32 certificates by SHA-512, and a nonce of 128 octets."""
    ids = [ocsp.cert_id((1 << 158) + serial, lab().issuing.certificate, "sha512") for serial in range(32)]
    der = ocsp.build_request(ids, bytes(128))
    assert len(der) < ocsp.LARGEST_REQUEST / 2
    assert ocsp.parse_request(der).ids == tuple(ids)


# --- The connection -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def listen():
    (free,) = free_addresses(1)
    with server.running(Source(), lambda: NOW, free) as where:
        yield where


def sent(listen, data: bytes, patience: float = 10) -> bytes:
    """What comes back until the other end hangs up, or is silent for so long."""
    got = []
    with contextlib.closing(socket.create_connection((listen.host, listen.port), patience)) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(data)
        with contextlib.suppress(ConnectionResetError, TimeoutError):
            while part := connection.recv(1 << 16):
                got.append(part)
    return b"".join(got)


def head(*lines: bytes, verb: bytes = b"GET /crl/x.crl") -> bytes:
    return b"\r\n".join([verb + b" HTTP/1.1", b"Host: x", *lines, b"Connection: close", b"", b""])


@pytest.mark.parametrize(
    "data",
    [
        head(b"If-None-Match: a" + b" " * 60_000 + b"a"),
        head(*[b"a:"] * 15_000),
        head(b"X: a", *[b" b"] * 15_000),
        head(verb=b"GET /ocsp/x/" + b"%41" * 20_000),
        b"\r\n" * 30_000,
        b"G" * 60_000,
        bytes(60_000),
    ],
    ids=["spaces", "headers", "folded", "path", "line breaks", "letters", "zeros"],
)
def test_a_head_of_60_kb_is_refused(listen, data):
    assert sent(listen, data).startswith(b"HTTP/1.1 400 ")


def test_a_head_of_15_kb_is_read(listen):
    assert sent(listen, head(b"If-None-Match: a" + b" " * 15_000 + b"a")).startswith(b"HTTP/1.1 200 ")


def chunked(length: int) -> bytes:
    """A body in chunks of one octet, which is what costs most to read."""
    begin = head(b"Transfer-Encoding: chunked", verb=b"POST /ocsp/x")
    return begin + b"1\r\na\r\n" * (length // 6) + b"0\r\n\r\n"


def test_a_body_in_chunks_is_answered(listen):
    assert sent(listen, chunked(6_000)).startswith(b"HTTP/1.1 200 ")


def test_of_a_body_in_chunks_no_more_is_read_than_a_request_can_be(listen, monkeypatch):
    fed: list[int] = []
    real = server.H11Protocol.data_received
    monkeypatch.setattr(
        server.H11Protocol, "data_received", lambda self, data: (fed.append(len(data)), real(self, data))[1]
    )
    monkeypatch.setattr(app, "BODY_WITHIN", 0.2)
    assert sent(listen, chunked(200_000)).startswith(b"HTTP/1.1 408 ")
    assert sum(fed) <= 3 * server.LARGEST_HEAD


def test_who_sends_too_much_keeps_nobody_else_waiting(listen):
    with contextlib.closing(socket.create_connection((listen.host, listen.port), 10)) as hostile:
        hostile.sendall(chunked(200_000))
        assert sent(listen, head()).startswith(b"HTTP/1.1 200 ")


def test_requests_in_a_row_are_all_answered(listen):
    one = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    assert sent(listen, one * 2_000 + head()).count(b"HTTP/1.1 200 ") == 2_001


def test_an_answer_still_ends_by_the_clock():
    assert the_responder().answer(ONE, NOW).fresh_until == NOW + timedelta(hours=1)
