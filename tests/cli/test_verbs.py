"""Each verb as a person calls it: what it prints, what it writes, and its exit codes."""

from __future__ import annotations

import os
import pty
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from scaffold.running.ports import free_addresses, why_taken
from scaffold.topology.model import HostPort
from tests.cli.harness import in_process as scaffold
from tests.cli.harness import scaffold as spawned
from tests.cli.harness import snapshot, up
from tests.handshake.nginx_lab import until
from tests.other_clock import command_at
from tests.requirements import require_command
from tests.unit.conftest import write_kind

GOOD = """\
version: 1
name: shop
cas:
  root: {}
  issuing: {issuer: root}
servers:
  api: {template: python, issuer: issuing, listen: 127.0.0.1:8443, names: [localhost]}
clients:
  cli: {template: python, issuer: issuing, calls: [api]}
  late: {template: python, issuer: issuing, calls: [api], fault: expired}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An applied topology that no test changes."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "topology.yaml").write_text(GOOD.replace("8443", str(free_addresses(1)[0].port)))
    ended = scaffold("apply", cwd=folder)
    assert ended.code == 0, ended.err
    return folder


@pytest.fixture
def applied(tmp_path: Path) -> Path:
    """An applied topology of this test alone."""
    (tmp_path / "topology.yaml").write_text(GOOD)
    assert scaffold("apply", cwd=tmp_path).code == 0
    return tmp_path


# Each once in a process of its own, where nothing was imported before: the tests below share one.


def test_each_verb_begins_by_itself(tmp_path: Path) -> None:
    for arguments, code in (
        (("init", "--example", "minimal"), 0),
        (("validate",), 0),
        (("plan", "--check"), 3),
        (("apply", "--yes"), 0),
        (("add", "client", "fresh", "--template", "curl"), 0),
        (("remove", "client.fresh", "--yes"), 0),
        (("status",), 0),
        (("graph",), 0),
        (("renew",), 0),
        (("faults",), 0),
        (("templates", "list"), 0),
        (("schema",), 0),
    ):
        ended = spawned(*arguments, cwd=tmp_path)
        assert (ended.code, "Traceback" in ended.err) == (code, False), (arguments, ended)


# init


@pytest.mark.parametrize("example", ["minimal", "banking", "mtls-dotnet", "own-service", "postgresql"])
def test_init_writes_an_example_that_is_valid(example: str, tmp_path: Path) -> None:
    assert scaffold("init", "--example", example, cwd=tmp_path).code == 0
    assert scaffold("validate", cwd=tmp_path).code == 0
    laid = {"mtls-dotnet": ["mtls-dotnet"], "own-service": ["app.py"]}.get(example, [])
    assert sorted(path.name for path in tmp_path.iterdir()) == [*laid, "topology.yaml"]


def test_init_writes_the_schema_that_its_first_line_names(tmp_path: Path) -> None:
    schema = tmp_path / "topology.schema.json"
    assert on_a_terminal(["init"], tmp_path, "shop\napi\n\n\n")[0] == 0
    assert (tmp_path / "topology.yaml").read_text().splitlines()[0].endswith(f"$schema={schema.name}")
    assert schema.read_text() == scaffold("schema", cwd=tmp_path).out
    schema.write_text("mine")
    assert on_a_terminal(["init", "-f", "other.yaml"], tmp_path, "shop\napi\n\n\n")[0] == 0
    assert schema.read_text() == "mine"


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "topology.yaml").write_text("mine")
    scaffold("init", "--example", "minimal", cwd=tmp_path).assert_clear_error("topology.yaml", "overwrites nothing")
    assert (tmp_path / "topology.yaml").read_text() == "mine"


def test_init_lays_down_the_code_of_an_example_and_overwrites_none(tmp_path: Path) -> None:
    mine = tmp_path / "mtls-dotnet/servers/banking-service/App.cs"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    scaffold("init", "--example", "mtls-dotnet", cwd=tmp_path).assert_clear_error("App.cs", "overwrites nothing")
    assert (mine.read_text(), (tmp_path / "topology.yaml").exists()) == ("mine", False)
    mine.unlink()
    assert scaffold("init", "--example", "mtls-dotnet", cwd=tmp_path).code == 0
    laid = mine.read_text()
    assert "MapAccounts" in laid
    assert scaffold("apply", "--yes", cwd=tmp_path).code == 0
    assert mine.read_text() == laid
    assert (mine.parent / "Program.cs").exists()
    assert scaffold("plan", "--check", cwd=tmp_path).code == 0


def test_init_without_a_terminal_names_the_examples(tmp_path: Path) -> None:
    scaffold("init", cwd=tmp_path).assert_clear_error("hint: ", "minimal", "banking")
    scaffold("init", "--example", "bankin", cwd=tmp_path).assert_clear_error("did you mean banking")
    scaffold("init", "--example", "../minimal", cwd=tmp_path).assert_clear_error("no example")
    assert list(tmp_path.iterdir()) == []


def test_init_says_what_each_example_is(tmp_path: Path) -> None:
    listed = scaffold("init", "--example", "list", cwd=tmp_path)
    assert listed.code == 0
    assert "postgresql   A database whose roles are its callers" in listed.out
    assert max(map(len, listed.out.splitlines())) <= 80
    assert list(tmp_path.iterdir()) == []


def test_init_drafts_from_certificates_what_can_be_planned(applied: Path, tmp_path: Path) -> None:
    """From what another topology has made, as from any other folder."""
    new, empty = tmp_path / "new", tmp_path / "empty"
    new.mkdir()
    empty.mkdir()
    drafted = scaffold("init", "--from", applied / "shop", cwd=new)
    assert drafted.code == 0, drafted.err
    text = (new / "topology.yaml").read_text("utf-8")
    (new / "topology.yaml").write_text(text.replace("calls: []", "calls: [api]"), "utf-8")
    assert (new / "topology.schema.json").exists()
    assert scaffold("apply", cwd=new).code == 0
    assert scaffold("plan", "--check", cwd=new).code == 0
    for arguments, words in {
        ("--from", "empty"): "there is no certificate in empty",
        ("--from", "nope"): "nope is no folder",
        ("--from", "empty", "--example", "minimal"): "exclude each other",
    }.items():
        scaffold("init", "-f", "other.yaml", *arguments, cwd=tmp_path).assert_clear_error(words)
        assert not (tmp_path / "other.yaml").exists()


def plain_ca(folder: Path) -> None:
    """A CA as `openssl req -x509` makes it, and leaves that say a common name and no more."""
    require_command("openssl")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    ec = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    (folder / "openssl.cnf").write_text("[req]\ndistinguished_name = dn\nx509_extensions = ca\n[dn]\n[ca]\n")
    with (folder / "openssl.cnf").open("a") as config:
        config.write("subjectKeyIdentifier = hash\nbasicConstraints = critical,CA:true\n")
    own = ("-config", "openssl.cnf")
    openssl("req", "-x509", *own, *ec, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Acme CA", "-days", "900")
    for stem in ("api.acme.example", "web"):
        openssl("req", "-new", *own, *ec, "-keyout", f"{stem}.key", "-out", f"{stem}.csr", "-subj", f"/CN={stem}")
        made = ("-out", f"{stem}.pem", "-CAcreateserial", "-days", "90")
        openssl("x509", "-req", "-in", f"{stem}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", *made)


@pytest.mark.parametrize("elsewhere", [False, True], ids=["the CA's key is there", "no key of a client or CA is"])
def test_a_draft_from_a_plain_openssl_ca_can_be_planned_or_says_what_cannot(tmp_path: Path, elsewhere: bool) -> None:
    (tmp_path / "pki").mkdir()
    plain_ca(tmp_path / "pki")
    if elsewhere:
        (tmp_path / "pki" / "ca.key").unlink()
        (tmp_path / "pki" / "web.key").unlink()
    work = tmp_path / "work"
    work.mkdir()
    drafted = scaffold("init", "--from", "../pki", cwd=work)
    assert drafted.code == 0, drafted.err
    assert drafted.out == "topology.yaml is written. Next: fill in `calls`, see to its comments, then scaffold plan\n"
    text = (work / "topology.yaml").read_text("utf-8")
    assert "names: [api.acme.example]" in text
    assert "# not python: it refuses certificates below CN=Acme CA, which has no key usage (RFC 5280 4.2.1.3)" in text
    (work / "topology.yaml").write_text(text.replace("calls: []", "calls: [api-acme-example]"), "utf-8")
    planned = scaffold("plan", cwd=work)
    if not elsewhere:
        assert planned.code == 0, planned.err
        assert "client.web.certificate" in planned.out
        assert f"it is taken from {tmp_path}/pki/ca.pem" in " ".join(planned.out.split())
        return
    planned.assert_clear_error("does not say that it is for serverAuth: it has no extended key usage")
    assert "# plan refuses this certificate: it does not say that it is for serverAuth" in text


def test_init_asks_on_a_terminal(tmp_path: Path) -> None:
    code, _ = on_a_terminal(["init"], tmp_path, "my-shop\nbad name\napi, web\n\n\n")
    assert code == 0
    assert "name: my-shop" in (tmp_path / "topology.yaml").read_text()
    ended = scaffold("validate", cwd=tmp_path)
    assert "2 CAs, 2 servers, 1 client" in ended.out


def test_init_asks_again_for_a_template_that_is_not_there(tmp_path: Path) -> None:
    code, shown = on_a_terminal(["init"], tmp_path, "shop\napi\napi\npythn\npython\n\n")
    assert code == 0, shown
    assert 'no such server template "api": there are ' in shown
    assert 'no such server template "pythn": did you mean "python"?' in shown
    assert "template: python" in (tmp_path / "topology.yaml").read_text()
    assert scaffold("plan", cwd=tmp_path).code == 0


def test_init_takes_a_template_of_ones_own(tmp_path: Path) -> None:
    write_kind(tmp_path / "kind", {"README.md": "one\n", "run.sh": "#!/bin/sh\n"})
    code, shown = on_a_terminal(["init"], tmp_path, "shop\napi\n./kind\n\n")
    assert code == 0, shown
    assert "template: ./kind" in (tmp_path / "topology.yaml").read_text()


def test_init_takes_clients_that_speak_what_the_servers_speak(tmp_path: Path) -> None:
    code, shown = on_a_terminal(["init"], tmp_path, "books\nledger\npostgresql\nreports\n")
    assert code == 0, shown
    assert "template: psql" in (tmp_path / "topology.yaml").read_text()
    assert scaffold("plan", cwd=tmp_path).code == 0
    curl = (tmp_path / "topology.yaml").read_text().replace("template: psql", "template: curl")
    (tmp_path / "topology.yaml").write_text(curl)
    scaffold("plan", cwd=tmp_path).assert_clear_error(
        "curl", "speaks http", "templates of clients that speak postgresql: psql"
    )


# plan


def test_plan_is_plain_in_a_pipe_and_coloured_on_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "topology.yaml").write_text(GOOD)
    ended = scaffold("plan", cwd=tmp_path)
    assert "\x1b" not in ended.out
    assert re.search(r"^  \+ ca\.root\.certificate +\S", ended.out, re.MULTILINE)
    assert ended.out.splitlines()[-1].startswith("Plan: ")
    code, shown = on_a_terminal(["plan"], tmp_path)
    assert (code, "\x1b[32m" in shown) == (0, True)
    code, shown = on_a_terminal(["plan"], tmp_path, environment={"NO_COLOR": "1"})
    assert (code, "\x1b[3" in shown) == (0, False)


def test_plan_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "topology.yaml").write_text(GOOD)
    assert scaffold("plan", cwd=tmp_path).code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["topology.yaml"]


def test_a_plan_says_the_same_when_it_examines_everything(applied: Path) -> None:
    assert next(applied.glob("*/.scaffold/examined.json")).stat().st_mode & 0o777 == 0o600
    next(applied.glob("*/clients/*/tls/key.pem")).unlink()
    remembering, refreshed = (scaffold("plan", "--json", *more, cwd=applied) for more in ([], ["--refresh"]))
    assert (remembering.code, remembering.out) == (refreshed.code, refreshed.out)
    assert "key-missing" in refreshed.out
    assert scaffold("apply", "--refresh", cwd=applied).code == 0
    assert "Nothing to do" in scaffold("plan", cwd=applied).out


def test_plan_check_exits_with_3_where_something_is_to_do(tmp_path: Path) -> None:
    (tmp_path / "topology.yaml").write_text(GOOD)
    assert scaffold("plan", "--check", cwd=tmp_path).code == 3
    assert scaffold("apply", cwd=tmp_path).code == 0
    assert scaffold("plan", "--check", cwd=tmp_path).code == 0


def test_plan_json_holds_the_contract(tmp_path: Path) -> None:
    (tmp_path / "topology.yaml").write_text(GOOD)
    value = scaffold("plan", "--json", cwd=tmp_path).json
    assert value["topology"] == "shop"
    assert value["summary"]["create"] == len(value["changes"])
    for change in value["changes"]:
        assert change["action"] == "create"
        assert all(reason["code"] and reason["message"] for reason in change["reasons"])
    assert "ca.root.certificate" in [change["address"] for change in value["changes"]]


def test_one_changed_san_is_one_leaf(applied: Path) -> None:
    (applied / "topology.yaml").write_text(GOOD.replace("[localhost]", "[localhost, api.shop.internal]"))
    changes = scaffold("plan", "--json", cwd=applied).json["changes"]
    certificates = [(c["address"], c["action"]) for c in changes if c["address"].endswith("certificate")]
    assert certificates == [("server.api.certificate", "update")]


def test_plan_diff_shows_texts_and_never_a_secret(applied: Path) -> None:
    changed = GOOD.replace("names: [localhost]}", "names: [localhost], vars: {greeting: good morning}}")
    (applied / "topology.yaml").write_text(
        changed.replace("issuing: {issuer: root}", "issuing: {issuer: root, key: ec-p384}")
    )
    shown = scaffold("plan", "--diff", cwd=applied).out
    assert re.search(r"^\+.*good morning", shown, re.MULTILINE)
    assert "PRIVATE KEY" not in shown


def test_a_saved_plan_is_applied_once(tmp_path: Path) -> None:
    (tmp_path / "topology.yaml").write_text(GOOD)
    assert scaffold("plan", "--save", "it.plan", cwd=tmp_path).code == 0
    assert scaffold("apply", "it.plan", cwd=tmp_path).code == 0
    before = snapshot(tmp_path)
    again = scaffold("apply", "it.plan", cwd=tmp_path)
    again.assert_clear_error("this plan was applied on 20", "UTC; there is nothing to do now")
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"topology": 1, "changes": [1]}', b"[" * 100_000])
def test_a_saved_plan_of_garbage_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "topology.yaml").write_text(GOOD)
    (tmp_path / "it.plan").write_bytes(content)
    scaffold("apply", "it.plan", cwd=tmp_path).assert_clear_error("plan", "hint: ")


# apply


def test_apply_twice_does_nothing_and_says_so(applied: Path) -> None:
    before = snapshot(applied)
    ended = scaffold("apply", cwd=applied)
    assert (ended.code, ended.out) == (0, "Nothing to do: shop is up to date.\n")
    assert snapshot(applied) == before


def test_apply_json_says_what_was_done(tmp_path: Path) -> None:
    (tmp_path / "topology.yaml").write_text(GOOD)
    value = scaffold("apply", "--json", cwd=tmp_path).json
    assert value["summary"]["create"] == len(value["changes"]) > 0
    assert value["undone"] == []


def test_a_new_root_key_is_asked_about_and_without_a_terminal_refused(applied: Path) -> None:
    (applied / "topology.yaml").write_text(GOOD.replace("root: {}", "root: {key: ec-p384}"))
    before = snapshot(applied)
    scaffold("apply", cwd=applied).assert_clear_error("ca.root", "--yes", "nothing was written")
    assert snapshot(applied) == before
    assert scaffold("apply", "--yes", cwd=applied).code == 0


@pytest.mark.parametrize(("answer", "code"), [("n\n", 1), ("\n", 1), ("y\n", 0)])
def test_on_a_terminal_the_question_can_be_answered(answer: str, code: int, applied: Path) -> None:
    (applied / "topology.yaml").write_text(GOOD.replace("root: {}", "root: {key: ec-p384}"))
    before = snapshot(applied / "shop" / "pki")
    ended, shown = on_a_terminal(["apply"], applied, answer)
    assert ended == code, shown
    assert (snapshot(applied / "shop" / "pki") == before) == (code == 1)


def test_what_is_deleted_is_asked_about(applied: Path) -> None:
    (applied / "topology.yaml").write_text(
        "\n".join(line for line in GOOD.splitlines() if not line.startswith("  late:")) + "\n"
    )
    scaffold("apply", cwd=applied).assert_clear_error("client.late")
    assert (applied / "shop/clients/late/tls/key.pem").exists()
    assert scaffold("apply", "--yes", cwd=applied).code == 0
    assert not (applied / "shop/clients/late/tls/key.pem").exists()


def test_an_edit_that_meets_a_change_is_left_with_exit_4(applied: Path) -> None:
    edited = applied / "shop/servers/api/README.md"
    edited.write_text("my own notes\n")
    assert scaffold("plan", "--check", cwd=applied).code == 0
    settings = applied / "shop/servers/api/settings.json"
    mine = settings.read_text().replace('"greeting": "hello"', '"greeting": "mine"')
    settings.write_text(mine)
    text = GOOD.replace("names: [localhost]}", "names: [localhost], vars: {greeting: good morning}}")
    (applied / "topology.yaml").write_text(text)
    ended = scaffold("apply", "--yes", cwd=applied)
    assert ended.code == 4
    assert settings.read_text() == mine
    assert "good morning" in (settings.parent / "settings.json.merge").read_text()
    assert scaffold("apply", "--overwrite", "server.api.project", cwd=applied).code == 0
    assert "good morning" in settings.read_text()


# verify


def test_verify_passes_and_reports_for_people_programs_and_ci(made: Path, tmp_path: Path) -> None:
    junit = tmp_path / "report.xml"
    ended = scaffold("verify", "--ports", "auto", "--junit", junit, cwd=made)
    assert ended.code == 0, ended.out + ended.err
    assert re.search(r"^Verify: [0-9]+ passed, 0 failed", ended.out, re.MULTILINE)
    assert "  lets in   cli\n" in ended.out
    assert "  refuses   late, though it is allowed: broken on purpose\n" in ended.out
    assert max(map(len, ended.out.splitlines())) <= 80
    assert ended.err == "", "in a pipe there is no progress"
    root = ET.parse(junit).getroot()
    assert root.get("failures") == "0"
    assert int(root.get("tests", "0")) == len(root.findall(".//testcase")) > 10


def test_verify_shows_its_progress_on_a_terminal_and_each_check_with_all(made: Path) -> None:
    code, shown = on_a_terminal(["verify", "--ports", "auto", "--all"], made)
    assert code == 0, shown
    stages = ("Planning", "Starting servers", "Trying: ")
    assert all(stage in shown for stage in stages), shown
    assert [shown.index(stage) for stage in stages] == sorted(shown.index(stage) for stage in stages)
    assert re.search(r"late *allowed call *refused *refused", shown)


def test_verify_json_holds_the_contract(made: Path) -> None:
    value = scaffold("verify", "--ports", "auto", "--json", cwd=made).json
    assert value["summary"]["failed"] == 0
    assert value["summary"]["passed"] == sum(check["result"] == "passed" for check in value["checks"])
    drawn = {(c["client"], c["expected"], c["observed"]) for c in value["checks"] if c["probe"] == "edge"}
    assert drawn == {("cli", "allowed", "allowed"), ("late", "refused", "refused")}


def test_verify_fails_with_5_where_the_allow_list_drifted(applied: Path) -> None:
    (applied / "shop/servers/api/tls/ca.pem").write_bytes((applied / "shop/pki/issuing/ca.crt").read_bytes())
    ended = scaffold("verify", "--ports", "auto", cwd=applied)
    assert ended.code == 5, ended.out + ended.err
    assert "server.api.trust" in ended.out


def test_a_server_that_does_not_start_for_what_drifted_is_told_so(applied: Path) -> None:
    with (applied / "shop/servers/api/tls/allowed.json").open("a") as file:
        file.write("x")
    for verb in ("verify", "up"):
        ended = scaffold(verb, "--ports", "auto", cwd=applied)
        ended.assert_clear_error(
            "server.api ended", "hint: server.api.trust differs from the topology", "scaffold apply"
        )


def test_up_names_an_edited_run_sh_of_a_server_that_does_not_start(applied: Path) -> None:
    (applied / "shop/servers/api/run.sh").write_text("#!/bin/sh\necho mine\nexit 3\n")
    ended = scaffold("up", "--ports", "auto", cwd=applied)
    ended.assert_clear_error("ended with exit status 3", "server.api.project differs", "; otherwise see its own output")


def test_a_name_that_is_not_there_is_no_fault_of_what_drifted(applied: Path) -> None:
    (applied / "shop/servers/api/tls/ca.pem").write_text("none")
    for asked in ("ca.root", "server.apo"):
        ended = scaffold("verify", "--only", asked, cwd=applied)
        ended.assert_clear_error("server.api")
        assert "differs from the topology" not in ended.err


def test_a_port_that_is_taken_is_no_fault_of_what_drifted(applied: Path) -> None:
    (address,) = free_addresses(1)
    file = applied / "topology.yaml"
    file.write_text(file.read_text("utf-8").replace("listen: 127.0.0.1:8443", f"listen: {address}"), "utf-8")
    (applied / "shop/servers/api/tls/ca.pem").write_bytes((applied / "shop/pki/issuing/ca.crt").read_bytes())
    with socket.create_server((address.host, address.port)):
        ended = scaffold("verify", cwd=applied)
    ended.assert_clear_error(f"server.api cannot listen on {address}", "let `--ports auto` choose free ports")
    assert "differs from the topology" not in ended.err


def test_verify_says_that_what_it_starts_has_another_clock(applied: Path) -> None:
    command = [*command_at("-365d"), sys.executable, "-m", "scaffold", "verify", "--ports", "auto"]
    ended = subprocess.run(command, cwd=applied, capture_output=True, text=True, check=False, timeout=120)
    year = (datetime.now(UTC) - timedelta(days=365)).year
    assert f"note: the clock of this process says {year}-" in ended.stderr
    assert "and that of the servers and clients which it starts" in ended.stderr
    assert "note: the clock of this process" not in scaffold("verify", "--ports", "auto", cwd=applied).err


def test_verify_before_apply_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "topology.yaml").write_text(GOOD)
    scaffold("verify", cwd=tmp_path).assert_clear_error("apply")


def test_what_this_machine_cannot_run_is_skipped_in_plain_sight_and_failed_by_strict(tmp_path: Path) -> None:
    (tmp_path / "topology.yaml").write_text(GOOD.replace("late: {template: python", "late: {template: curl"))
    assert scaffold("apply", cwd=tmp_path).code == 0
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").symlink_to(Path(sys.executable).resolve())
    for command in ("sh", "env", "dirname", "setpriv"):
        if (found := shutil.which(command)) is not None:
            (tmp_path / "bin" / command).symlink_to(found)
    if any(Path(folder, "curl").exists() for folder in ("/usr/local/sbin", "/usr/sbin", "/sbin")):
        pytest.skip("curl lies where servers do, and cannot be hidden")
    environment = {"PATH": str(tmp_path / "bin")}
    ended = spawned("verify", "--ports", "auto", cwd=tmp_path, env=environment)
    assert ended.code == 0, ended.out + ended.err
    assert "needs curl" in ended.out
    strict = spawned("verify", "--ports", "auto", "--strict", cwd=tmp_path, env=environment)
    assert strict.code == 5
    assert "strict: client.late needs curl" in strict.err


def test_a_verification_that_tried_nothing_is_no_success(applied: Path) -> None:
    """The twin of every green run: a machine without the template's program proves nothing, and does not say 0."""
    (applied / "bin").mkdir()
    if any(Path(folder, "python3").exists() for folder in ("/usr/local/sbin", "/usr/sbin", "/sbin")):
        pytest.skip("python3 lies where servers do, and cannot be hidden")
    ended = spawned("verify", "--ports", "auto", cwd=applied, env={"PATH": str(applied / "bin")})
    assert ended.code == 5, ended.out + ended.err
    assert "Nothing was tried: the reasons are above" in ended.out
    assert "needs python3" in ended.out
    said = spawned("verify", "--ports", "auto", "--json", cwd=applied, env={"PATH": str(applied / "bin")})
    assert (said.code, said.json["summary"]["passed"]) == (5, 0)


