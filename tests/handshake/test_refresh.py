"""refresh.sh keeps a project's CRLs fresh, and lets in none that is false, old or broken."""

from __future__ import annotations

import contextlib
import http.server
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from scaffold.pki import bundles, crl, keys
from scaffold.running.ports import free_addresses
from scaffold.settings.values import Files, Revocation, Source
from tests.handshake.nginx_lab import Authority, allow, ask, authority, client, identity, now, server, until
from tests.handshake.python_lab import place, running, server_folder
from tests.requirements import require_command

HOUR = timedelta(hours=1)


@dataclass
class Publisher:
    """Serves `documents` by path over plain HTTP."""

    port: int = 0
    documents: dict[str, bytes] = field(default_factory=dict)


@contextlib.contextmanager
def publishing() -> Iterator[Publisher]:
    made = Publisher()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = made.documents.get(self.path)
            self.send_response(200 if body is not None else 404)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        made.port = listening.server_address[1]
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield made
        finally:
            listening.shutdown()
            thread.join()


def made_crl(ca: Authority, number: int, *revoked: int, starts: timedelta = -HOUR, ends: timedelta = HOUR) -> crl.Crl:
    entries = [crl.Revoked(serial, now()) for serial in revoked]
    return crl.build(ca.issuer, number, now() + starts, now() + ends, entries)


@dataclass
class Lab:
    """A rendered server that checks CRLs, and where its CAs publish theirs."""

    folder: Path
    publisher: Publisher
    root: Authority
    issuing: Authority

    def publish(self, ca: str, document: crl.Crl | bytes) -> None:
        body = document if isinstance(document, bytes) else crl.to_der(document)
        self.publisher.documents[f"/crl/{ca}.crl"] = body

    def place(self, *crls: crl.Crl) -> bytes:
        text = b"".join(map(crl.to_pem, crls))
        place(self.folder / "tls/crl.pem", text)
        return text

    @property
    def there(self) -> bytes:
        return (self.folder / "tls/crl.pem").read_bytes()

    def numbers(self) -> dict[str, int | None]:
        names = {self.root.certificate.subject: "root", self.issuing.certificate.subject: "issuing"}
        return {names[each.issuer]: crl.number(each) for each in crl.load_all(self.there)}

    def refresh(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [require_command("dash"), self.folder / "refresh.sh"], cwd="/", text=True, capture_output=True, timeout=60,
            check=False, env={"PATH": os.environ["PATH"], "HOME": str(self.folder), **environment},
        )  # fmt: skip

    def refused(self, *words: str) -> None:
        """Refresh fails, says why in a line, and leaves no trace."""
        before = {path: path.read_bytes() for path in (self.folder / "tls").iterdir()}
        done = self.refresh()
        assert done.returncode == 1, done
        assert len(done.stderr.splitlines()) == 1, done.stderr
        for word in ("refresh.sh: ", *words):
            assert word in done.stderr
        assert {path: path.read_bytes() for path in (self.folder / "tls").iterdir()} == before


@pytest.fixture
def lab(tmp_path) -> Iterator[Lab]:
    root = authority("root")
    issuing = authority("issuing", root)
    with publishing() as publisher:
        base = f"http://127.0.0.1:{publisher.port}/crl"
        sources = tuple(
            Source(name, keys.spki_sha256(ca.certificate), f"{base}/{name}.crl")
            for name, ca in {"issuing": issuing, "root": root}.items()
        )
        folder = server_folder(
            tmp_path / "the desk", server(issuing, "desk", "localhost"), root, [allow("teller", issuing)],
            files=Files(crl="tls/crl.pem"), revocation=Revocation("crl", crls=sources),
        )  # fmt: skip
        made = Lab(folder, publisher, root, issuing)
        made.publish("root", made_crl(root, 1))
        made.publish("issuing", made_crl(issuing, 1))
        yield made


def test_takes_what_is_there_for_the_first_time(lab):
    done = lab.refresh()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert lab.numbers() == {"root": 1, "issuing": 1}
    assert lab.there.startswith(b"-----BEGIN X509 CRL-----")
    assert (lab.folder / "tls/crl.pem").stat().st_mode & 0o777 == 0o644


def test_takes_the_newer_and_leaves_the_other(lab):
    lab.place(made_crl(lab.root, 1), made_crl(lab.issuing, 9))
    lab.publish("issuing", made_crl(lab.issuing, 10, 4711))
    assert lab.refresh().returncode == 0
    assert lab.numbers() == {"root": 1, "issuing": 10}


def test_numbers_of_twenty_octets_are_compared(lab):
    high = 1 << 150
    lab.place(made_crl(lab.root, 1), made_crl(lab.issuing, high))
    lab.publish("issuing", made_crl(lab.issuing, high + 1))
    assert lab.refresh().returncode == 0
    assert lab.numbers()["issuing"] == high + 1
    lab.publish("issuing", made_crl(lab.issuing, high))
    lab.refused("issuing: the CRL is older")


def test_what_is_the_same_is_not_written_and_reloads_nothing(lab):
    assert lab.refresh(RELOAD="touch reloaded").returncode == 0
    assert (lab.folder / "reloaded").exists()
    (lab.folder / "reloaded").unlink()
    before = (lab.folder / "tls/crl.pem").stat().st_ino
    assert lab.refresh(RELOAD="touch reloaded").returncode == 0
    assert (lab.folder / "tls/crl.pem").stat().st_ino == before
    assert not (lab.folder / "reloaded").exists()


def test_a_reload_that_fails_is_said(lab):
    done = lab.refresh(RELOAD="exit 7")
    assert (done.returncode, lab.numbers()) == (1, {"root": 1, "issuing": 1})
    assert "exit 7" in done.stderr


