"""Who stands in for an app, and what a front's answer comes to beside what has reached it."""

from __future__ import annotations

import http.client
import socket

import pytest

from scaffold.verify import judge
from scaffold.verify.judge import Welcome
from scaffold.verify.model import Observed
from scaffold.verify.protocol import Admitted, Closed, Denied, Failed, Outcome, Unreachable
from scaffold.verify.stand_in import StandIn, _both

CALLER = b'{"server": "shop", "caller": "spiffe://a/b", "roles": [], "on_behalf_of": null}'
IN = Admitted("http", "HTTP 200", CALLER)
DENIED = Denied("http", "HTTP 403")
HEADERS = (("Host", "shop"),)


def test_it_writes_down_what_reaches_it_by_path() -> None:
    with StandIn("shop") as app:
        first, second = app.path(), app.path()
        assert first != second
        for value in ("1", "2"):
            connection = http.client.HTTPConnection(app.address.host, app.address.port, timeout=20)
            connection.putrequest("GET", first, skip_host=True, skip_accept_encoding=True)
            connection.putheader("X_Odd", value)
            connection.endheaders()
            assert connection.getresponse().status == 200
            connection.close()
        assert app.reached_at(first) == ((("X_Odd", "1"),), (("X_Odd", "2"),))
        assert app.reached_at(second) == ()


def sent(app: StandIn, *pieces: bytes) -> None:
    """A request in pieces; its answer has come, or the connection has ended, on return."""
    with socket.create_connection((app.address.host, app.address.port), timeout=20) as connection:
        for piece in pieces:
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass


def test_fields_after_an_empty_body_count_among_the_headers_once_they_have_come() -> None:
    with StandIn("shop") as app:
        path, cut, plain = app.path(), app.path(), app.path()
        head = b"POST %s HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
        sent(app, head % path.encode() + b"X-Odd: 1\r\nX", b"-Even: 2\r\n\r\n")
        sent(app, head % cut.encode() + b"X-Odd: 1\r\n")
        sent(app, head % plain.encode() + b"\r\n")
        chunked = ("Transfer-Encoding", "chunked")
        assert app.reached_at(path) == ((chunked, ("X-Odd", "1"), ("X-Even", "2")),)
        assert app.reached_at(cut) == ()
        assert app.reached_at(plain) == ((chunked,),)


@pytest.mark.parametrize(
    ("answer", "asked", "reached", "observed"),
    [
        (IN, IN, (HEADERS,), Observed.ALLOWED),
        (IN, IN, (), Observed.BROKEN),
        (IN, IN, (HEADERS, HEADERS), Observed.BROKEN),
        (IN, Failed("http", "HTTP 502", beyond=True), (), Observed.BROKEN),
        (IN, DENIED, (), Observed.REFUSED),
        (IN, Unreachable("refused"), (), Observed.UNREACHABLE),
        (DENIED, DENIED, (), Observed.REFUSED),
        (DENIED, DENIED, (HEADERS,), Observed.ALLOWED),
        (DENIED, IN, (), Observed.ALLOWED),
        (DENIED, Failed("http", "HTTP 404"), (), Observed.REFUSED),
        (Closed("unknown ca", False), Closed(None, False), (), Observed.REFUSED),
        (Closed("unknown ca", False), Closed(None, False), (HEADERS,), Observed.ALLOWED),
        (Failed("http", "HTTP 500"), IN, (HEADERS,), Observed.ALLOWED),
    ],
)
def test_whoever_is_refused_reaches_neither(
    answer: Outcome, asked: Outcome, reached: tuple[object, ...], observed: Observed
) -> None:
    assert judge.admission(_both(answer, asked, reached)).observed is observed  # type: ignore[arg-type]


class _Said:
    """Stands for what an app must be told: says of it what a test wants."""

    def __init__(self, wrong: str | None) -> None:
        self.said, self.forward = wrong, ()

    def wrong(self, reached: object) -> str | None:
        assert reached == HEADERS
        return self.said


@pytest.mark.parametrize(
    ("wrong", "observed", "detail"),
    [
        (None, Observed.ALLOWED, "as spiffe://a/b; its app received it by nothing"),
        ("was told a lie", Observed.BROKEN, "the app behind it was told a lie"),
    ],
)
def test_a_welcome_is_one_where_the_app_was_told_so(wrong: str | None, observed: Observed, detail: str) -> None:
    welcome = Welcome("shop", "spiffe://a/b", told=_Said(wrong))  # type: ignore[arg-type]
    finding = judge.admission(_both(IN, IN, (HEADERS,)), welcome)
    assert (finding.observed, finding.detail) == (observed, detail)


def test_an_answer_that_names_another_is_none_whatever_the_app_was_told() -> None:
    welcome = Welcome("shop", "spiffe://a/other", told=_Said(None))  # type: ignore[arg-type]
    assert judge.admission(_both(IN, IN, (HEADERS,)), welcome).observed is Observed.BROKEN
