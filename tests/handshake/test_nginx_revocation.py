"""nginx and revocation before real handshakes: OCSP of the caller, its own staple, and the script that fetches both."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from scaffold.errors import VerifyError
from scaffold.pki import bundles, crl
from scaffold.publish.responder import Answer
from scaffold.running.ports import free_addresses
from scaffold.settings.values import Files, Revocation
from tests.handshake.nginx_lab import (
    WITHIN,
    Authority,
    Credential,
    Project,
    Published,
    PublishedOcsp,
    allow,
    ask,
    authority,
    client,
    context_of,
    crl_of,
    project,
    publisher,
    responder,
    running,
    server,
    until,
)
from tests.requirements import require_command

require_command("nginx", "openssl", "curl")

AGO = timedelta(minutes=-5)
REFUSED = "the client certificate was not accepted"


@pytest.fixture
def published(root: Authority, ca: Authority) -> Iterator[Published]:
    """A publisher that answers good for all of `ca`, and has the CRLs of both."""
    with publisher() as made:
        made.crls = {"root": crl_of(root), "issuing": crl_of(ca)}
        made.responds("issuing", ca)
        yield made


@dataclass
class OpensslOcsp(PublishedOcsp):
    """`openssl ocsp` answers for its CA. Its own -port listens on every interface, so HTTP is the publisher's."""

    folder: Path = field(kw_only=True)
    known: Sequence[Credential] = field(kw_only=True)

    def answer(self, request: bytes, at: datetime) -> Answer:
        responder(self.ca).write(self.folder / "responder.pem", self.folder / "responder.key")
        (self.folder / "ca.pem").write_bytes(bundles.pem(self.ca.certificate))
        (self.folder / "index.txt").write_text("".join(map(self._line, self.known)))
        (self.folder / "request.der").write_bytes(request)
        subprocess.run(
            [
                "openssl", "ocsp", "-index", "index.txt", "-CA", "ca.pem", "-rsigner", "responder.pem",
                "-rkey", "responder.key", "-nmin", "30", "-reqin", "request.der", "-respout", "response.der",
            ],
            cwd=self.folder, check=True, capture_output=True,
        )  # fmt: skip
        return Answer((self.folder / "response.der").read_bytes(), "openssl", at)

    def _line(self, one: Credential) -> str:
        """One line of the index that `openssl ca` keeps: flag, end, since when revoked, serial, file, subject."""
        serial = one.certificate.serial_number
        flag, when = ("R", "260101000000Z") if serial in self.revoked else ("V", "")
        return f"{flag}\t491231235959Z\t{when}\t{serial:040X}\tunknown\t/CN=teller\n"


# --- OCSP of the caller ----------------------------------------------------------------------------------------------


def asking(
    folder: Path, root: Authority, ca: Authority, published: Published, crls: bytes | None = None, **changes: object
) -> Project:
    """A server that asks the publisher about its callers, written to disk; `crls` are those of its CAs."""
    revocation = Revocation("ocsp", responders=(published.ocsp_source("issuing", ca),))
    given = {"revocation": revocation, "files": Files(crl="tls/crl.pem"), **changes}
    made = project(folder, root, ca, [allow("teller", ca)], **given)
    (made.tls / "crl.pem").write_bytes(crls if crls is not None else crl_of(root) + crl_of(ca))
    return made.write()


def caller(ca: Authority, published: Published) -> Credential:
    """The teller, with a certificate that names the publisher's responder."""
    return client(ca, "teller", ocsp_url=published.ocsp_url("issuing"))


