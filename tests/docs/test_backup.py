"""docs/backup.md: its commands run, in their order, and what it says of each loss is what plan says."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from scaffold.plan.model import Action
from tests.cli.harness import scaffold
from tests.docs.console import Step, run
from tests.unit.conftest import Household

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/backup.md").read_text("utf-8")
COMMANDS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)

SHOP = """\
version: 1
name: shop
publish: http://127.0.0.1:9080
cas:
  root: {key_password: {generate: true}}
  issuing: {issuer: root}
servers:
  api: {template: python, issuer: issuing, listen: 127.0.0.1:8443, names: [localhost], check_revocation: crl}
clients:
  web: {template: curl, issuer: issuing, calls: [api]}
"""


def test_its_commands_put_back_what_was_lost(tmp_path: Path) -> None:
    (tmp_path / "topology.yaml").write_text(SHOP)
    assert scaffold("apply", cwd=tmp_path).code == 0
    assert scaffold("revoke", "client.web", "--reason", "superseded", "--yes", cwd=tmp_path).code == 0
    before = (tmp_path / "shop/pki/issuing/ca.key").read_bytes(), (tmp_path / "shop/pki/issuing/crl.pem").read_bytes()
    assert len(COMMANDS) == 5
    for command in COMMANDS:
        # An `&& exit 1` is what must not succeed; any other command must.
        run(Step(command), tmp_path)
    after = (tmp_path / "shop/pki/issuing/ca.key").read_bytes(), (tmp_path / "shop/pki/issuing/crl.pem").read_bytes()
    assert after == before
    assert (tmp_path / "shop/pki/issuing").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("lost", [".scaffold/ledger.jsonl", "pki/issuing/ca.key"])
def test_its_check_of_a_backup_finds_what_is_not_in_it(tmp_path: Path, lost: str) -> None:
    (tmp_path / "topology.yaml").write_text(SHOP)
    assert scaffold("apply", cwd=tmp_path).code == 0
    check = next(line for line in COMMANDS[-1].splitlines() if line.startswith("scaffold plan --check"))
    (tmp_path / "trial").mkdir()
    for path in ("topology.yaml", "shop"):
        (tmp_path / path).rename(tmp_path / "trial" / path)
    assert scaffold(*shlex.split(check)[1:], cwd=tmp_path).code == 0
    (tmp_path / "trial/shop" / lost).unlink()
    assert scaffold(*shlex.split(check)[1:], cwd=tmp_path).code == 3


def test_a_ledger_without_some_lines_is_told_until_an_apply_records_them(tmp_path: Path) -> None:
    (tmp_path / "topology.yaml").write_text(SHOP)
    assert scaffold("apply", cwd=tmp_path).code == 0
    ledger = tmp_path / "shop/.scaffold/ledger.jsonl"
    lines = ledger.read_text().splitlines(keepends=True)
    ledger.write_text("".join(one for one in lines if '"address":"client.web.certificate"' not in one))
    for command in (("plan", "--check"), ("status",)):
        ended = scaffold(*command, cwd=tmp_path)
        assert ended.code == 3
        assert "client.web.certificate is not in the state" in " ".join(ended.out.split())
    ended = scaffold("apply", cwd=tmp_path)
    assert ended.code == 0
    assert "certificates: 1, revocations: 0." in ended.out
    for command in (("plan", "--check"), ("status",)):
        assert scaffold(*command, cwd=tmp_path).code == 0


def test_an_archive_that_is_not_there_is_told_until_an_apply_goes_on_without(tmp_path: Path) -> None:
    (tmp_path / "topology.yaml").write_text(SHOP)
    assert scaffold("apply", cwd=tmp_path).code == 0
    with (tmp_path / "shop/.scaffold/ledger.jsonl").open("a") as file:
        file.write('{"event":"archived","at":"2026-01-01T00:00:00+00:00","there":true}\n')
    for command in (("plan", "--check"), ("status",)):
        ended = scaffold(*command, cwd=tmp_path)
        assert ended.code == 3
        assert "ledger.archive.jsonl is missing" in ended.out
    assert scaffold("apply", cwd=tmp_path).code == 0
    for command in (("plan", "--check"), ("status",)):
        assert scaffold(*command, cwd=tmp_path).code == 0


@pytest.fixture
def shop(tmp_path: Path) -> Household:
    household = Household(tmp_path, SHOP.replace("name: shop", "name: bank"))
    household.apply()
    return household


LOSSES = {
    "pki/issuing/ca.key": {"ca.issuing.certificate": Action.REPLACE},
    "pki/root/key-password": {},
    "pki/issuing/ca.crt": {"ca.issuing.certificate": Action.CREATE},
    "pki/issuing/crl.pem": {"ca.issuing.crl": Action.CREATE},
    ".scaffold/ledger.jsonl": {},
    ".scaffold/projects.jsonl": {},
    ".scaffold/bases": {},
    ".scaffold/examined.json": {},
    ".scaffold/lock": {},
    "servers/api/tls/key.pem": {"server.api.certificate": Action.REPLACE},
    "servers/api": {"server.api.project": Action.CREATE},
}
"""What plan says first of what is lost, as the table has it."""


@pytest.mark.parametrize("path", LOSSES)
def test_each_loss_means_what_the_table_says(shop: Household, path: str) -> None:
    lost = shop.out / path
    if lost.is_dir():
        shutil.rmtree(lost)
    else:
        lost.unlink(missing_ok=path.startswith(".scaffold/"))
    plan = shop.plan()
    found = {str(change.address): change.action for change in plan.changes}
    assert LOSSES[path].items() <= found.items()
    assert bool(found) is bool(LOSSES[path])
    asks = {str(change.address) for change in plan.changes if change.asks}
    assert asks == ({"ca.issuing.certificate"} if path == "pki/issuing/ca.key" else set())
    if path == ".scaffold/ledger.jsonl":
        assert any("is not in the state" in str(note) for note in plan.notes)


def test_an_edit_without_its_records_is_a_conflict(shop: Household) -> None:
    with (shop.out / "servers/api/README.md").open("a") as file:
        file.write("mine\n")
    assert shop.plan().changes == ()
    (shop.out / ".scaffold/projects.jsonl").unlink()
    (change,) = shop.plan().changes
    assert (str(change.address), change.action) == ("server.api.project", Action.CONFLICT)


def test_each_revoke_that_it_names_says_why() -> None:
    named = re.findall(r"`(?:scaffold )?revoke (?!ADDRESS --release)([^`]+)`", PAGE)
    assert len(named) == 2
    assert all(re.fullmatch(r"ADDRESS --reason \w+", words) for words in named)


def test_every_file_of_a_ca_and_of_the_records_is_spoken_of(shop: Household) -> None:
    for folder in ("pki/root", ".scaffold"):
        for file in (shop.out / folder).iterdir():
            if file.name != ".gitignore":
                assert file.name in PAGE, file.name