def test_a_server_that_nobody_may_call_proves_little_and_verify_says_so(tmp_path: Path) -> None:
    """One that refuses everybody would look the same."""
    (tmp_path / "topology.yaml").write_text(re.sub(r", calls: .*(?=})", "", GOOD))
    assert scaffold("apply", cwd=tmp_path).code == 0
    verified = scaffold("verify", "--ports", "auto", "--strict", cwd=tmp_path)
    said = " ".join(verified.out.split())
    assert "- 1 skipped: nobody may call server.api: no control shows that it lets anybody in" in said
    assert "0 failed, 1 skipped." in said
    assert (verified.code, "strict: nobody may call server.api" in verified.err) == (5, True)


# up, call


@pytest.fixture
def running(made: Path) -> Iterator[Path]:
    with up(made):
        yield made


def test_up_serves_and_call_makes_one_call(running: Path) -> None:
    ended = spawned("call", "cli", "api", cwd=running)
    assert ended.code == 0, ended.err
    assert "spiffe://shop/client/cli" in ended.out
    refused = spawned("call", "late", "api", cwd=running)
    assert refused.code == 1
    assert "refused" in refused.err
    assert "hint: clients/late/tls/cert.pem expired on " in refused.err
    assert refused.err.endswith("→ scaffold explain client.late server.api\n")