def test_a_good_caller_gets_in_and_a_revoked_one_does_not(
    tmp_path: Path, root: Authority, ca: Authority, published: Published
) -> None:
    good, revoked = caller(ca, published), caller(ca, published)
    published.responders["issuing"].revoke(revoked)
    with running(asking(tmp_path / "with", root, ca, published)) as desk:
        assert desk.ask(good).status == 200
        assert desk.ask(good.alone).status == 200
        assert "certificate revoked" in desk.ask(revoked).error
        assert desk.ask(client(ca, "auditor", ocsp_url=published.ocsp_url("issuing"))).status == 403
    made = asking(tmp_path / "without", root, ca, published)
    made.write(change=lambda text: text.replace("ssl_ocsp leaf", "ssl_ocsp off"))
    with running(made):
        assert made.ask(revoked).status == 200


def test_openssl_s_own_responder_is_believed_too(
    tmp_path: Path, root: Authority, ca: Authority, published: Published
) -> None:
    good, revoked, unknown = (caller(ca, published) for _ in range(3))
    published.responders["issuing"] = OpensslOcsp(ca, folder=tmp_path, known=(good, revoked))
    published.responders["issuing"].revoke(revoked)
    with running(asking(tmp_path / "desk", root, ca, published)) as desk:
        assert desk.ask(good).status == 200
        assert "certificate revoked" in desk.ask(revoked).error
        assert desk.ask(unknown).error.startswith(REFUSED)


@pytest.mark.parametrize("at_root", [False, True])
def test_a_leaf_of_a_revoked_intermediate_stays_out(
    tmp_path: Path, root: Authority, ca: Authority, published: Published, at_root: bool
) -> None:
    """The responder still calls the leaf good; the root's CRL does not."""
    gone = [Credential(ca.certificate, ca.issuer.key, ())] if at_root else []
    with running(asking(tmp_path, root, ca, published, crl_of(root, *gone) + crl_of(ca))) as desk:
        answer = desk.ask(caller(ca, published))
        assert answer.status == (400 if at_root else 200)
        assert not at_root or "certificate revoked" in answer.error


@pytest.mark.parametrize("crls", ["no root's", "root's expired", "issuing's expired"])
def test_without_a_valid_crl_of_every_ca_nobody_gets_in(
    tmp_path: Path, root: Authority, ca: Authority, published: Published, crls: str
) -> None:
    text = {
        "no root's": crl_of(ca),
        "root's expired": crl_of(root, ends=AGO) + crl_of(ca),
        "issuing's expired": crl_of(root) + crl_of(ca, ends=AGO),
    }[crls]
    with running(asking(tmp_path, root, ca, published, text)) as desk:
        assert "CRL" in desk.ask(caller(ca, published)).error


def test_a_root_that_issues_leaves_itself_needs_no_crl(tmp_path: Path, root: Authority, published: Published) -> None:
    published.responds("root", root)
    source = published.ocsp_source("root", root)
    good = client(root, "teller", ocsp_url=source.url)
    revoked = client(root, "teller", ocsp_url=source.url)
    published.responders["root"].revoke(revoked)
    allowed = [replace(allow("teller", root), issuer="root")]
    made = project(
        tmp_path, root, root, allowed, verify_depth=0, revocation=Revocation("ocsp", responders=(source,))
    ).write()
    with running(made):
        assert made.ask(good).status == 200
        assert "certificate revoked" in made.ask(revoked).error


def unavailable(published: Published, ca: Authority) -> None:
    published.available = False


def nowhere(published: Published, ca: Authority) -> None:
    published.responders.clear()


def unknown(published: Published, ca: Authority) -> None:
    published.responds("issuing", ca, knows=False)


def stale(published: Published, ca: Authority) -> None:
    published.responds("issuing", ca, age=timedelta(minutes=40))


def of_the_future(published: Published, ca: Authority) -> None:
    published.responds("issuing", ca, age=timedelta(minutes=-40))


def by_another_ca(published: Published, ca: Authority) -> None:
    published.responds("issuing", ca, signer=responder(authority("Lab Issuing", authority("Lab Root"))))


def by_a_leaf(published: Published, ca: Authority) -> None:
    published.responds("issuing", ca, signer=client(ca, "mallory"))


