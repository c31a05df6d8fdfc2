"""A real PostgreSQL and psql, as they are rendered: who gets in, what a person cannot open, and what reloads."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scaffold.apply import apply
from scaffold.pki import crl as crls
from scaffold.plan.intents import Revoke
from scaffold.plan.make import look
from scaffold.plan.plan_subset import plan_intents
from scaffold.running.ports import free_addresses
from scaffold.running.services import Service
from scaffold.topology.address import Address
from scaffold.topology.model import HostPort
from tests.handshake.nginx_lab import until
from tests.handshake.postgresql_lab import answer, as_root, ask, require_postgresql, run, running
from tests.handshake.rewriting import rewrite
from tests.handshake.traffic import ANYBODYS_PATH, give_to_nobody, nobody, nobodys_folder
from tests.handshake.verify_lab import Lab, applied, reopened
from tests.requirements import require, require_command

require_postgresql()
require_command("openssl")

LONG = "Ж" * 64
"""In each of three attributes: 1,164 octets as RFC 2253 prints it, all of which count."""

TOPOLOGY = f"""
version: 1
name: bank
publish: http://127.0.0.1:19086
defaults: {{tls: modern}}
cas:
  root: {{}}
  issuing: {{issuer: root, path_length: 0}}
servers:
  ledger:
    template: postgresql
    listen: 127.0.0.1:15436
    names: [ledger.bank.internal, localhost]
    check_revocation: crl
    vars: {{greeting: "it's \\"here\\" $(id)"}}
clients:
  teller: {{template: psql, calls: [ledger], check_revocation: crl}}
  cashier: {{template: psql, calls: [ledger]}}
  none: {{template: psql, calls: [ledger], subject: {{common_name: 'Ćiro "C" , = + \\', organization: "A, B; <#>"}}}}
  postgres: {{template: psql, calls: [ledger], subject: {{common_name: "# sharp", organization: "/^(.*)$"}}}}
  long:
    template: psql
    calls: [ledger]
    subject: {{common_name: {LONG}, organization: {LONG}, organizational_unit: {LONG}}}
  stranger: {{template: psql}}