def test_a_shorter_life_is_taken(lab):
    """The CA's `revocation: {crl: …}` became shorter: the number rises, and nextUpdate comes sooner."""
    lab.place(made_crl(lab.root, 1), made_crl(lab.issuing, 1, ends=24 * HOUR))
    lab.publish("issuing", made_crl(lab.issuing, 2))
    assert lab.refresh().returncode == 0
    assert lab.numbers()["issuing"] == 2


def tampered(ca: Authority) -> bytes:
    body = bytearray(crl.to_der(made_crl(ca, 7)))
    body[-1] ^= 1
    return bytes(body)


FALSE = {
    "tampered": (lambda lab: tampered(lab.issuing), "not signed by the key of issuing"),
    "of a namesake": (lambda lab: made_crl(authority("issuing"), 7), "not signed by the key of issuing"),
    "of another CA": (lambda lab: made_crl(lab.root, 7), "not signed by the key of issuing"),
    "older": (lambda lab: made_crl(lab.issuing, 4), "older than the one in tls/crl.pem"),
    "of an earlier day": (lambda lab: made_crl(lab.issuing, 6, starts=-9 * HOUR), "older than the one in tls/crl.pem"),
    "expired": (lambda lab: made_crl(lab.issuing, 7, ends=-HOUR / 2), "has expired"),
    "of the future": (lambda lab: made_crl(lab.issuing, 7, starts=HOUR / 2), "of the future"),
    "cut short": (lambda lab: crl.to_der(made_crl(lab.issuing, 7))[:-20], "serves no CRL"),
    "a page": (lambda lab: b"<html>it works</html>", "serves no CRL"),
    "nothing": (lambda lab: b"", "serves no CRL"),
}


@pytest.mark.parametrize("false", FALSE)
def test_a_false_one_is_kept_out(lab, false):
    make, words = FALSE[false]
    lab.place(made_crl(lab.root, 1, ends=2 * HOUR), made_crl(lab.issuing, 5))
    lab.publish("root", crl.load(lab.there))
    lab.publish("issuing", make(lab))
    lab.refused(words)
    lab.publish("issuing", made_crl(lab.issuing, 6))
    assert lab.refresh().returncode == 0


def test_the_publisher_is_down(lab):
    assert lab.refresh().returncode == 0
    del lab.publisher.documents["/crl/issuing.crl"]
    lab.refused("issuing: http://127.0.0.1:", "404")
    sources = lab.folder / "tls/crl-sources"
    sources.write_text(sources.read_text().replace(str(lab.publisher.port), "1"))
    done = lab.refresh()
    assert done.returncode == 1
    assert [line.split(":")[1] for line in done.stderr.splitlines()] == [" issuing", " root"]
    assert lab.numbers() == {"root": 1, "issuing": 1}


def test_one_that_fails_does_not_stop_the_other(lab):
    lab.place(made_crl(lab.root, 1), made_crl(lab.issuing, 1))
    lab.publish("root", made_crl(lab.root, 2))
    lab.publish("issuing", b"")
    assert lab.refresh().returncode == 1
    assert lab.numbers() == {"root": 2, "issuing": 1}


def test_a_crl_of_a_ca_that_is_published_elsewhere_stays(lab):
    other = authority("other")
    lab.place(made_crl(other, 3), made_crl(lab.root, 1))
    assert lab.refresh().returncode == 0
    issuers = [each.issuer for each in crl.load_all(lab.there)]
    assert issuers == [other.certificate.subject, lab.root.certificate.subject, lab.issuing.certificate.subject]


def test_a_ca_that_is_not_in_tls(lab):
    lab.place(made_crl(lab.root, 1), made_crl(lab.issuing, 1))
    (lab.folder / "tls/intermediates.pem").unlink()
    lab.publish("root", crl.load(crl.to_pem(crl.load_all(lab.there)[0])))
    lab.refused("issuing: its certificate is in none of tls/ca.pem")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system")
def test_a_full_disk_leaves_the_old_file(lab, tmp_path):
    old = lab.place(made_crl(lab.root, 1), made_crl(lab.issuing, 1))
    kept = tmp_path / "kept"
    shutil.copytree(lab.folder / "tls", kept)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", lab.folder / "tls"], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        shutil.copytree(kept, lab.folder / "tls", dirs_exist_ok=True)
        lab.publish("issuing", made_crl(lab.issuing, 2, *range(1, 2000)))
        done = lab.refresh()
        assert done.returncode == 1
        assert "cannot be written" in done.stderr
        assert lab.there == old
        assert not list((lab.folder / "tls").glob(".*"))
    finally:
        subprocess.run(["umount", lab.folder / "tls"], check=True)


def test_a_server_takes_up_what_was_fetched(lab):
    teller = client(lab.issuing, "teller")
    assert lab.refresh().returncode == 0
    (free,) = free_addresses(1)
    with running(lab.folder, free.port):
        assert ask(free.port, teller, lab.root).json["caller"] == identity("teller")
        lab.publish("issuing", made_crl(lab.issuing, 2, teller.certificate.serial_number))
        assert lab.refresh().returncode == 0
        until(lambda: not _gets_in(free.port, lab.root, teller))
        lab.publish("issuing", made_crl(lab.issuing, 3))  # a hold that was lifted
        assert lab.refresh().returncode == 0
        until(lambda: _gets_in(free.port, lab.root, teller))


def _gets_in(port: int, root: Authority, caller: object) -> bool:
    try:
        return ask(port, caller, root).status == 200  # type: ignore[arg-type]
    except OSError:
        return False


def test_the_ca_is_found_by_its_key_among_its_namesakes(lab):

    ca = lab.folder / "tls/ca.pem"
    ca.write_bytes(bundles.pem(authority("root").certificate) + ca.read_bytes())
    assert lab.refresh().returncode == 0