def about_another_ca(published: Published, ca: Authority) -> None:
    published.responds("issuing", authority("Lab Issuing"))


@pytest.mark.parametrize(
    "fault", [unavailable, nowhere, unknown, stale, of_the_future, by_another_ca, by_a_leaf, about_another_ca]
)
def test_without_a_good_answer_nobody_gets_in(
    tmp_path: Path, root: Authority, ca: Authority, published: Published, fault: Callable[[Published, Authority], None]
) -> None:
    fault(published, ca)
    with running(asking(tmp_path, root, ca, published)) as desk:
        assert desk.ask(caller(ca, published)).error.startswith(REFUSED)
        published.available = True
        published.responds("issuing", ca)
        assert desk.ask(caller(ca, published)).status == 200


def test_a_responder_that_is_down_lets_nobody_in(
    tmp_path: Path, root: Authority, ca: Authority, published: Published
) -> None:
    (free,) = free_addresses(1)
    gone = Published(free.port)
    with running(asking(tmp_path, root, ca, gone)) as desk:
        assert desk.ask(caller(ca, gone)).error.startswith(REFUSED)


def test_a_responder_that_hangs_delays_its_callers_alone(
    tmp_path: Path, root: Authority, ca: Authority, published: Published
) -> None:
    """Callers about whom an answer is known are let in meanwhile."""
    known = caller(ca, published)
    made = asking(tmp_path, root, ca, published, variables={"resolver": "127.0.0.1"})
    with running(made), socket.create_server(("127.0.0.1", 0)) as silent:
        assert made.ask(known).status == 200
        waiting = client(ca, "teller", ocsp_url=f"http://127.0.0.1:{silent.getsockname()[1]}/")
        with ThreadPoolExecutor(1) as pool:
            refused = pool.submit(made.ask, waiting)
            asked, _ = silent.accept()
            silent.close()
            with asked:
                assert asked.recv(65536).startswith(b"GET /")
                assert made.ask(known).status == 200
                assert not refused.done()
            assert refused.result(WITHIN).status == 400


def test_an_answer_is_believed_until_its_next_update(
    tmp_path: Path, root: Authority, ca: Authority, published: Published
) -> None:
    teller = caller(ca, published)
    ocsp = published.responds("issuing", ca, lifetime=timedelta(seconds=8))
    with running(asking(tmp_path, root, ca, published)) as desk:
        assert desk.ask(teller).status == 200
        ocsp.revoke(teller)
        published.asked = 0
        assert (desk.ask(teller).status, published.asked) == (200, 0)
        until(lambda: desk.ask(teller).status == 400)
        assert published.asked > 0


# --- Its own staple --------------------------------------------------------------------------------------------------


def stapling(folder: Path, root: Authority, ca: Authority, published: Published, **changes: object) -> Project:
    """A server with a staple in its folder, whose certificate demands one; written to disk."""
    given = {"staple": True, "must_staple": True, "files": Files(staple="tls/staple.der"), **changes}
    made = project(folder, root, ca, [allow("teller", ca)], **given)
    made.own = desk_certificate(ca, published)
    staple(made, published.responders["issuing"])
    bring_client(made, root, client(ca, "teller"))
    return made.write()


def desk_certificate(ca: Authority, published: Published) -> Credential:
    return server(ca, "desk", "localhost", ocsp_url=published.ocsp_url("issuing"), must_staple=True)


def staple(made: Project, ocsp: PublishedOcsp) -> None:
    (made.tls / "staple.der").write_bytes(ocsp.response(made.own))


def bring_client(made: Project, root: Authority, teller: Credential) -> None:
    """The files of a caller, for openssl and curl."""
    teller.write(made.folder.parent / "teller.pem", made.folder.parent / "teller.key")
    (made.folder.parent / "root.pem").write_bytes(bundles.pem(root.certificate))


