"""`revoke`, `renew` and `renew --watch` as a person calls them."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509

from scaffold.running.ports import free_addresses
from tests.cli.harness import in_process as scaffold
from tests.cli.harness import snapshot

BANK = """\
version: 1
name: bank
publish: http://127.0.0.1:9080
cas:
  root: {}
  issuing: {issuer: root}
servers:
  api: {template: python, issuer: issuing, listen: 127.0.0.1:8443, names: [localhost], check_revocation: crl}
clients:
  cli: {template: python, issuer: issuing, calls: [api]}
"""


@pytest.fixture
def applied(tmp_path: Path) -> Path:
    (tmp_path / "topology.yaml").write_text(BANK)
    assert scaffold("apply", cwd=tmp_path).code == 0
    return tmp_path


def leaf(folder: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / "bank/clients/cli/tls/cert.pem").read_bytes())


def test_revoke_shows_asks_and_does(applied: Path) -> None:
    before = snapshot(applied)
    asked = scaffold("revoke", "client.cli", "--reason", "keyCompromise", cwd=applied)
    asked.assert_clear_error("would revoke client.cli.certificate; ", "rerun with --yes", "nothing was written")
    assert snapshot(applied) == before
    serial = leaf(applied).serial_number
    done = scaffold("revoke", "client.cli", "--reason", "keyCompromise", "--yes", cwd=applied)
    assert done.code == 0, done.err
    assert re.search(r"^ +× client\.cli\.certificate +revoked for keyCompromise", done.out, re.MULTILINE)
    assert done.out.splitlines()[-1] == "Apply: 2 updated, 1 replaced, 1 revoked."
    assert leaf(applied).serial_number != serial
    status = scaffold("status", "--json", cwd=applied)
    assert status.code == 0
    (revoked,) = status.json["revoked"]
    assert (revoked["serial"], revoked["reason"], revoked["subject"]) == (f"{serial:x}", "keyCompromise", "CN=cli")
    assert [one["address"] for one in status.json["crls"]] == ["ca.root.crl", "ca.issuing.crl", "server.api.trust"]
    assert scaffold("plan", "--check", cwd=applied).code == 0


def test_revoke_json_and_status_of_what_stays_revoked(applied: Path) -> None:
    done = scaffold("revoke", "client.cli", "--reason", "superseded", "--no-replace", "--yes", "--json", cwd=applied)
    assert done.json["summary"]["revoke"] == 1
    status = scaffold("status", "--json", cwd=applied)
    assert status.code == 3
    (one,) = (one for one in status.json["certificates"] if one["state"] == "revoked")
    assert (one["address"], one["reason"]) == ("client.cli.certificate", "superseded")
    assert "scaffold renew client.cli" in scaffold("plan", cwd=applied).out
    assert scaffold("renew", "client.cli", cwd=applied).code == 0
    assert scaffold("status", cwd=applied).code == 0


def test_revoke_says_who_goes_on_accepting_it_and_until_when(applied: Path) -> None:
    text = BANK.replace(
        "clients:", "  open: {template: python, issuer: issuing, listen: 127.0.0.1:8444, names: [a.b]}\nclients:"
    )
    (applied / "topology.yaml").write_text(text.replace("calls: [api]", "calls: [api, open]"))
    assert scaffold("apply", "--yes", cwd=applied).code == 0
    old = applied / "old"
    shutil.copytree(applied / "bank/clients/cli/tls", old)
    until = f"{leaf(applied).not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    accepted = f"still accepted by server.open until {until}: it does not check revocation"
    arguments = ("revoke", "client.cli", "--reason", "keyCompromise")
    asked = scaffold(*arguments, cwd=applied)
    assert (asked.code, accepted in asked.out) == (1, True)
    done = scaffold(*arguments, "--yes", cwd=applied)
    assert done.out.count(accepted) == 2  # before, and after
    assert re.search(r"refused by server\.api as soon as it has the new CRL, at the latest from \d{4}", done.out)
    status = scaffold("status", cwd=applied)
    assert accepted in status.out
    assert "refused by server.api (crl)" in status.out
    (one,) = scaffold("status", "--json", cwd=applied).json["revoked"]
    assert (one["accepted_by"], [refusal["by"] for refusal in one["refused_by"]]) == (["server.open"], ["crl"])
    # It is true: the certificate that was revoked gets in where nothing is checked, and nowhere else.
    assert [gets_in(applied, old, name) for name in ("open", "api")] == [True, False]


def gets_in(folder: Path, tls: Path, server: str) -> bool:
    """Whether the rendered server answers somebody with the old certificate of cli."""
    (address,) = free_addresses(1)
    running = subprocess.Popen(
        [folder / "bank/servers" / server / "run.sh"],
        env={**os.environ, "LISTEN": str(address)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert running.stdout is not None
        assert "ready" in next(iter(running.stdout))
        context = ssl.create_default_context(cafile=folder / "bank/pki/root/ca.crt")
        context.check_hostname = False
        context.load_cert_chain(tls / "cert.pem", tls / "key.pem")
        connection = http.client.HTTPSConnection(address.host, address.port, context=context, timeout=90)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
    finally:
        running.terminate()
        running.wait(90)


def test_a_revocation_that_everybody_learns_of_goes_on_nowhere(applied: Path) -> None:
    done = scaffold("revoke", "client.cli", "--reason", "keyCompromise", "--yes", "--json", cwd=applied)
    (one,) = done.json["revoked"]
    assert (one["accepted_by"], one["unknown"]) == ([], [])
    assert [(refusal["address"], refusal["by"]) for refusal in one["refused_by"]] == [("server.api", "crl")]
    assert "still accepted" not in scaffold("status", cwd=applied).out


def test_revoke_says_what_is_wrong(applied: Path) -> None:
    before = snapshot(applied)
    for arguments, words in (
        (("client.cil", "--reason", "superseded"), ('no such address "client.cil"', 'did you mean "client.cli"')),
        (("client.cli", "--reason", "key-compromise"), ("no such reason", 'did you mean "keyCompromise"')),
        (("ca.root", "--reason", "superseded"), ("self-signed",)),
        (("--serial", "zz", "--reason", "superseded"), ("no certificate", "zz")),
        (("client.cli", "--release"), ("not on hold",)),
    ):
        scaffold("revoke", *arguments, "--yes", cwd=applied).assert_clear_error(*words)
    for usage in ((), ("client.cli",), ("client.cli", "--release", "--reason", "superseded"), ("--release",)):
        assert scaffold("revoke", *usage, "--yes", cwd=applied).code == 2
    assert snapshot(applied) == before


def test_renew_does_what_is_named_or_due(applied: Path) -> None:
    serial, key = leaf(applied).serial_number, leaf(applied).public_key()
    assert "Nothing is due" in scaffold("renew", cwd=applied).out
    done = scaffold("renew", "client.cli", cwd=applied)
    assert (done.code, done.out.splitlines()[-1]) == (0, "Apply: 1 renewed.")
    assert (leaf(applied).serial_number != serial, leaf(applied).public_key() == key) == (True, True)
    scaffold("renew", "client.cil", cwd=applied).assert_clear_error("no such address", "client.cli")
    assert scaffold("renew", "client.cli", "--watch", cwd=applied).code == 2


def test_renew_before_apply_issues_nothing(tmp_path: Path) -> None:
    (tmp_path / "topology.yaml").write_text(BANK)
    scaffold("renew", cwd=tmp_path).assert_clear_error("nothing was issued here yet", "scaffold apply")
    assert not (tmp_path / "bank/pki").exists()


def test_watch_renews_what_lives_seconds_and_ends_on_term(applied: Path) -> None:
    """Leaves of six seconds and CRLs of four: each line of the log is an action that was done."""
    short = BANK.replace("name: bank\n", "name: bank\ndefaults: {lifetime: 6s}\n")
    short = short.replace("issuing: {issuer: root}", "issuing: {issuer: root, revocation: {crl: 4s}}")
    (applied / "topology.yaml").write_text(short)
    assert scaffold("apply", cwd=applied).code == 0
    serial = leaf(applied).serial_number
    watching = subprocess.Popen(
        [sys.executable, "-m", "scaffold", "renew", "--watch"], cwd=applied, stdout=subprocess.PIPE, text=True
    )
    assert watching.stdout is not None
    seen: set[tuple[str, str | None]] = set()
    wanted = {
        ("renewed", "client.cli.certificate"),
        ("renewed", "server.api.certificate"),
        ("updated", "ca.issuing.crl"),
        ("updated", "server.api.trust"),
    }
    try:
        for line in watching.stdout:
            event = json.loads(line)
            seen.add((event["event"], event.get("address")))
            assert event["event"] != "error", line
            if wanted <= seen:
                break
        watching.send_signal(signal.SIGTERM)
        rest = [json.loads(line)["event"] for line in watching.stdout]
        assert (watching.wait(90), rest[-1]) == (0, "ended")
    finally:
        watching.kill()
        watching.wait()
    assert wanted <= seen
    assert leaf(applied).serial_number != serial


def test_watch_begins_with_no_error(tmp_path: Path) -> None:
    scaffold("renew", "--watch", cwd=tmp_path).assert_clear_error("no file topology.yaml")


def test_apply_records_what_is_there_without_a_word_in_its_json(applied: Path) -> None:
    scaffold("revoke", "client.cli", "--reason", "superseded", "--yes", cwd=applied)
    (applied / "bank/.scaffold/ledger.jsonl").unlink()
    done = scaffold("apply", "--json", cwd=applied)
    assert any("is not in the state" in note for note in json.loads(done.out)["notes"])
    status = scaffold("status", "--json", cwd=applied)
    found = json.loads(status.out)
    assert (status.code, found["notes"], [one["reason"] for one in found["revoked"]]) == (0, [], ["superseded"])


def test_a_lost_ledger_leads_in_no_circles(applied: Path) -> None:
    (applied / "bank/.scaffold/ledger.jsonl").unlink()
    for verb in (("status",), ("status", "--json"), ("plan", "--check"), ("plan", "--check", "--json")):
        said = scaffold(*verb, cwd=applied)
        assert (said.code, "is not in the state (.scaffold/)" in " ".join(said.out.split())) == (3, True), verb
    said = scaffold("apply", cwd=applied)
    assert (said.code, "is not in the state (.scaffold/)" in " ".join(said.out.split())) == (0, True)
    assert said.out.splitlines()[-1].endswith(": certificates: 4, revocations: 0.")
    for verb in (("status",), ("plan", "--check"), ("apply",)):
        said = scaffold(*verb, cwd=applied)
        assert (said.code, "is not in the state" in said.out, "Recorded" in said.out) == (0, False, False), said.out
    renewed = scaffold("renew", "client.cli", "--yes", cwd=applied)
    assert (renewed.code, "1 renewed" in renewed.out) == (0, True), renewed.err
    revoked = scaffold("revoke", "client.cli", "--reason", "keyCompromise", "--yes", cwd=applied)
    assert (revoked.code, "1 revoked" in revoked.out) == (0, True), revoked.err