def test_the_first_lines_of_the_tutorial_may_be_pasted_at_once(tmp_path: Path) -> None:
    """`call` begins while `up` does, which applies first. The port alone is another than the example's."""
    moved = f"sed -i s/127.0.0.1:8443/{free_addresses(1)[0]}/ topology.yaml"
    stopped = "trap 'kill $!; wait $!' EXIT"
    pasted = ["scaffold init --example minimal", "scaffold up >up.log 2>&1 &", "scaffold call caller api"]
    pasted[1:1] = [moved, stopped]
    ended = subprocess.run(
        ["bash", "-c", "\n".join(pasted)],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "spiffe://minimal/client/caller" in ended.stdout, (ended.stderr, (tmp_path / "up.log").read_text())
    assert "`scaffold up`" in ended.stderr, "it says what it waits for"


def test_up_applies_where_nothing_was_applied_yet(tmp_path: Path) -> None:
    (tmp_path / "topology.yaml").write_text(GOOD.replace("8443", str(free_addresses(1)[0].port)))
    with up(tmp_path) as lines:
        assert any(line.startswith("Apply: ") for line in lines)
        ended = scaffold("call", "cli", "api", cwd=tmp_path)
        assert ended.code == 0, ended.err
    assert scaffold("plan", "--check", cwd=tmp_path).code == 0


@pytest.mark.parametrize("lost", ["pki", ".scaffold"])
def test_up_makes_nothing_where_something_was_lost(applied: Path, lost: str) -> None:
    """Keys in place of lost ones are another CA: `apply` alone makes them, and asks."""
    for folder in (lost, "servers/api"):
        shutil.rmtree(applied / "shop" / folder)
    before = snapshot(applied)
    scaffold("up", cwd=applied).assert_clear_error("server.api has no project", "hint: run `scaffold apply` first")
    assert snapshot(applied) == before


def test_up_makes_no_ca_for_projects_that_came_alone(applied: Path) -> None:
    """A host may have its projects and neither keys of CAs nor records."""
    for folder in ("pki", ".scaffold", "servers/api"):
        shutil.rmtree(applied / "shop" / folder)
    before = snapshot(applied)
    scaffold("up", cwd=applied).assert_clear_error("server.api has no project")
    assert snapshot(applied) == before


def test_the_first_apply_of_up_leaves_a_persons_file_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "topology.yaml").write_text(GOOD)
    mine = tmp_path / "shop/servers/api/README.md"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    ended = scaffold("up", cwd=tmp_path)
    assert ended.code == 4, ended.out + ended.err
    assert mine.read_text() == "mine"