def s_client(made: Project) -> str:
    """What `openssl s_client -status` says of one handshake."""
    command = [
        "openssl", "s_client", "-connect", f"127.0.0.1:{made.port}", "-servername", "localhost", "-status",
        "-CAfile", "root.pem", "-cert", "teller.pem", "-key", "teller.key",
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=made.folder.parent, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WITHIN
    )
    return done.stdout


def curl(made: Project) -> tuple[int, str]:
    """The exit code of a curl that demands a good staple, and what it says."""
    command = [
        "curl", "-q", "--silent", "--show-error", "--cert-status", "--cacert", "root.pem", "--cert", "teller.pem",
        "--key", "teller.key", "--noproxy", "*", "--max-time", "60", f"https://localhost:{made.port}/",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=made.folder.parent, capture_output=True, text=True, timeout=WITHIN)
    return done.returncode, done.stdout + done.stderr


INVALID_STATUS = 91
"""CURLE_SSL_INVALIDCERTSTATUS."""


def test_the_first_handshake_has_the_staple(
    tmp_path: Path, root: Authority, ca: Authority, published: Published
) -> None:
    with running(stapling(tmp_path / "desk", root, ca, published)) as desk:
        said = s_client(desk)
        assert "OCSP Response Status: successful" in said
        assert "Cert Status: good" in said
        code, answer = curl(desk)
        assert (code, '"caller": "spiffe://lab/client/teller"' in answer) == (0, True), answer
    assert published.asked == 0


def test_a_restart_has_it_at_once_too(tmp_path: Path, root: Authority, ca: Authority, published: Published) -> None:
    """The claim behind must_staple: the very first caller of each life gets it, publisher or not."""
    made = stapling(tmp_path / "desk", root, ca, published)
    published.available = False
    for _ in range(3):
        with running(made):
            assert curl(made)[0] == 0


def no_staple(made: Project, ocsp: PublishedOcsp) -> None:
    made.write(change=lambda text: text.replace("ssl_stapling on", "ssl_stapling off"))


def revoked_staple(made: Project, ocsp: PublishedOcsp) -> None:
    ocsp.revoke(made.own)
    staple(made, ocsp)


def expired_staple(made: Project, ocsp: PublishedOcsp) -> None:
    staple(made, replace(ocsp, age=timedelta(minutes=40)))


def staple_of_another(made: Project, ocsp: PublishedOcsp) -> None:
    (made.tls / "staple.der").write_bytes(ocsp.response(client(ocsp.ca, "other")))


def staple_by_another(made: Project, ocsp: PublishedOcsp) -> None:
    staple(made, replace(ocsp, signer=responder(authority("Lab Issuing"))))


@pytest.mark.parametrize("fault", [no_staple, revoked_staple, expired_staple, staple_of_another, staple_by_another])
def test_a_caller_that_demands_a_good_staple_turns_away(
    tmp_path: Path,
    root: Authority,
    ca: Authority,
    published: Published,
    fault: Callable[[Project, PublishedOcsp], None],
) -> None:
    made = stapling(tmp_path / "desk", root, ca, published)
    fault(made, published.responders["issuing"])
    with running(made):
        assert curl(made)[0] == INVALID_STATUS
        assert made.ask(client(ca, "teller")).status == 200  # who does not ask, does not see


def test_a_reload_takes_a_new_staple_and_keeps_the_old_one_for_garbage(
    tmp_path: Path, root: Authority, ca: Authority, published: Published
) -> None:
    made = stapling(tmp_path / "desk", root, ca, published)
    with running(made):
        (made.tls / "staple.der").write_bytes(b"garbage")
        made.reload()
        until(lambda: any("not reloaded" in line for line in made.lines))
        assert "Cert Status: good" in s_client(made)
        revoked_staple(made, published.responders["issuing"])
        made.reload()
        until(lambda: "Cert Status: revoked" in s_client(made))