"""


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return applied(TOPOLOGY, tmp_path_factory.mktemp("bank"))


@pytest.fixture(scope="module")
def address() -> HostPort:
    return free_addresses(1)[0]


@pytest.fixture(scope="module")
def ledger(bank: Lab, address: HostPort) -> Iterator[Service]:
    with running(bank.path("servers/ledger"), address) as service:
        yield service


pytestmark = pytest.mark.usefixtures("ledger")


def own(project: Path) -> Path:
    """What PostgreSQL reads while it runs."""
    (folder,) = (project / "run").glob("pg.*")
    return folder


def admin(bank: Lab, *statements: str) -> subprocess.CompletedProcess[str]:
    return run(bank.path("servers/ledger/admin.sh"), "-XAtq", *(word for one in statements for word in ("-c", one)))


# --- Who gets in -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", ["teller", "cashier", "none", "postgres", "long"])
def test_a_caller_is_let_in_as_itself_whatever_its_name(client: str, bank: Lab, address: HostPort) -> None:
    assert answer(ask(bank.layout, client, "ledger", address)) == {
        "server": "ledger",
        "caller": f"spiffe://bank/client/{client}",
        "roles": [],
        "on_behalf_of": None,
        "greeting": 'it\'s "here" $(id)',
    }


def test_no_caller_is_the_administrator(bank: Lab) -> None:
    """Whatever it is called: the roles of callers have names that no administrator has."""
    said = admin(bank, "SELECT rolname FROM pg_roles WHERE rolsuper").stdout
    assert said.split() == ["scaffold_admin"]


@pytest.mark.parametrize("role", ["teller", "stranger", "scaffold_admin", "none_"])
def test_a_certificate_without_a_role_is_nobody_whoever_it_says_it_is(
    role: str, bank: Lab, address: HostPort, tmp_path: Path
) -> None:
    stranger = copied(bank, "clients/teller", tmp_path)
    for name in ("cert.pem", "key.pem"):
        shutil.copy(bank.path(f"clients/stranger/tls/{name}"), stranger / "tls" / name)
    rewrite(stranger / "psql.sh", ("user='teller'", f"user='{role}'"))
    refused = run(stranger / "run.sh", "ledger", f"postgresql://{address}/")
    assert refused.returncode == 4
    assert f'certificate authentication failed for user "{role}"' in refused.stderr


def test_without_tls_nobody_gets_in(bank: Lab, address: HostPort, tmp_path: Path) -> None:
    teller = copied(bank, "clients/teller", tmp_path)
    rewrite(teller / "psql.sh", ("sslmode=verify-full", "sslmode=disable"))
    refused = run(teller / "run.sh", "ledger", f"postgresql://{address}/")
    assert refused.returncode == 4
    assert "no pg_hba.conf entry" in refused.stderr


def test_the_socket_opens_to_the_administrator_alone(bank: Lab) -> None:
    require(as_root(), "root, to be another account")
    script = bank.path("servers/ledger/admin.sh")
    outside = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh"],
        stdin=script.open(), capture_output=True, text=True, check=False, cwd="/",
    )  # fmt: skip
    assert outside.returncode != 0
    assert admin(bank, "SELECT 1").stdout == "1\n"
    state = own(bank.path("servers/ledger")).stat()
    assert state.st_mode & 0o777 == 0o700


# --- What is a person's ----------------------------------------------------------------------------------------------


def test_no_setting_of_a_person_opens_the_front(bank: Lab, address: HostPort, ledger: Service, tmp_path: Path) -> None:
    open_to_all = tmp_path / "open.conf"
    open_to_all.write_text("host all all all trust\n")
    open_to_all.chmod(0o644)
    settings = {
        "ssl": "off",
        "ssl_ca_file": "",
        "ssl_crl_file": "",
        "ssl_min_protocol_version": "TLSv1",
        "hba_file": str(open_to_all),
        "ident_file": str(open_to_all),
        "unix_socket_permissions": "0777",
    }
    mine = bank.path("servers/ledger/postgresql.conf")
    mine.write_text("".join(f"{name} = '{value}'\n" for name, value in settings.items()) + "work_mem = '5MB'\n")
    changed = admin(bank, *(f"ALTER SYSTEM SET {name} = '{value}'" for name, value in settings.items()))
    assert changed.returncode == 0, changed.stderr
    ledger.reload()
    until(lambda: admin(bank, "SHOW work_mem").stdout == "5MB\n")
    shown = {name: admin(bank, f"SHOW {name}").stdout.strip() for name in settings}
    assert (shown["ssl"], shown["ssl_min_protocol_version"], shown["unix_socket_permissions"]) == (
        "on",
        "TLSv1.3",
        "0700",
    )
    assert all(value not in ("", str(open_to_all)) for value in shown.values())
    test_without_tls_nobody_gets_in(bank, address, tmp_path)
    answer(ask(bank.layout, "teller", "ledger", address))


def test_what_was_granted_stays(bank: Lab, address: HostPort) -> None:
    made = admin(bank, "CREATE TABLE IF NOT EXISTS books (n int)", "GRANT SELECT ON books TO teller")
    assert made.returncode == 0, made.stderr
    url = f"postgresql://{address}/postgres"
    counted = {
        client: run(
            bank.path(f"clients/{client}/psql.sh"), "ledger", "-Atc", "TABLE books", told={"URL": url}
        ).returncode
        for client in ("teller", "cashier")
    }
    assert counted == {"teller": 0, "cashier": 1}


# --- What the client makes of its surroundings -----------------------------------------------------------------------


def test_nothing_around_the_client_has_a_say(bank: Lab, address: HostPort, tmp_path: Path) -> None:
    teller = copied(bank, "clients/teller", tmp_path)
    hidden = teller / ".postgresql"
    hidden.mkdir()
    for name in ("root.crt", "root.crl", "postgresql.crt", "postgresql.key"):
        (hidden / name).write_text("nobody's\n")
    (teller / ".psqlrc").write_text("\\echo 'read'\n")
    (teller / ".pgpass").write_text("*:*:*:*:secret\n")
    around = {
        "PGSSLMODE": "disable", "PGSSLROOTCERT": "/dev/null", "PGSSLCERT": "/dev/null", "PGHOST": "nowhere.invalid",
        "PGHOSTADDR": "192.0.2.1", "PGUSER": "cashier", "PGPORT": "1", "PGDATABASE": "nothing", "PGSERVICE": "none",
        "PGSYSCONFDIR": str(teller), "PGOPTIONS": "-c no.such=1 -c", "PGSSLMAXPROTOCOLVERSION": "TLSv1",
    }  # fmt: skip
    assert answer(run(teller / "run.sh", "ledger", f"postgresql://{address}/", told=around))["caller"].endswith(
        "/teller"
    )


def test_where_nobody_listens_that_is_said(bank: Lab) -> None:
    (nowhere,) = free_addresses(1)
    assert ask(bank.layout, "teller", "ledger", nowhere).returncode == 5


@pytest.mark.parametrize("host", ["db.invalid", "cafe", "a.b", "127.0.0.1.invalid"])
def test_a_host_that_has_no_address_is_not_reachable(host: str, bank: Lab) -> None:
    ran = ask(bank.layout, "teller", "ledger", HostPort(host, 1))
    assert (ran.returncode, f'could not translate host name "{host}"' in ran.stderr) == (5, True), ran.stderr


def test_several_urls_are_called_in_turn(bank: Lab, address: HostPort) -> None:
    (nowhere,) = free_addresses(1)
    by_name = HostPort("localhost", address.port)
    urls = [f"postgresql://{one}/" for one in (address, nowhere, by_name)]
    ran = run(bank.path("clients/teller/run.sh"), "ledger", *urls)
    assert (ran.returncode, ran.stdout.count("spiffe://bank/client/teller")) == (5, 2), ran.stderr
    assert "not reachable" in ran.stderr


def test_a_client_that_calls_nobody_is_done(bank: Lab) -> None:
    assert run(bank.path("clients/stranger/run.sh")).returncode == 0
    assert run(bank.path("clients/stranger/run.sh"), "ledger").returncode == 1


@pytest.mark.parametrize("content", [b"", b"nothing\n", "first only", None])
def test_crls_that_cannot_be_read_are_not_passed_over(
    content: bytes | str | None, bank: Lab, address: HostPort, tmp_path: Path
) -> None:
    """libpq goes on without a word where `sslcrl` cannot be read."""
    teller = copied(bank, "clients/teller", tmp_path)
    file = teller / "tls/crl.pem"
    if content == "first only":
        blocks = file.read_text().split("-----END X509 CRL-----")
        content = "-----END X509 CRL-----".join((blocks[0], blocks[1].replace("MI", "!!"), *blocks[2:])).encode()
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        file.unlink()
    refused = run(teller / "run.sh", "ledger", f"postgresql://{address}/")
    assert (refused.returncode, "cannot be read" in refused.stderr) == (3, True), refused.stderr


# --- Reloading, and the end ------------------------------------------------------------------------------------------


def test_a_revoked_caller_is_refused_after_a_reload_and_a_new_one_let_in(tmp_path: Path) -> None:
    bank = applied(TOPOLOGY, tmp_path)
    (there,) = free_addresses(1)
    with running(bank.path("servers/ledger"), there) as service:
        answer(ask(bank.layout, "teller", "ledger", there))
        changed = (tmp_path / "topology.yaml").read_text().replace("stranger: {template: psql}", NEWCOMER)
        (tmp_path / "topology.yaml").write_text(changed)
        bank = reopened(tmp_path / "topology.yaml", bank.layout.out)
        revoke(bank, "client.teller")
        bank.apply()
        answer(ask(bank.layout, "teller", "ledger", there))
        assert ask(bank.layout, "newcomer", "ledger", there).returncode == 4
        service.reload()
        until(lambda: ask(bank.layout, "teller", "ledger", there).returncode == 4)
        assert "certificate revoked" in ask(bank.layout, "teller", "ledger", there).stderr
        until(lambda: ask(bank.layout, "newcomer", "ledger", there).returncode == 0)
        answer(ask(bank.layout, "cashier", "ledger", there))


NEWCOMER = "newcomer: {template: psql, calls: [ledger]}"


def revoke(bank: Lab, address: str) -> None:
    """Its holder keeps the certificate."""
    now = datetime.now(UTC)
    intent = Revoke(Address.parse(address), crls.Reason("keyCompromise"), replace=False)
    apply(plan_intents(look(bank.topology, bank.kinds, bank.layout, now), [intent]), bank.secrets)


def test_what_cannot_be_read_leaves_the_old_in_force(bank: Lab, address: HostPort, ledger: Service) -> None:
    project = bank.path("servers/ledger")
    file = project / "tls/pg_ident.conf"
    away = file.rename(project / "tls/away")
    ledger.reload()
    until(lambda: any("not reloaded" in line for line in ledger.last_lines))
    answer(ask(bank.layout, "teller", "ledger", address))
    away.rename(file)
    ledger.reload()
    until(lambda: not (own(project) / "loading").exists())
    answer(ask(bank.layout, "teller", "ledger", address))


def test_a_storm_of_hups_is_a_reload(bank: Lab, tmp_path: Path) -> None:
    """However many come, and at whatever moment, also while it starts: the last counts, and none ends it."""
    project = copied(bank, "servers/ledger", tmp_path)
    (there,) = free_addresses(1)
    allowed = project / "tls/pg_ident.conf"
    before = allowed.read_text()
    with hupped_while_it_starts(project) as has_started, running(project, there) as service:
        has_started.set()
        for text, code in ((before.replace('"CN=teller"', '"CN=nobody"'), 4), (before, 0)):
            storm(service, 50)
            allowed.write_text(text)
            storm(service, 10)
            until(lambda code=code: ask(bank.layout, "teller", "ledger", there).returncode == code)
        assert service.running
        service.reload()
        service.signal(signal.SIGTERM)
        storm(service, 10)
        until(lambda: not service.running)
        assert "ended with exit status 0" in service.epitaph()
        assert not any("not reloaded" in line for line in service.last_lines)


def storm(service: Service, times: int) -> None:
    for _ in range(times):
        service.reload()


@contextlib.contextmanager
def hupped_while_it_starts(project: Path) -> Iterator[threading.Event]:
    """From when its run.sh has noted its number until the event is set."""
    has_started = threading.Event()

    def send() -> None:
        while not has_started.wait(0.02):
            for noted in (project / "run").glob("pg.*/run.pid"):
                with contextlib.suppress(OSError, ValueError):
                    os.kill(int(noted.read_text()), signal.SIGHUP)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield has_started
    finally:
        has_started.set()
        sender.join()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_it_ends_and_leaves_its_data_and_no_key(number: signal.Signals, bank: Lab, tmp_path: Path) -> None:
    project = copied(bank, "servers/ledger", tmp_path)
    (there,) = free_addresses(1)
    with running(project, there) as service:
        assert own(project).joinpath("key.pem").exists()
        os.kill(service.pid, number)
        until(lambda: not service.running)
        assert "ended with exit status 0" in service.epitaph()
    assert {entry.name for entry in (project / "run").iterdir()} == {"data", ".gitignore"}
    with running(project, there):
        answer(ask(bank.layout, "teller", "ledger", there))


def test_what_a_killed_one_has_left_is_swept_up_by_the_next(bank: Lab, tmp_path: Path) -> None:
    project = copied(bank, "servers/ledger", tmp_path)
    left = project / "run/pg.killed"
    left.mkdir(parents=True)
    shutil.copy(project / "tls/key.pem", left)
    with running(project, free_addresses(1)[0]):
        assert not left.exists()
        assert own(project).joinpath("key.pem").exists()


def test_a_second_one_beside_it_is_refused_and_disturbs_nothing(bank: Lab, address: HostPort) -> None:
    ran = run(bank.path("servers/ledger/run.sh"), told={"LISTEN": str(free_addresses(1)[0])})
    assert (ran.returncode, "already, as process" in ran.stdout + ran.stderr) == (1, True)
    assert own(bank.path("servers/ledger")).joinpath("key.pem").exists()
    answer(ask(bank.layout, "teller", "ledger", address))


def test_an_ordinary_account_runs_it_too_under_any_umask(bank: Lab) -> None:
    (there,) = free_addresses(1)
    with nobodys_folder() as home:
        project = copied(bank, "servers/ledger", home)
        give_to_nobody(home)
        with subprocess.Popen(
            ["sh", "-c", 'umask 777; exec "$0"', project / "run.sh"],
            env={"PATH": ANYBODYS_PATH, "LISTEN": str(there)}, stdout=subprocess.PIPE, text=True, cwd="/", **nobody(),
        ) as process:  # fmt: skip
            try:
                assert process.stdout is not None
                assert any(line.startswith("ready: ") for line in process.stdout)
                answer(ask(bank.layout, "teller", "ledger", there))
                by_root = run(project / "admin.sh", "-XAtqc", "SELECT session_user")
                assert by_root.stdout == "scaffold_admin\n", by_root.stderr
            finally:
                process.terminate()
            assert process.wait(60) == 0


def test_root_needs_an_account_to_run_it_by(bank: Lab, tmp_path: Path) -> None:
    require(as_root(), "root")
    project = copied(bank, "servers/ledger", tmp_path)
    rewrite(project / "run.sh", ("account='postgres'", "account='nobody-of-this-name'"))
    ran = run(project / "run.sh")
    assert (ran.returncode, "there is no account nobody-of-this-name" in ran.stderr) == (1, True)
    assert not (project / "run").exists()


def test_data_of_another_version_is_not_touched(bank: Lab, tmp_path: Path) -> None:
    project = copied(bank, "servers/ledger", tmp_path)
    (project / "run/data").mkdir(parents=True)
    (project / "run/data/PG_VERSION").write_text("7.4\n")
    ran = run(project / "run.sh", told={"PATH": "/usr/bin:/bin"})
    assert (ran.returncode, "PostgreSQL 7.4, which made" in ran.stderr) == (1, True)
    assert (project / "run/data/PG_VERSION").read_text() == "7.4\n"


@pytest.mark.parametrize("listen", ["nonsense", "127.0.0.1:", ":5432", "127.0.0.1:x", "127.0.0.1:1 -c ssl=off"])
def test_a_place_that_is_none_is_refused(listen: str, bank: Lab, tmp_path: Path) -> None:
    project = copied(bank, "servers/ledger", tmp_path)
    ran = run(project / "run.sh", told={"LISTEN": listen})
    assert (ran.returncode, f"LISTEN is not host:port: {listen}" in ran.stderr) == (1, True)


def copied(bank: Lab, project: str, to: Path) -> Path:
    return Path(shutil.copytree(bank.path(project), to / Path(project).name, ignore=shutil.ignore_patterns("run")))