@pytest.mark.parametrize(("caller", "called"), [("client.cli", "server.api"), ("cli", "server.api")])
def test_call_takes_addresses_beside_names(running: Path, caller: str, called: str) -> None:
    ended = spawned("call", caller, called, cwd=running)
    assert ended.code == 0, ended.err
    assert "spiffe://shop/client/cli" in ended.out
    scaffold("call", caller, "server.apo", cwd=running).assert_clear_error('no such server "server.apo"')


def test_call_asks_for_a_path(running: Path) -> None:
    asked = spawned("call", "cli", "api", "/.mtls/caller?x=%20y", cwd=running)
    assert asked.code == 0, asked.err
    assert '"server": "api"' in asked.out
    nothing = spawned("call", "cli", "api", "/nothing", cwd=running)
    assert nothing.code == 1
    assert "the server answered 404" in nothing.err
    assert "scaffold explain" not in nothing.err, "it was let in"


@pytest.mark.parametrize(
    ("path", "words"),
    {
        "orders": ('"orders" is no path', "hint: it begins with a slash: /orders"),
        "/a b": ("is no path", "a blank is %20"),
        "/{a,b}": ("is no path",),
        "/100%": ("is no path",),
        "/a#b": ("is no path",),
        "/a\r\nX: y": ("is no path",),
        "/ä": ("is no path", "%-encoded"),
    }.items(),
)
def test_call_asks_for_no_path_that_is_none(made: Path, path: str, words: tuple[str, ...]) -> None:
    scaffold("call", "cli", "api", path, cwd=made).assert_clear_error(*words)