def test_without_a_staple_nginx_does_not_start(
    tmp_path: Path, root: Authority, ca: Authority, published: Published
) -> None:
    made = stapling(tmp_path / "desk", root, ca, published)
    (made.tls / "staple.der").unlink()
    with pytest.raises(VerifyError, match=r"staple\.der"), running(made):
        pass


# --- refresh.sh ------------------------------------------------------------------------------------------------------


@pytest.fixture
def fresh(tmp_path: Path, root: Authority, ca: Authority, published: Published) -> Project:
    """A server with a CRL of each CA and a staple, which can fetch both; not yet started."""
    sources = (published.crl_source("root", root), published.crl_source("issuing", ca))
    made = stapling(
        tmp_path / "desk", root, ca, published,
        revocation=Revocation("crl", crls=sources), files=Files(crl="tls/crl.pem", staple="tls/staple.der"),
    )  # fmt: skip
    published.crls = {"root": crl_of(root, number=5), "issuing": crl_of(ca, number=0x1F)}
    (made.tls / "crl.pem").write_bytes(published.crls["root"] + published.crls["issuing"])
    return made


def refresh(made: Project) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [made.folder / "refresh.sh"],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=WITHIN,
        env={"PATH": "/usr/bin:/bin"},
    )


def kept(made: Project) -> dict[str, bytes]:
    """All files in tls/ and what they hold."""
    return {file.name: file.read_bytes() for file in made.tls.iterdir()}


def test_a_new_crl_and_a_new_staple_are_fetched_and_loaded(
    fresh: Project, root: Authority, ca: Authority, published: Published
) -> None:
    good, revoked = client(ca, "teller"), client(ca, "teller")
    with running(fresh):
        assert fresh.ask(revoked).status == 200
        before = kept(fresh)
        published.crls["issuing"] = crl_of(ca, revoked, number=0x20)
        published.responds("issuing", ca, lifetime=timedelta(minutes=50))
        done = refresh(fresh)
        assert (done.returncode, done.stderr) == (0, "")
        assert kept(fresh).keys() == before.keys()
        until(lambda: fresh.ask(revoked).status == 400)
        assert fresh.ask(good).status == 200
        assert kept(fresh)["staple.der"] != before["staple.der"]
        assert curl(fresh)[0] == 0


def test_what_is_the_latest_already_is_left_and_nothing_is_reloaded(fresh: Project, published: Published) -> None:
    with running(fresh):
        assert refresh(fresh).returncode == 0  # takes the newer staple
        until(lambda: any("reads its configuration" in line for line in fresh.lines))
    alone = replace(fresh.settings, staple=False, files=Files(crl="tls/crl.pem"))
    made = replace(fresh, settings=alone, lines=[]).write()
    before = (made.tls / "crl.pem").stat()
    with running(made):
        assert refresh(made).returncode == 0
    after = (made.tls / "crl.pem").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert not any("reads its configuration" in line for line in made.lines)


def test_what_somebody_else_has_put_there_is_loaded_too(fresh: Project, ca: Authority, published: Published) -> None:
    revoked = client(ca, "teller")
    with running(fresh):
        published.available = False
        newer = published.crls["root"] + crl_of(ca, revoked, number=0x20)
        (fresh.tls / "crl.pem").write_bytes(newer)
        assert fresh.ask(revoked).status == 200
        assert refresh(fresh).returncode == 1
        until(lambda: fresh.ask(revoked).status == 400)
        assert kept(fresh)["crl.pem"] == newer


def crl_forged(published: Published, root: Authority, ca: Authority) -> None:
    published.crls["issuing"] = crl_of(authority("Lab Issuing", root), number=0x21)


def crl_older(published: Published, root: Authority, ca: Authority) -> None:
    published.crls["issuing"] = crl_of(ca, client(ca, "x"), number=0x1E)


def crl_expired(published: Published, root: Authority, ca: Authority) -> None:
    published.crls["issuing"] = crl_of(ca, ends=AGO, number=0x21)


