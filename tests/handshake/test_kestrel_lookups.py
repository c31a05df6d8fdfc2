"""Kestrel while look-ups take long or say no: those whom they do not concern are served, and open connections end."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from scaffold.pki import bundles
from scaffold.settings.values import Revocation
from tests.handshake import dotnet_lab as lab
from tests.handshake.dotnet_lab import free_addresses
from tests.handshake.nginx_lab import (
    WITHIN,
    Authority,
    Credential,
    Published,
    PublishedOcsp,
    address,
    allow,
    authority,
    brief,
    call_of,
    client,
    context_of,
    publisher,
    server,
    until,
    upstream,
)
from tests.requirements import require_command

require_command("dotnet")

CALLERS = 30
MOST_AT_ONCE = 8
"""How many look-ups the rendered service makes at a time."""


@pytest.fixture(scope="module")
def root() -> Authority:
    """It signs leaves itself, so that leaves alone are looked up."""
    return authority("Lab Root")


@dataclass
class Responder:
    """The OCSP responder of the root, in the publisher."""

    published: Published
    root: Authority

    @property
    def url(self) -> str:
        return self.published.ocsp_url("root")

    def answers_live(self, lifetime: timedelta) -> PublishedOcsp:
        return self.published.responds("root", self.root, lifetime=lifetime)


@pytest.fixture(scope="module")
def responder(root: Authority) -> Iterator[Responder]:
    with publisher() as published:
        made = Responder(published, root)
        made.answers_live(timedelta(hours=1))
        yield made


@dataclass
class Silent:
    """What accepts connections, reads and never answers; `release` ends all of them, and refuses later ones."""

    listening: socket.socket
    held: list[socket.socket] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listening.getsockname()[1]}/ocsp"

    def accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self.held.append(self.listening.accept()[0])

    def release(self) -> None:
        # A close alone does not wake the thread that accepts.
        with contextlib.suppress(OSError):
            self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        for each in self.held:
            each.close()


@contextlib.contextmanager
def _silence() -> Iterator[Silent]:
    made = Silent(socket.create_server(("127.0.0.1", 0), backlog=CALLERS))
    thread = threading.Thread(target=made.accept)
    thread.start()
    try:
        yield made
    finally:
        made.release()
        thread.join()


@pytest.fixture
def silent() -> Iterator[Silent]:
    with _silence() as made:
        yield made


@pytest.fixture(scope="module")
def desk(root: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[lab.Project]:
    """A server that looks up its callers and the server that it calls. `clerk` and `teller` may call."""
    health, called = free_addresses(2)
    made = lab.server_project(
        tmp_path_factory.mktemp("desk"), root, root, [allow("teller", root), allow("clerk", root)],
        files=lab.CALLING, calls=(call_of("the-vault", called.port, "vault.internal"),),
        health=address(health.port), revocation=Revocation("ocsp"),
    )  # fmt: skip
    with lab.running(made.write()) as running:
        yield running


@contextlib.contextmanager
def _many(ask: Callable[[int], object]) -> Iterator[list[Future[object]]]:
    """`ask` by as many callers at once."""
    with ThreadPoolExecutor(CALLERS) as pool:
        yield [pool.submit(ask, number) for number in range(CALLERS)]


def _cut_off(project: lab.Project, caller: Credential) -> bool:
    """Like `cuts_off`, for handshakes of which there are many: a socket and no HTTP."""
    context = context_of(caller, project.roots[0])
    try:
        with (
            socket.create_connection(("127.0.0.1", project.port), timeout=WITHIN) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as tls,
        ):
            tls.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return tls.recv(1) == b""
    except OSError:
        return True


def _healthz(project: lab.Project) -> bytes:
    health = project.settings.health.port  # type: ignore[union-attr]
    with urllib.request.urlopen(f"http://127.0.0.1:{health}/healthz", timeout=WITHIN) as response:
        return bytes(response.read())


def _served_meanwhile(desk: lab.Project, known: Credential, others: list[Future[object]], silent: Silent) -> bool:
    """Whether a known caller was served while all `others` still waited for as many answers as are awaited at once."""
    for _ in range(5):
        assert desk.ask(known).status == 200
        assert _healthz(desk) == b"ok"
    return len(silent.held) <= MOST_AT_ONCE and not any(other.done() for other in others)


ATTEMPTS = range(5)
"""A look-up gives up after five seconds: a machine that stalled for as long has shown nothing, and tries again."""


def test_a_responder_that_never_answers_stops_nobody_who_is_known(
    desk: lab.Project, root: Authority, responder: Responder
) -> None:
    """What is remembered is served while all the others still wait: the order of events, and no clock, shows it."""
    known = client(root, "teller", ocsp_url=responder.url)
    assert desk.ask(known).status == 200

    def is_served() -> bool:
        with _silence() as silent:
            waiting = [client(root, "clerk", ocsp_url=silent.url) for _ in range(CALLERS)]
            with _many(lambda number: _cut_off(desk, waiting[number])) as others:
                until(lambda: len(silent.held) >= MOST_AT_ONCE)
                served = _served_meanwhile(desk, known, others, silent)
                silent.release()
                assert all(other.result() for other in others)
            return served

    assert any(is_served() for _ in ATTEMPTS)
    until(lambda: desk.refusals("RevocationStatusUnknown") >= CALLERS)
    assert desk.ask(known).status == 200


def test_a_look_up_that_failed_is_not_made_again_at_once(
    desk: lab.Project, root: Authority, responder: Responder
) -> None:
    caller = client(root, "clerk", ocsp_url=responder.url)
    responder.published.available = False
    try:
        assert desk.cuts_off(caller)
        assert desk.cuts_off(caller)
    finally:
        responder.published.available = True
    before = responder.published.asked
    assert desk.cuts_off(caller)
    assert responder.published.asked == before
    until(lambda: not desk.cuts_off(caller))
    assert responder.published.asked > before


def test_connections_of_one_caller_cost_one_look_up(desk: lab.Project, root: Authority, silent: Silent) -> None:
    caller = client(root, "clerk", ocsp_url=silent.url)
    with _many(lambda _: _cut_off(desk, caller)) as others:
        until(lambda: len(silent.held) == 1)
        silent.release()
        assert all(other.result() for other in others)
    assert len(silent.held) == 1


def test_a_called_servers_responder_that_never_answers_stops_nobody(
    desk: lab.Project, root: Authority, responder: Responder, tmp_path: Path
) -> None:
    known = client(root, "teller", ocsp_url=responder.url)
    assert desk.ask(known).status == 200
    port = desk.settings.calls[0].port

    def is_served() -> bool:
        with _silence() as silent:
            vault = server(root, "the-vault", "vault.internal", ocsp_url=silent.url)
            with (
                upstream(vault, root, tmp_path, port=port),
                _many(lambda _: desk.ask(known, "/call/the-vault").status) as others,
            ):
                until(lambda: len(silent.held) >= 1)
                served = _served_meanwhile(desk, known, others, silent)
                silent.release()
                assert {other.result() for other in others} == {502}
            return served

    assert any(is_served() for _ in ATTEMPTS)


# --- Connections that stay open --------------------------------------------------------------------------------------


@contextlib.contextmanager
def _kept_open(project: lab.Project, caller: Credential) -> Iterator[Callable[[], int | None]]:
    """GET on one connection: the status, None once the server has ended it."""
    connection = http.client.HTTPSConnection(
        "localhost", project.port, context=context_of(caller, project.roots[0]), timeout=WITHIN
    )
    connection.connect()
    connection.auto_open = 0

    def get() -> int | None:
        try:
            connection.request("GET", "/")
            with connection.getresponse() as response:
                response.read()
                return response.status
        except (OSError, http.client.NotConnected):
            return None

    with contextlib.closing(connection):
        yield get


def test_a_caller_that_is_revoked_loses_its_open_connection(
    desk: lab.Project, root: Authority, responder: Responder
) -> None:
    """Within the life of what .NET remembers, and the 15 seconds between two looks. Who is not revoked stays."""
    answers = responder.answers_live(timedelta(seconds=5))
    thief, honest = (client(root, name, ocsp_url=responder.url) for name in ("clerk", "teller"))
    try:
        with _kept_open(desk, thief) as get, _kept_open(desk, honest) as get_honest:
            assert (get(), get_honest()) == (200, 200)
            answers.revoke(thief)
            until(lambda: get() is None)
            assert get_honest() == 200
    finally:
        responder.answers_live(timedelta(hours=1)).revoke(thief)
    until(lambda: any("Ended the connection of 127.0.0.1" in line and "Revoked" in line for line in desk.lines))
    assert desk.cuts_off(thief)


def test_a_root_that_is_taken_away_ends_the_open_connections_of_its_callers(root: Authority, tmp_path: Path) -> None:
    """Where nothing is looked up too. Those of the other root stay."""
    other = authority("Other Root")
    made = lab.server_project(
        tmp_path, root, root, [allow("teller", root), allow("clerk", other)], roots=[other], files=lab.PFX
    ).write()
    with (
        lab.running(made) as project,
        _kept_open(project, client(root, "teller")) as get,
        _kept_open(project, client(other, "clerk")) as get_other,
    ):
        assert (get(), get_other()) == (200, 200)
        project.put("ca.pem", bundles.pem(root.certificate))
        until(lambda: get_other() is None)
        assert get() == 200


def test_an_idle_connection_ends_with_its_certificate(root: Authority, tmp_path: Path) -> None:
    made = lab.server_project(tmp_path, root, root, [allow("teller", root)], files=lab.PFX).write()
    with lab.running(made) as project:
        assert project.ask(client(root, "teller")).status == 200  # the first one waits for .NET to compile
        with brief(root, partial(_answered, project)) as (_, tls), contextlib.suppress(OSError):
            while tls.recv(65_536):
                pass
        until(lambda: any("Ended the connection" in line and "NotTimeValid" in line for line in project.lines))


@contextlib.contextmanager
def _answered(project: lab.Project, caller: Credential) -> Iterator[ssl.SSLSocket]:
    """A connection whose first request was answered."""
    context = context_of(caller, project.roots[0])
    with (
        socket.create_connection(("127.0.0.1", project.port), timeout=WITHIN) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as tls,
    ):
        tls.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert tls.recv(65_536).startswith(b"HTTP/1.1 200")
        yield tls


STREAM = """
    app.Map("/stream", async (HttpContext http) =>
    {
        await http.Response.WriteAsync("first");
        await http.Response.Body.FlushAsync();
        await Task.Delay(Timeout.Infinite, http.RequestAborted);
    });
