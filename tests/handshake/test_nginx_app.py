"""The person's part of the nginx kind: whatever app.conf says, who may not call is refused, and who called is told."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.handshake.nginx_lab import (
    WITHIN,
    Answer,
    Authority,
    Credential,
    Project,
    allow,
    project,
    running,
    until,
)
from tests.requirements import require_command


@pytest.fixture(autouse=True)
def _nginx() -> None:
    require_command("nginx")


@pytest.fixture
def desk(tmp_path: Path, root: Authority, ca: Authority) -> Project:
    return project(tmp_path / "desk", root, ca, [allow("teller", ca)]).write()


def with_app(desk: Project, text: str) -> Project:
    (desk.folder / "app.conf").write_text(text.replace("PORT", str(desk.port)))
    return desk


def in_vain(desk: Project, **how: object) -> subprocess.CompletedProcess[str]:
    """run.sh, which must end by itself."""
    return subprocess.run(
        [desk.folder / "run.sh"], capture_output=True, text=True, timeout=WITHIN, check=False, **how,  # type: ignore[call-overload]
    )  # fmt: skip


ECHO = 'return 200 \'{"subject": "$http_x_client_subject", "caller": "$http_x_client_identity", "uri": "$uri"}\';\n'


# --- It cannot open the front ----------------------------------------------------------------------------------------

GREEDY = {
    "a return": "return 200 '{\"opened\": true}';\n",
    "a rewrite": "rewrite ^ /open break;\nlocation = /open { return 200 '{\"opened\": true}'; }\n",
    "an error page": "error_page 400 403 495 496 =200 /open;\nlocation / { return 200 '{\"opened\": true}'; }\n",
    "settings of TLS": "ssl_verify_client off;\nlocation / { return 200 '{\"opened\": true}'; }\n",
    "satisfy any": "satisfy any;\nallow all;\nlocation / { return 200 '{\"opened\": true}'; }\n",
    "its own caller": "set $has_ended '';\nlocation / { return 200 '{\"opened\": true}'; }\n",
}


@pytest.mark.parametrize("text", GREEDY.values(), ids=GREEDY)
def test_nothing_in_it_lets_anybody_in(desk: Project, teller: Credential, mallory: Credential, text: str) -> None:
    with running(with_app(desk, text)):
        assert desk.ask(teller).status == 200
        for path in ("/", "/any", "/.mtls/caller"):
            for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
                assert desk.ask(mallory, path, method=method).status == 403
        assert desk.ask(None).status == 400
        named = desk.ask(teller, "/.mtls/caller").json
        assert named == {"server": "desk", "caller": "spiffe://lab/client/teller", "roles": [], "on_behalf_of": None}


def test_without_the_outer_decision_it_would_be_open(desk: Project, mallory: Credential) -> None:
    """The failing twin: what keeps mallory out above is the outer nginx, and nothing else."""
    desk.write(change=lambda text: text.replace('if ($caller = "")', 'if ($caller = "nobody")'))
    with running(with_app(desk, GREEDY["a return"])):
        assert desk.ask(mallory).json == {"opened": True}


OTHER_SERVERS = {
    "on the port": "server { listen 127.0.0.1:PORT; return 200; }",
    "on every address": "server { listen PORT; return 200; }",
    "by TLS": "server { listen 127.0.0.1:PORT ssl; ssl_certificate tls/cert.pem; ssl_certificate_key tls/key.pem; "
    "return 200; }",
    "beside the front": "server { listen 127.0.0.1:PORT reuseport; return 200; }",
}


@pytest.mark.parametrize("text", OTHER_SERVERS.values(), ids=OTHER_SERVERS)
def test_another_server_gets_no_port_of_callers(
    desk: Project, teller: Credential, mallory: Credential, text: str
) -> None:
    """nginx lets no file close a block of another one; whoever edits inner.conf itself finds the port taken."""
    wrapped = with_app(desk, f"location / {{ return 200; }} }}\n{text}\nserver {{")
    assert 'unexpected "}"' in in_vain(wrapped).stderr
    desk.write()

    inner = desk.folder / "inner.conf"
    sound = inner.read_text()
    inner.write_text(sound.rstrip().removesuffix("}") + text.replace("PORT", str(desk.port)) + "\n}\n")
    ended = in_vain(desk)
    assert ended.returncode == 1
    assert f":{desk.port} failed" in ended.stderr
    assert "app.conf cannot be served" in ended.stderr
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", desk.port))  # neither of the two nginx runs on

    edited = inner.read_text()
    inner.write_text(sound)
    with running(desk):
        inner.write_text(edited)
        desk.reload()
        until(lambda: any(f":{desk.port} failed" in line for line in desk.lines))
        assert (desk.ask(teller).json["greeting"], desk.ask(mallory).status) == ("hello", 403)


UNUSABLE = {
    "a brace too many": "location / { return 200; } }\n",
    "a brace too few": "location / { return 200;\n",
    "the level of http": "map $uri $x { default 1; }\n",
    "another http": "location / { return 200; } } } http { server { listen 1; }\n",
    "the outer configuration": "include nginx.conf;\n",
    "input": "include /dev/stdin;\nlocatoin / { }\n",
}


@pytest.mark.parametrize("text", UNUSABLE.values(), ids=UNUSABLE)
def test_what_is_no_inside_of_a_server_does_not_start_and_is_not_loaded(
    desk: Project, teller: Credential, text: str
) -> None:
    with_app(desk, text)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as silent:
        ended = in_vain(desk, stdin=silent.stdout)  # an input that never ends
        assert silent.stdin is not None
        silent.stdin.close()
    assert (ended.returncode, "[emerg]" in ended.stderr) == (1, True)

    with running(desk.write()):
        with_app(desk, text)
        desk.reload()
        until(lambda: any("not reloaded" in line for line in desk.lines))
        assert desk.ask(teller).json["greeting"] == "hello"


def test_the_socket_is_in_a_folder_of_the_service_alone(desk: Project) -> None:
    with running(desk):
        (folder,) = (desk.folder / "run").glob("nginx.*/app")
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_ISSOCK((folder / "app.sock").stat().st_mode)
    assert not list((desk.folder / "run").glob("nginx.*"))


def test_a_path_that_is_too_long_for_a_socket(
    tmp_path: Path, root: Authority, ca: Authority, teller: Credential
) -> None:
    deep = tmp_path / ("d" * 120) / ("with space " * 8)
    made = project(deep, root, ca, [allow("teller", ca)]).write()
    with running(made):
        assert made.ask(teller).json["greeting"] == "hello"


# --- What it is told -------------------------------------------------------------------------------------------------

FORGED = [
    ("X-Client-Subject", "CN=admin"), ("X-Client-Issuer", "CN=admin"), ("X-Client-Identity", "spiffe://lab/admin"),
    ("X-Client-Roles", "admin"), ("X-On-Behalf-Of-Subject", "CN=admin"), ("X-On-Behalf-Of-Issuer", "CN=admin"),
    ("X_Client_Subject", "CN=admin"), ("X-Forwarded-Client-Cert", "CN=admin"),
    ("Remote-User", "admin"), ("Forwarded", "for=admin"),
]  # fmt: skip


@pytest.fixture
def backend() -> Iterator[tuple[int, list[str]]]:
    """A plain program behind the inner nginx: its port, and the requests that reached it."""
    import http.server
    import threading

    seen: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(f"{self.path}\n{self.headers}")
            self.send_response(200)
            if self.path == "/accel":
                self.send_header("X-Accel-Redirect", "/.mtls/caller")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield listening.server_address[1], seen
        listening.shutdown()
        thread.join()


@pytest.mark.parametrize("own", ["", "proxy_set_header X-Mine 1;", "proxy_set_header X-Client-Subject 'CN=teller';"])
def test_a_header_rule_in_it_brings_back_nothing_that_was_forged(
    desk: Project, teller: Credential, backend: tuple[int, list[str]], own: str
) -> None:
    """One `proxy_set_header` in a location drops all that it would inherit; here it would inherit nothing."""
    port, seen = backend
    with running(with_app(desk, f"location / {{ {own} proxy_pass http://127.0.0.1:{port}; }}")):
        desk.ask(teller, "/x", headers=FORGED)
    assert len(seen) == 1
    assert "admin" not in seen[0]
    assert "CN=teller" in seen[0]


def test_an_answer_does_not_send_the_request_on_in_the_outer_nginx(
    desk: Project, teller: Credential, backend: tuple[int, list[str]]
) -> None:
    port, _ = backend
    passed_on = "proxy_ignore_headers X-Accel-Redirect; proxy_pass_header X-Accel-Redirect;"
    with running(with_app(desk, f"location / {{ {passed_on} proxy_pass http://127.0.0.1:{port}; }}")):
        assert desk.ask(teller, "/accel").body == "ok"
    obeyed = ("proxy_ignore_headers X-Accel-Redirect", "proxy_ignore_headers Expires")
    desk.write(change=lambda text: text.replace(*obeyed))
    with running(with_app(desk, f"location / {{ {passed_on} proxy_pass http://127.0.0.1:{port}; }}")):
        assert desk.ask(teller, "/accel").json["server"] == "desk"


def test_it_is_told_who_called(desk: Project, teller: Credential) -> None:
    with running(with_app(desk, ECHO)):
        answer = desk.ask(teller, "/a%2Fb?c", headers=FORGED)
        assert answer.json == {"subject": teller.dn, "caller": "spiffe://lab/client/teller", "uri": "/a/b"}


def test_its_own_refusals_and_pages_pass(root: Authority, ca: Authority, teller: Credential) -> None:
    with tempfile.TemporaryDirectory() as place:  # not tmp_path, which the workers of a root's nginx may not enter
        Path(place).chmod(0o755)
        desk = project(Path(place) / "desk", root, ca, [allow("teller", ca)]).write()
        (desk.folder / "www").mkdir()
        (desk.folder / "www/page.html").write_text("a page")
        (desk.folder / "more.conf").write_text("location = /gone { return 410 'gone'; }\n")
        with running(with_app(desk, "include more.conf;\nlocation / { root project/www; }\n")):
            assert (desk.ask(teller, "/gone").status, desk.ask(teller, "/gone").body) == (410, "gone")
            assert desk.ask(teller, "/page.html").body == "a page"
            assert desk.ask(teller, "/no.html").status == 404


def test_it_is_loaded_anew_by_hup(desk: Project, teller: Credential) -> None:
    def greeting() -> object:
        answer: Answer = desk.ask(teller)
        assert answer.status == 200
        return answer.json.get("new")

    with running(desk):
        with_app(desk, "return 200 '{\"new\": 1}';")
        desk.reload()
        until(lambda: greeting() == 1)


def test_where_it_does_not_run_the_answer_says_so(desk: Project, teller: Credential) -> None:
    with running(desk):
        (pid,) = (desk.folder / "run").glob("nginx.*/app/app.pid")
        os.kill(int(pid.read_text()), 15)
        until(lambda: desk.ask(teller).status == 502)
        assert "app.conf" in desk.ask(teller).error
        assert desk.ask(teller, "/.mtls/caller").status == 200


@pytest.mark.parametrize("end", [lambda service: service._process.terminate(), lambda service: service._process.kill()])
def test_the_inner_nginx_ends_with_the_outer(desk: Project, end: Callable[[object], None]) -> None:
    with running(desk):
        (pid,) = (desk.folder / "run").glob("nginx.*/app/app.pid")
        inner = int(pid.read_text())
    until(lambda: not Path(f"/proc/{inner}").exists())