def crl_of_another(published: Published, root: Authority, ca: Authority) -> None:
    published.crls["issuing"] = crl_of(root, number=0x21)


def crl_gone(published: Published, root: Authority, ca: Authority) -> None:
    del published.crls["issuing"]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (crl_forged, "not signed by the key of issuing"),
        (crl_older, "older than the one in tls/crl.pem"),
        (crl_expired, "has expired"),
        (crl_of_another, "not signed by the key of issuing"),
        (crl_gone, "404"),
    ],
)
def test_a_bad_crl_is_kept_out_and_the_others_are_taken(
    fresh: Project,
    root: Authority,
    ca: Authority,
    published: Published,
    fault: Callable[[Published, Authority, Authority], None],
    said: str,
) -> None:
    before = published.crls["issuing"]
    fault(published, root, ca)
    published.crls["root"] = crl_of(root, number=6)
    done = refresh(fresh)
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    text = (fresh.tls / "crl.pem").read_bytes()
    assert before in text
    assert published.crls["root"] in text
    assert text.count(b"BEGIN X509 CRL") == 2


def test_a_tampered_crl_is_kept_out(fresh: Project, ca: Authority, published: Published) -> None:
    before = kept(fresh)["crl.pem"]
    der = bytearray(crl.to_der(crl.load(crl_of(ca, client(ca, "x"), number=0x20))))
    der[-1] ^= 1
    published.crls["issuing"] = crl.to_pem(crl.load(bytes(der)))
    done = refresh(fresh)
    assert (done.returncode, kept(fresh)["crl.pem"]) == (1, before)
    assert "not signed by the key of issuing" in done.stderr


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (unknown, "does not know tls/cert.pem"),
        (stale, "out of date"),
        (by_another_ca, "stands behind"),
        (by_a_leaf, "stands behind"),
        (about_another_ca, "stands behind"),
        (nowhere, "404"),
    ],
)
def test_a_bad_staple_is_kept_out(
    fresh: Project,
    ca: Authority,
    published: Published,
    fault: Callable[[Published, Authority], None],
    said: str,
) -> None:
    before = kept(fresh)
    fault(published, ca)
    done = refresh(fresh)
    assert (done.returncode, kept(fresh)) == (1, before)
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_an_older_staple_is_kept_out(fresh: Project, ca: Authority, published: Published) -> None:
    """A good answer from before a revocation, which is still within its dates."""
    revoked_staple(fresh, published.responders["issuing"])
    before = kept(fresh)
    published.responds("issuing", ca, age=timedelta(minutes=10))
    done = refresh(fresh)
    assert (done.returncode, kept(fresh)) == (1, before)
    assert "older than tls/staple.der" in done.stderr


def test_a_staple_of_the_certificate_before_is_replaced(fresh: Project, ca: Authority, published: Published) -> None:
    fresh.own = desk_certificate(ca, published)
    fresh.write()
    published.responds("issuing", ca, age=timedelta(minutes=10))
    assert refresh(fresh).returncode == 0
    with running(fresh):
        assert curl(fresh)[0] == 0


def test_the_staple_of_a_revoked_certificate_is_handed_out_and_said(fresh: Project, published: Published) -> None:
    published.responders["issuing"].revoke(fresh.own)
    with running(fresh):
        done = refresh(fresh)
        assert (done.returncode, done.stderr) == (1, "refresh.sh: tls/cert.pem is revoked\n")
        until(lambda: "Cert Status: revoked" in s_client(fresh))


@pytest.mark.parametrize("how", ["down", "503"])
def test_without_a_publisher_all_stays_as_it_is(fresh: Project, ca: Authority, published: Published, how: str) -> None:
    before = kept(fresh)
    published.available = False
    if how == "down":
        (free,) = free_addresses(1)
        (fresh.tls / "crl-sources").write_text(
            (fresh.tls / "crl-sources").read_text().replace(f":{published.port}/", f":{free.port}/")
        )
        before = kept(fresh)
    with running(fresh):
        done = refresh(fresh)
        assert (done.returncode, kept(fresh)) == (1, before)
        lines = done.stderr.splitlines()
        assert len(lines) == 3, lines  # one for each CRL, one for the staple
        assert all(line.startswith("refresh.sh: ") and "http://127.0.0.1:" in line for line in lines)
        assert fresh.ask(client(ca, "teller")).status == 200