def test_publish_beside_up_says_that_up_publishes(tmp_path: Path) -> None:
    (published,) = free_addresses(1)
    (tmp_path / "topology.yaml").write_text(GOOD.replace("cas:", f"publish: http://{published}\ncas:"))
    assert scaffold("apply", cwd=tmp_path).code == 0
    with up(tmp_path, "--ports", "auto"):
        scaffold("publish", cwd=tmp_path).assert_clear_error(
            f"the publisher cannot listen on {published}", "hint: `scaffold up` runs here and publishes already"
        )


def test_beside_an_up_nobody_is_told_to_stop_what_that_has_started(running: Path) -> None:
    for verb, way_out in (("up", "stop that first"), ("verify", "`scaffold verify --running`")):
        ended = scaffold(verb, cwd=running)
        ended.assert_clear_error("server.api cannot listen on 127.0.0.1:", "`--ports auto`", way_out)
        assert re.search(r"`scaffold up` \(process [0-9]+\) runs it there", ended.err)


def test_a_port_that_is_taken_is_a_clear_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        (tmp_path / "topology.yaml").write_text(GOOD.replace("8443", str(listener.getsockname()[1])))
        assert scaffold("apply", cwd=tmp_path).code == 0
        for verb in ("up", "verify"):
            ended = scaffold(verb, cwd=tmp_path)
            ended.assert_clear_error("server.api cannot listen on 127.0.0.1:", "hint: stop ", "`--ports auto`")
            if sys.platform == "linux":
                assert f"(process {os.getpid()})" in ended.err


def test_a_server_whose_settings_were_edited_to_listen_elsewhere_is_named(made: Path, tmp_path: Path) -> None:
    edited_one = tmp_path / "edited"
    shutil.copytree(made, edited_one)
    settings = edited_one / "shop/servers/api/settings.json"
    (other,) = free_addresses(1)
    edited, count = re.subn(r'("listen": ")[^"]+', rf"\g<1>{other}", settings.read_text())
    assert count == 1
    settings.write_text(edited)
    for verb in ("up", "verify"):
        ended = scaffold(verb, cwd=edited_one)
        ended.assert_clear_error(
            "server.api reports that it is ready, but does not listen on 127.0.0.1:", "change `listen`"
        )
        assert f"ready: api on https://{other}" in ended.err


def test_the_hint_of_a_taken_port_works(running: Path) -> None:
    with up(running, "--ports", "auto") as lines:
        (ready,) = (line for line in lines if "ready: " in line)
        (address,) = re.findall(r"https://127\.0\.0\.1:([0-9]+)/", ready)
        assert address not in (running / "topology.yaml").read_text()
        run = [str(running / "shop/clients/cli/run.sh"), "api", f"https://127.0.0.1:{address}/"]
        called = subprocess.run(run, capture_output=True, text=True, check=False)
        assert called.returncode == 0, called.stderr


def test_call_finds_what_up_has_moved(made: Path) -> None:
    with up(made, "--ports", "auto"):
        ended = spawned("call", "cli", "api", cwd=made)
        assert ended.code == 0, ended.err
        assert "spiffe://shop/client/cli" in ended.out
    assert list((made / "shop/.scaffold").glob("up-*")) == []


