"""`report` and the drawn forms of `graph` as a person calls them: what is written where, errors, no secrets."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from tests.cli.harness import in_process as scaffold
from tests.cli.harness import scaffold as spawned

TOPOLOGY = """\
version: 1
name: shop
cas:
  root: {key_password: {env: ROOT_PASSWORD}}
  issuing: {issuer: root, owner: PKI}
servers:
  api:
    template: files
    issuer: issuing
    listen: 127.0.0.1:8443
    names: [localhost]
    pfx: {password: {env: PFX_PASSWORD}}
clients:
  cli: {template: curl, issuer: issuing, calls: [api]}
"""
SECRETS = {"ROOT_PASSWORD": "correct-horse-root", "PFX_PASSWORD": "correct-horse-pfx"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An applied topology that no test changes."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "topology.yaml").write_text(TOPOLOGY)
    ended = spawned("apply", cwd=folder, env=SECRETS)
    assert ended.code == 0, ended.err
    return folder


def test_it_needs_no_password_and_shows_none_and_no_key(made: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    forms = [
        scaffold("report", cwd=made).out,
        scaffold("report", "--json", cwd=made).out,
        scaffold("report", "--html", "-", cwd=made).out,
        scaffold("graph", "--format", "html", cwd=made).out,
        scaffold("graph", "--format", "svg", cwd=made).out,
    ]
    assert scaffold("report", "--html", str(page), cwd=made).code == 0
    forms.append(page.read_text("utf-8"))
    keys = [path for path in made.rglob("*") if path.name in ("ca.key", "key.pem")]
    lines = {line for key in keys for line in key.read_text().splitlines() if "-----" not in line}
    assert lines
    for form in forms:
        assert "api" in form
        assert not [secret for secret in (*SECRETS.values(), *lines) if secret in form]
        assert str(made) not in form


def test_the_page_is_written_where_it_is_asked_for_and_nothing_else_is(made: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in made.rglob("*") if path.is_file()}
    ended = scaffold("report", "--html", str(tmp_path / "r.html"), "--json", cwd=made)
    assert ended.code == 0
    assert json.loads(ended.out)["topology"] == "shop"
    assert ended.err == f"wrote {tmp_path / 'r.html'}\n"
    assert {path: path.stat().st_mtime_ns for path in made.rglob("*") if path.is_file()} == before


def test_a_page_that_cannot_be_written_is_an_error_with_a_hint(made: Path, tmp_path: Path) -> None:
    where = str(tmp_path / "nowhere" / "r.html")
    scaffold("report", "--html", where, cwd=made).assert_clear_error(where, "cannot be written", "hint: ")


def test_a_page_takes_the_place_of_an_older_page_and_of_nothing_else(made: Path, tmp_path: Path) -> None:
    page, link = tmp_path / "r.html", tmp_path / "link.html"
    page.touch(mode=0o640)
    link.symlink_to(page)
    for _ in range(2):
        assert scaffold("report", "--html", str(link), cwd=made).code == 0
    assert link.is_symlink()
    assert page.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert page.stat().st_mode & 0o777 == 0o640
    assert sorted(tmp_path.iterdir()) == [link, page]
    for file in (made / "topology.yaml", made / "shop/clients/cli/tls/key.pem"):
        before = file.read_bytes()
        ended = scaffold("report", "--html", str(file), cwd=made)
        ended.assert_clear_error(str(file), "scaffold did not write it", "hint: give --html the name of a new file")
        assert file.read_bytes() == before


def test_a_page_can_go_where_no_file_is(made: Path) -> None:
    ended = spawned("report", "--html", "/dev/stdout", cwd=made)
    assert ended.code == 0, ended.err
    assert ended.out.startswith("<!DOCTYPE html>")


def test_two_documents_do_not_fit_on_standard_output(made: Path) -> None:
    assert scaffold("report", "--html", "-", "--json", cwd=made).code == 2


def test_it_exits_with_0_though_something_is_broken(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    (tmp_path / "shop/clients/cli/tls/cert.pem").unlink()
    ended = scaffold("report", cwd=tmp_path)
    assert ended.code == 0
    assert "It is not complete" in ended.out
    assert "  client.cli.certificate: missing\n" in ended.out
    assert scaffold("status", cwd=tmp_path).code == 3


def test_what_was_never_applied_is_reported_and_drawn(tmp_path: Path) -> None:
    (tmp_path / "topology.yaml").write_text(TOPOLOGY)
    ended = scaffold("report", cwd=tmp_path)
    assert ended.code == 0
    assert "Nothing was applied yet" in ended.out
    assert "may be called by: client.cli" in ended.out
    drawn = scaffold("graph", "--format", "html", cwd=tmp_path)
    assert "Nothing was applied yet" in drawn.out
    assert not (tmp_path / "shop").exists()


def test_a_lost_state_is_said(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    (tmp_path / "shop/.scaffold/ledger.jsonl").unlink()
    ended = scaffold("report", "--json", cwd=tmp_path)
    assert ended.code == 0
    assert ended.json["notes"]
    assert ended.json["servers"][0]["certificates"][0]["state"] == "valid"


def test_without_the_extra_a_hint_says_what_to_install(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fast_sugiyama", None)
    for form in ("html", "svg"):
        ended = scaffold("graph", "--format", form, cwd=made)
        ended.assert_clear_error("graph", "hint: ", "-m pip install fast-sugiyama\n")
    assert scaffold("graph", "--format", "mermaid", cwd=made).code == 0
    assert scaffold("report", "--html", "-", cwd=made).code == 0