def test_a_process_that_is_gone_is_no_reason_to_fail(fresh: Project) -> None:
    gone = fresh.folder / "run" / "nginx.gone"
    gone.mkdir(parents=True)
    with subprocess.Popen(["true"]) as process:
        process.wait()
    (gone / "run.pid").write_text(f"{process.pid}\n")
    (gone / "loaded").touch()
    os.utime(gone / "loaded", (0, 0))
    done = refresh(fresh)
    assert (done.returncode, done.stderr) == (0, "")


def test_two_at_work_in_one_folder_are_both_told(fresh: Project, ca: Authority, published: Published) -> None:
    (free,) = free_addresses(1)
    other = replace(fresh, lines=[])
    revoked = client(ca, "teller")
    with running(fresh), running(other, LISTEN=str(free)):
        published.crls["issuing"] = crl_of(ca, revoked, number=0x20)
        assert refresh(fresh).returncode == 0
        until(lambda: ask(free.port, revoked, fresh.root).status == 400)
        until(lambda: fresh.ask(revoked).status == 400)


# --- Short lives -----------------------------------------------------------------------------------------------------


def test_no_request_fails_while_short_lived_certificates_are_renewed(
    tmp_path: Path, root: Authority, ca: Authority, published: Published
) -> None:
    """Ten renewals of certificate and staple, under callers that keep their connection and callers that do not."""
    made = stapling(tmp_path / "desk", root, ca, published)
    teller = client(ca, "teller")
    context = context_of(teller, root)
    over = threading.Event()

    def keeps(seen: list[int]) -> None:
        with KeptConnection(made.port, context) as connection:
            while not over.is_set():
                seen.append(connection.get())

    def comes_and_goes(seen: list[int]) -> None:
        while not over.is_set():
            seen.append(ask(made.port, None, root, context=context).status)

    statuses: list[list[int]] = [[] for _ in range(4)]
    with running(made), ThreadPoolExecutor(4) as pool:
        callers = list(map(pool.submit, (keeps, keeps, comes_and_goes, comes_and_goes), statuses))
        try:
            for _ in range(10):
                made.own = desk_certificate(ca, published)
                staple(made, published.responders["issuing"])
                made.write().reload()
                shown = bundles.der(made.own.certificate)
                until(lambda: made.ask(teller).shown == shown)  # noqa: B023
                assert curl(made)[0] == 0
            until(lambda: any(each.done() for each in callers) or all(len(seen) > 20 for seen in statuses))
        finally:
            over.set()
        for each in callers:
            each.result()
    assert all(len(seen) > 20 for seen in statuses), list(map(len, statuses))
    assert {status for seen in statuses for status in seen} == {200}


class KeptConnection:
    """A caller that asks over one connection again and again, and over a new one when nginx has closed it.

    A server may close a connection that is idle at any time, and a request that then went unanswered is repeated
    (RFC 9112 9.3.1), as every HTTP client does; over a new connection nothing is repeated.
    """

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self._connection = http.client.HTTPSConnection("localhost", port, timeout=WITHIN, context=context)

    def __enter__(self) -> KeptConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def get(self) -> int:
        if self._connection.sock is not None:
            try:
                return self._once()
            except (ConnectionError, http.client.RemoteDisconnected, ssl.SSLEOFError, ssl.SSLZeroReturnError):
                self._connection.close()
        return self._once()

    def _once(self) -> int:
        self._connection.request("GET", "/")
        response = self._connection.getresponse()
        response.read()
        return response.status