def test_up_runs_what_it_is_asked_for_alone(tmp_path: Path) -> None:
    one, two = free_addresses(2)
    servers = f"""\
  api: {{template: python, issuer: issuing, listen: "{one}", names: [localhost]}}
  other: {{template: python, issuer: issuing, listen: "{two}", names: [localhost]}}
clients:"""
    (tmp_path / "topology.yaml").write_text(re.sub(r"  api: .*\nclients:", servers, GOOD))
    assert scaffold("apply", cwd=tmp_path).code == 0
    with socket.create_server((one.host, one.port)):  # somebody else's: it is not asked for
        with up(tmp_path, "--only", "server.other") as lines:
            assert [line for line in lines if "api" in line] == []
        scaffold("up", cwd=tmp_path).assert_clear_error("server.api cannot listen")
    scaffold("up", "--only", "client.cli", cwd=tmp_path).assert_clear_error(
        "is neither a server nor a client with doors", "server.api, server.other"
    )
    scaffold("up", "--only", "server.othr", cwd=tmp_path).assert_clear_error("there is no server.othr", "server.other")


def test_up_says_where_the_app_behind_a_front_is_to_be_started(tmp_path: Path) -> None:
    require_command("nginx")
    front, backend = free_addresses(2)
    assert scaffold("init", "--example", "own-service", cwd=tmp_path).code == 0
    file = tmp_path / "topology.yaml"
    moved = file.read_text().replace("127.0.0.1:8443", str(front)).replace("127.0.0.1:5000", str(backend))
    file.write_text(moved)
    assert scaffold("apply", cwd=tmp_path).code == 0
    with up(tmp_path) as lines:
        assert any(f"shop | forwards requests to {backend}: start your app there" in line for line in lines)
        nobody = spawned("call", "teller", "shop", cwd=tmp_path)
        assert nobody.code == 1
        assert "502" in nobody.err
        environment = {**os.environ, "PORT": str(backend.port)}
        with subprocess.Popen([sys.executable, "app.py"], cwd=tmp_path, env=environment) as app:
            try:
                until(lambda: spawned("call", "teller", "shop", cwd=tmp_path).code == 0)
                called = spawned("call", "auditor", "shop", cwd=tmp_path)
                assert called.json == {"caller": "spiffe://own-service/client/auditor", "roles": ["reader"]}
            finally:
                app.terminate()


def test_up_finds_what_verify_finds(tmp_path: Path) -> None:
    """nginx lies in /usr/sbin, out of an ordinary user's PATH."""
    require_command("nginx")
    nginx = GOOD.replace("template: python, issuer: issuing, listen", "template: nginx, issuer: issuing, listen")
    (tmp_path / "topology.yaml").write_text(nginx.replace("127.0.0.1:8443", str(free_addresses(1)[0])))
    assert scaffold("apply", cwd=tmp_path).code == 0
    path = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    verified = spawned("verify", cwd=tmp_path, env=path)
    assert (verified.code, "needs nginx" in verified.out) == (0, False), verified.err
    with up(tmp_path, env=path) as lines:
        assert "ready: https://" in lines[-1]
        assert not [line for line in lines if "[notice]" in line], "among which that line would be lost"
        assert spawned("call", "cli", "api", cwd=tmp_path, env=path).code == 0


def test_where_another_program_speaks_no_tls_call_says_so(made: Path) -> None:
    (port,) = re.findall(r"127\.0\.0\.1:([0-9]+)", (made / "topology.yaml").read_text())
    command = [sys.executable, "-m", "http.server", port, "--bind", "127.0.0.1"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=made / "shop") as other:
        try:
            until(lambda: why_taken(HostPort("127.0.0.1", int(port))) is not None)
            ended = spawned("call", "cli", "api", cwd=made)
        finally:
            other.terminate()
    assert ended.code == 1
    hint = f"hint: what answers at 127.0.0.1:{port} speaks no TLS: is it another program than server.api?"
    assert hint in ended.err
    assert sys.platform != "linux" or f"(process {other.pid}) listens there" in ended.err
    assert "scaffold explain" not in ended.err, "no certificate was looked at"


def test_call_does_not_wait_for_an_up_that_cannot_begin(tmp_path: Path) -> None:
    text = GOOD.replace("template: python, issuer: issuing, listen", "template: files, issuer: issuing, listen")
    (tmp_path / "topology.yaml").write_text(text + "  uninvited: {template: curl, issuer: issuing}\n")
    planned = scaffold("plan", cwd=tmp_path)
    assert planned.code == 1
    assert scaffold("call", "cli", "api", cwd=tmp_path) == planned


def test_call_to_nobody_says_how_to_start_it(made: Path) -> None:
    ended = spawned("call", "cli", "api", cwd=made)
    assert ended.code == 1
    assert "hint: no `scaffold up` runs here" in ended.err


def test_call_to_what_up_was_not_asked_for_says_so(tmp_path: Path) -> None:
    one, two = free_addresses(2)
    servers = f"""\
  api: {{template: python, issuer: issuing, listen: "{one}", names: [localhost]}}
  other: {{template: python, issuer: issuing, listen: "{two}", names: [localhost]}}
clients:"""
    (tmp_path / "topology.yaml").write_text(re.sub(r"  api: .*\nclients:", servers, GOOD))
    assert scaffold("apply", cwd=tmp_path).code == 0
    with up(tmp_path, "--only", "server.other"):
        ended = spawned("call", "cli", "api", cwd=tmp_path)
        assert ended.code == 1
        assert "was started without server.api: stop it and start it again" in ended.err