"""
BUILT = "    var app = builder.Build();\n"


@contextlib.contextmanager
def _streaming(project: lab.Project, caller: Credential) -> Iterator[ssl.SSLSocket]:
    """A request whose answer never ends, and has begun."""
    context = context_of(caller, project.roots[0])
    with (
        socket.create_connection(("127.0.0.1", project.port), timeout=WITHIN) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as tls,
    ):
        tls.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = b""
        while b"first" not in received:
            received += tls.recv(65_536)
        yield tls


def _has_ended(stream: ssl.SSLSocket) -> bool:
    try:
        return not stream.recv(65_536)
    except TimeoutError:
        return False
    except OSError:
        return True


def test_a_stream_ends_when_its_caller_is_taken_off_the_allow_list(root: Authority, tmp_path: Path) -> None:
    """That of a caller who stays on it goes on; so does a refused caller's connection, which learns why each time."""
    both = [allow("teller", root), allow("clerk", root)]
    made = lab.server_project(tmp_path, root, root, both, files=lab.PFX)
    made.write(edits=[("Program.cs", BUILT, BUILT + STREAM)])
    with (
        lab.running(made) as project,
        _streaming(project, client(root, "teller")) as stream,
        _streaming(project, client(root, "clerk")) as other,
        _kept_open(project, client(root, "stranger")) as get,
    ):
        assert get() == 403
        project.allow(allow("clerk", root))
        assert _has_ended(stream)
        other.settimeout(1)
        assert not _has_ended(other)
        assert get() == 403