def test_call_does_not_wait_where_an_apply_alone_helps(made: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(made, tmp_path / "copied")
    (copied / "topology.yaml").open("a").write("  fresh: {template: python, issuer: issuing, calls: [api]}\n")
    scaffold("call", "fresh", "api", cwd=copied).assert_clear_error("client.fresh has no project", "`scaffold apply`")


def test_call_knows_the_names(made: Path) -> None:
    scaffold("call", "clj", "api", cwd=made).assert_clear_error('"clj"', 'did you mean "cli"')
    scaffold("call", "api", "cli", cwd=made).assert_clear_error("did you mean `scaffold call cli api`?")
    scaffold("call", "api", "api", cwd=made).assert_clear_error(
        "api is a server that makes no calls", "calls: [SERVER]"
    )
    scaffold("call", "cli", "apu", cwd=made).assert_clear_error('"apu"', 'did you mean "api"')


UNLISTED = """\
version: 1
name: chain
cas: {{root: {{}}}}
servers:
  front: {{template: python, listen: "{front}", names: [front.internal], calls: [back]}}
  back: {{template: python, listen: "{back}", names: [back.internal]}}
clients:
  cli: {{template: python, calls: [front]}}
  late: {{template: python, fault: expired, calls: [front]}}
  away: {{external: {{issuer: root, identity: "spiffe://else/where"}}, calls: [front]}}
"""


def test_a_call_that_is_not_listed_is_made_to_see_who_refuses_it(tmp_path: Path) -> None:
    front, back = free_addresses(2)
    (tmp_path / "topology.yaml").write_text(UNLISTED.format(front=front, back=back))
    assert scaffold("apply", cwd=tmp_path).code == 0
    nobody = scaffold("call", "cli", "back", cwd=tmp_path)
    assert nobody.code == 1
    assert f"server.back is not reachable at {back}" in nobody.err
    assert "`scaffold up` starts the servers" in nobody.err
    tls = tmp_path / "chain/clients/cli/tls"
    with up(tmp_path, "--ports", "auto"):
        refused = scaffold("call", "cli", "back", cwd=tmp_path)
        assert refused.code == 6
        assert refused.out.startswith("✓ server.back refuses client.cli (http): HTTP 403")
        assert "`scaffold explain client.cli server.back`" in refused.out
        assert "client.cli does not list server.back under `calls`" in refused.err
        of_server = scaffold("call", "front", "front", "/any", cwd=tmp_path)
        assert (of_server.code, of_server.out[:40]) == (6, "✓ server.front refuses server.front (htt")
        expired = scaffold("call", "late", "back", cwd=tmp_path)
        assert (expired.code, "(tls): alert certificate expired" in expired.out) == (6, True)
        scaffold("call", "cli", "back", "any", cwd=tmp_path).assert_clear_error('"any" is no path')
        external = scaffold("call", "away", "back", cwd=tmp_path)
        assert external.code == 1
        assert "client.away is external: its certificate is not here" in external.err
        # The certificate of somebody who may call: now the server lets it in, whatever it is asked for.
        for name in ("cert.pem", "key.pem"):
            shutil.copy(tmp_path / f"chain/servers/front/tls/client-{name}", tls / name)
        for path, answer in (("/.mtls/caller", "200"), ("/nothing", "404")):
            let_in = scaffold("call", "cli", "back", path, cwd=tmp_path)
            assert let_in.code == 5
            assert let_in.out.startswith(f"✗ server.back let client.cli in (http): HTTP {answer}")
    (tls / "key.pem").unlink()
    gone = scaffold("call", "cli", "back", cwd=tmp_path)
    assert gone.code == 1
    assert "key.pem cannot be read" in gone.err


def test_where_nobody_is_allowed_the_allow_list_refuses(tmp_path: Path) -> None:
    """As `explain` says: a chain that is as long as the server's own is not too long."""
    require_command("nginx")
    (tmp_path / "topology.yaml").write_text(f"""
version: 1
name: idle
cas: {{root: {{}}, issuing: {{issuer: root}}}}
defaults: {{issuer: issuing}}
servers: {{api: {{template: nginx, listen: "{free_addresses(1)[0]}", names: [localhost]}}}}
clients: {{web: {{template: curl}}}}
""")
    assert scaffold("apply", cwd=tmp_path).code == 0
    with up(tmp_path):
        refused = scaffold("call", "web", "api", cwd=tmp_path)
    assert refused.code == 6
    assert refused.out.startswith("✓ server.api refuses client.web (http): HTTP 403"), refused.out
    assert "✗ the caller is not on the allow list" in scaffold("explain", "web", "api", cwd=tmp_path).out


def test_of_what_speaks_no_http_no_path_is_asked(tmp_path: Path) -> None:
    (tmp_path / "topology.yaml").write_text("""
version: 1
name: data
cas: {root: {}}
servers: {base: {template: postgresql, listen: "127.0.0.1:5432", names: [localhost]}}
clients: {session: {template: psql, calls: [base]}, web: {template: curl}}
""")
    scaffold("call", "session", "base", "/x", cwd=tmp_path).assert_clear_error("client.session speaks postgresql")
    scaffold("call", "web", "base", "/x", cwd=tmp_path).assert_clear_error("server.base speaks postgresql", "no paths")


def test_a_server_that_calls_is_asked_to(tmp_path: Path) -> None:
    front, back = free_addresses(2)
    (tmp_path / "topology.yaml").write_text(
        f"""
version: 1
name: chain
cas: {{root: {{}}}}
servers:
  front: {{template: python, listen: "{front}", names: [front.internal], calls: [back]}}
  back: {{template: python, listen: "{back}", names: [back.internal]}}
clients:
  cli: {{template: python, calls: [front]}}
"""
    )
    assert scaffold("apply", cwd=tmp_path).code == 0
    nobody = scaffold("call", "front", "back", cwd=tmp_path)
    assert nobody.code == 1
    assert "error: server.front is not reachable" in nobody.err
    assert "hint: no `scaffold up` runs here" in nobody.err
    scaffold("call", "front", "back", "/x", cwd=tmp_path).assert_clear_error("server.front", "takes no path", "clients")
    scaffold("call", "back", "front", cwd=tmp_path).assert_clear_error(
        "back is a server that makes no calls", "topology.yaml:", "did you mean `scaffold call front back`?"
    )
    scaffold("call", "front", "cli", cwd=tmp_path).assert_clear_error(
        "cli is a client, and clients are not called", "did you mean `scaffold call cli front`?"
    )
    with up(tmp_path, "--ports", "auto"):
        answered = scaffold("call", "front", "back", cwd=tmp_path)
        assert answered.code == 0, answered.err
    with up(tmp_path):
        for name in ("front", "server.front"):
            answered = scaffold("call", name, "back", cwd=tmp_path)
            assert answered.code == 0, answered.err
            assert "spiffe://chain/server/front" in answered.out
        # Somebody else's certificate: the server is told no name that it expects.
        for file in ("cert.pem", "key.pem"):
            shutil.copy(tmp_path / f"chain/servers/front/tls/{file}", tmp_path / f"chain/servers/back/tls/{file}")
    with up(tmp_path):
        refused = scaffold("call", "front", "back", cwd=tmp_path)
        assert refused.code == 1
        assert "trust" in refused.err
        assert refused.err.endswith("→ scaffold explain server.front server.back\n")


# status, graph, inspect, schema


def test_status_lists_every_certificate(made: Path) -> None:
    value = scaffold("status", "--json", cwd=made).json
    states = {certificate["address"]: certificate["state"] for certificate in value["certificates"]}
    assert states == {
        "ca.root.certificate": "valid",
        "ca.issuing.certificate": "valid",
        "server.api.certificate": "valid",
        "client.cli.certificate": "valid",
        "client.late.certificate": "fault",
    }
    for certificate in value["certificates"]:
        assert re.fullmatch(r"[0-9a-f]{64}", certificate["fingerprint_sha256"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", certificate["not_after"])


def test_status_exits_with_3_where_something_is_due(made: Path, tmp_path: Path) -> None:
    assert scaffold("status", cwd=made).code == 0
    ended = scaffold("status", "--within", "91d", cwd=made)
    assert ended.code == 3
    assert "due" in ended.out
    assert scaffold("status", "--within", "10d", cwd=made).code == 0
    (tmp_path / "topology.yaml").write_text(GOOD)
    assert scaffold("status", cwd=tmp_path).code == 3
    misspelt = scaffold("status", "--within", "soon", cwd=made)
    assert misspelt.code == 2
    assert '"soon" is not a duration' in misspelt.err


@pytest.mark.parametrize(("format_", "first"), [("mermaid", "---"), ("dot", 'digraph "shop" {')])
def test_graph_draws(format_: str, first: str, made: Path) -> None:
    ended = scaffold("graph", "--format", format_, cwd=made)
    assert ended.code == 0
    assert ended.out.splitlines()[0] == first


# doctor


def test_doctor_exits_with_1_where_a_program_is_missing(applied: Path) -> None:
    ended = scaffold("doctor", cwd=applied)
    assert ended.code == 0, ended.out
    assert re.search(r"✓ python3  /", ended.out)
    if any(Path(folder, "python3").exists() for folder in ("/usr/local/sbin", "/usr/sbin", "/sbin")):
        pytest.skip("python3 lies where servers do, and cannot be hidden")
    lacking = spawned("doctor", cwd=applied, env={"PATH": str(applied)})
    assert lacking.code == 1
    assert "✗ python3  not installed" in lacking.out
    assert lacking.err == ""
    value = spawned("doctor", "--json", cwd=applied, env={"PATH": str(applied)}).json
    assert value["summary"]["missing"] == 2  # of the server's template, and of the client's


# explain


def test_explain_tells_a_call_as_verify_has_seen_it(applied: Path) -> None:
    before = scaffold("explain", "cli", "api", cwd=applied)
    assert before.code == 0, before.err
    assert before.out.startswith("client.cli is allowed to call server.api, and gets in.\n")
    assert "After `scaffold verify`, each check above also shows the answer" in before.out
    assert "otherwise:" not in before.out
    assert scaffold("verify", "--ports", "auto", cwd=applied).code == 0
    after = scaffold("explain", "client.cli", "server.api", cwd=applied)
    assert "After `scaffold verify`, each check" not in after.out
    assert "otherwise: alert certificate required  (no certificate)" in after.out
    assert re.search(r"servers/api/tls\.py:\d+  context\.verify_mode = ssl\.CERT_REQUIRED", after.out)
    late = scaffold("explain", "late", "api", cwd=applied)
    assert late.out.startswith("client.late is allowed to call server.api, but server.api refuses it today.\n")
    assert re.search(r"server\.api answers: (?!`scaffold verify`)\S", late.out)  # in the words of this run
    assert scaffold("plan", "--check", cwd=applied).code == 0  # what verify kept is no difference


def test_explain_says_nothing_of_a_call_that_an_edited_file_decides(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "shop/servers/api/tls/allowed.json"
    path.write_text('{"allowed": []}')
    ended = scaffold("explain", "cli", "api", cwd=tmp_path)
    assert ended.out.startswith(
        "It is not known whether client.cli gets in at server.api: servers/api/tls/allowed.json "
    )
    assert scaffold("explain", "cli", "api", "--json", cwd=tmp_path).json["succeeds"] is None
    attention = scaffold("report", "--json", cwd=tmp_path).json["attention"]
    assert "server.api.trust" in [one["address"] for one in attention]


def test_explain_of_one_address_says_who_may_call(made: Path) -> None:
    ended = scaffold("explain", "server.api", cwd=made)
    assert re.search(r"✓ client\.cli  until \d{4}-", ended.out)
    assert re.search(r"✗ client\.late .*\n.*\n.*topology\.yaml:\d+ .*\n *server\.api refuses it today", ended.out)
    value = scaffold("explain", "cli", "--json", cwd=made).json
    assert [edge["server"] for edge in value["callees"]] == ["server.api"]


def test_explain_prints_json_and_a_diagram(made: Path) -> None:
    value = scaffold("explain", "cli", "api", "--format", "json", cwd=made).json
    assert (value["listed"], value["succeeds"]) == (True, True)
    assert scaffold("explain", "cli", "api", "--json", cwd=made).json == value
    assert "sequenceDiagram" in scaffold("explain", "cli", "api", "--format", "mermaid", cwd=made).out
    assert scaffold("explain", "api", "--format", "mermaid", cwd=made).code == 2


def test_explain_of_whom_there_is_not_names_the_nearest(made: Path, tmp_path: Path) -> None:
    scaffold("explain", "clu", "api", cwd=made).assert_clear_error("there is no server or client clu", "cli")
    scaffold("explain", "root", cwd=made).assert_clear_error("root is a CA, which makes no calls")
    scaffold("explain", "api", "cli", cwd=made).assert_clear_error("client.cli is a client, and clients are not called")
    (tmp_path / "topology.yaml").write_text(GOOD.replace("  late:", "  api: {template: python}\n  late:"))
    scaffold("explain", "api", cwd=tmp_path).assert_clear_error("server.api and client.api", "ROLE.NAME")
    scaffold("explain", "cli", "server.api", cwd=tmp_path).assert_clear_error("has no project", "scaffold apply")


def test_inspect_says_in_words_what_a_file_holds(made: Path) -> None:
    ended = scaffold("inspect", "shop/servers/api/tls/cert.pem", cwd=made)
    assert "spiffe://shop/server/api" in ended.out
    assert "intermediate CA certificate" in ended.out
    key = scaffold("inspect", "shop/servers/api/tls/key.pem", cwd=made)
    assert "ec-p256" in key.out
    assert "PRIVATE KEY-----" not in key.out
    assert scaffold("inspect", "shop/pki/root/crl.pem", cwd=made).code == 0


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x30\x82\xff\xff", b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"]
)
def test_inspect_of_garbage_is_a_clear_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "it").write_bytes(content)
    scaffold("inspect", "it", cwd=tmp_path).assert_clear_error("it is ")
    scaffold("inspect", "nothing", cwd=tmp_path).assert_clear_error("nothing")


def test_schema_accepts_the_examples(tmp_path: Path) -> None:
    import jsonschema
    import yaml

    schema = scaffold("schema", cwd=tmp_path).json
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(GOOD), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(GOOD.replace("names:", "nmaes:")), schema)


def on_a_terminal(
    arguments: list[str], cwd: Path, typed: str = "", environment: dict[str, str] | None = None
) -> tuple[int, str]:
    """Exit code and output of `scaffold ARGUMENTS` on a pseudo-terminal, with `typed` on its keyboard."""
    leader, follower = pty.openpty()
    clean = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-m", "scaffold", *arguments],
        cwd=cwd,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={**clean, "TERM": "xterm-256color", **(environment or {})},
    )
    os.close(follower)
    os.write(leader, typed.encode())
    shown = b""
    while True:
        try:
            piece = os.read(leader, 65536)
        except OSError:  # Linux says EIO once the other end is closed.
            break
        if not piece:
            break
        shown += piece
    os.close(leader)
    return process.wait(60), shown.decode("utf-8", "replace")
