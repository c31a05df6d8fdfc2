"""What git would commit of an output folder: certificates and records, and no secret, for every template there is."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from scaffold.kinds import catalogue
from tests.cli.harness import in_process as scaffold
from tests.golden.cases import builtin_kinds
from tests.requirements import require_command
from tests.unit.conftest import write_kind

GIT = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "PATH": "/usr/local/bin:/usr/bin:/bin"}
FORMER = """\
# Nothing secret is committed by accident: private keys, bundles, passwords, and scaffold's own records.
*.key
*.pfx
key-password
pfx-password
tls/key.pem
tls/client-key.pem
.scaffold/
"""


def topology(folder: Path) -> str:
    """One server and one client of each template, bundles where it takes them, and a CA with a password."""
    write_kind(folder / "own", {"run.sh": "#!/bin/sh\n", "tls/allow me [1].json": "{}\n", "tls/sub/list": "x\n"})
    lines = [
        "version: 1",
        "name: shop",
        "cas: {root: {key_password: {generate: true}}, issuing: {issuer: root}}",
        "servers:",
        "  own: {template: ./own, issuer: issuing, listen: 127.0.0.1:8443, names: [own.internal]}",
    ]
    by_role = sorted(builtin_kinds(), key=lambda kind: kind.role, reverse=True)
    for number, kind in enumerate(by_role, start=1):
        can = kind.capabilities.supports
        fields = [f"template: {kind.name}", "issuer: issuing"]
        fields += ["pfx: {password: {generate: true}}"] if "pfx" in can else []
        if kind.role == "client" and "clients:" not in lines:
            lines.append("clients:")
        if kind.capabilities.decides_by_chain:
            fields.append("accepts: [issuing]")
        if kind.role == "server":
            fields += [f"listen: 127.0.0.1:{8443 + number}", f"names: [{kind.name}.internal]"]
        if kind.role == "client" or "calls" in can:
            fields.append(f"calls: [{'own' if kind.capabilities.protocol == 'http' else 'postgresql-server'}]")
        if "doors" in can:
            fields.append(f"doors: {{own: 127.0.0.1:{7000 + number}}}")
        lines.append(f"  {kind.name}-{kind.role}: {{{', '.join(fields)}}}")
    return "\n".join(lines) + "\n"


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-c", "core.quotePath=false", *arguments],
        cwd=folder,
        env=GIT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def added(folder: Path) -> dict[str, bytes]:
    """What `git init` and `git add -A` take up in a folder, in a repository that is new."""
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    return {path: (folder / path).read_bytes() for path in git(folder, "ls-files", "-z").split("\0") if path}


def secret(files: Mapping[str, bytes], folder: Path) -> list[str]:
    """Which of `files` are secret: private keys in whatever wrapping, bundles, and files with a generated password."""
    passwords = {path.read_bytes() for path in folder.rglob("*-password")}
    return [
        path
        for path, content in files.items()
        if b"PRIVATE KEY" in content or path.endswith((".pfx", ".p12")) or content in passwords
    ]


@pytest.fixture
def applied(tmp_path: Path) -> Path:
    """The output folder of a topology with every template."""
    require_command("git")
    (tmp_path / "topology.yaml").write_text(topology(tmp_path))
    catalogue.find.cache_clear()
    ended = scaffold("apply", cwd=tmp_path)
    assert ended.code == 0, ended.err
    return tmp_path / "shop"


def test_git_adds_no_secret_and_everything_else(applied: Path) -> None:
    (applied / "servers" / "own" / "tls" / "combined").write_bytes(
        b"".join((applied / "servers" / "own" / "tls" / name).read_bytes() for name in ("key.pem", "cert.pem"))
    )
    (applied / "servers" / "own" / "tls" / ".key.pem.scaffold-tmp").write_text("-----BEGIN PRIVATE KEY-----\n")
    (applied / ".scaffold" / ".ledger.jsonl.scaffold-tmp").write_text("half")
    files = added(applied)
    assert secret(files, applied) == []
    left = {path.relative_to(applied).as_posix() for path in applied.rglob("*") if path.is_file()} - files.keys()
    left = {path for path in left if not path.startswith(".git/")}
    everything = {path: (applied / path).read_bytes() for path in left}
    assert set(everything) - set(secret(everything, applied)) == {
        ".scaffold/lock",
        ".scaffold/.ledger.jsonl.scaffold-tmp",
        ".scaffold/examined.json",
        ".scaffold/examined.key",
    }
    assert {".scaffold/ledger.jsonl", ".scaffold/projects.jsonl", "pki/root/ca.crt", "pki/root/crl.pem"} <= set(files)
    assert {"servers/own/tls/allow me [1].json", "servers/own/tls/sub/list", "servers/own/tls/cert.pem"} <= set(files)
    assert {"servers/python-server/tls/client-cert.pem", "servers/kestrel-server/tls/allowed.json"} <= set(files)


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_git_takes_up_nothing_that_is_written_while_a_server_runs(applied: Path, kind: str) -> None:
    folder = applied / "servers" / f"{kind}-server"
    (folder / "run").mkdir()
    (folder / "run" / "access.log").write_text("who called\n")
    assert f"servers/{kind}-server/run.sh" in added(applied)
    assert f"servers/{kind}-server/run/access.log" not in added(applied)
    (folder / ".gitignore").unlink()
    assert f"servers/{kind}-server/run/access.log" in added(applied)


def test_a_project_that_is_a_repository_of_its_own_is_safe_too(applied: Path) -> None:
    for folder in (*(applied / "servers").iterdir(), *(applied / "clients").iterdir(), *(applied / "pki").iterdir()):
        files = added(folder)
        assert files
        assert secret(files, folder) == [], folder


def test_the_judge_sees_a_key_that_nothing_keeps_out(applied: Path) -> None:
    for path in applied.rglob(".gitignore"):
        path.unlink()
    found = secret(added(applied), applied)
    assert {"servers/nginx-server/tls/key.pem", "pki/root/ca.key", "pki/root/key-password"} <= set(found)


def test_a_folder_of_the_last_version_is_brought_along(applied: Path) -> None:
    for path in (*applied.glob("*/*/tls/.gitignore"), *applied.glob("pki/*/.gitignore")):
        path.unlink()
    (applied / ".scaffold" / ".gitignore").unlink()
    (applied / ".gitignore").write_text(FORMER)
    assert "servers/nginx-server/tls/key.pem" in secret(added(applied), applied)

    planned = scaffold("plan", "--all", cwd=applied.parent)
    assert re.search(r"~ server\.nginx-server\.trust +tls/\.gitignore is not there", planned.out)
    assert re.search(r"~ ca\.root\.certificate +\.gitignore is not there", planned.out)
    assert scaffold("apply", cwd=applied.parent).code == 0
    shutil.rmtree(applied / ".git")
    files = added(applied)
    assert secret(files, applied) == []
    assert ".scaffold/ledger.jsonl" in files
    assert scaffold("plan", "--check", cwd=applied.parent).code == 0


def test_what_a_person_wrote_into_the_outer_file_stays_and_lets_no_secret_through(applied: Path) -> None:
    theirs = "!*.pem\n!*.key\n!*.pfx\n!key-password\n"
    (applied / ".gitignore").write_text(theirs)
    (applied / "servers" / "nginx-server" / ".gitignore").write_text("!tls/**\n")
    (applied / "servers" / "nginx-server" / "tls" / ".gitignore").unlink()
    assert scaffold("apply", cwd=applied.parent).code == 0
    assert (applied / ".gitignore").read_text() == theirs
    assert secret(added(applied), applied) == []


def test_an_edited_ignore_file_of_secrets_is_drift(applied: Path) -> None:
    path = applied / "servers" / "nginx-server" / "tls" / ".gitignore"
    before = path.read_bytes()
    path.write_text("!key.pem\n")
    assert "tls/.gitignore differs (see `plan --diff`)" in scaffold("plan", cwd=applied.parent).out
    assert scaffold("apply", cwd=applied.parent).code == 0
    assert path.read_bytes() == before


def test_a_clone_is_planned_without_keys(applied: Path, tmp_path: Path) -> None:
    added(applied)
    git(applied, "-c", "user.name=me", "-c", "user.email=me@example.org", "commit", "--quiet", "-m", "All of it")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(applied), str(clone))
    assert list(clone.rglob("*.key")) == []
    without = scaffold("plan", "--no-keys", "--check", "--out", "clone", cwd=tmp_path)
    assert without.code == 0, without.out + without.err
    assert "note: private keys are not checked (--no-keys)" in without.out
    assert "apply needs" not in without.out
    assert scaffold("plan", "--check", "--out", "clone", cwd=tmp_path).code == 3  # the twin: a lost key is a change
    (tmp_path / "topology.yaml").write_text(topology(tmp_path).replace("own.internal", "other.internal"))
    changed = scaffold("plan", "--no-keys", "--check", "--out", "clone", cwd=tmp_path)
    assert changed.code == 3
    assert [line.split()[1] for line in changed.out.splitlines() if line.startswith("  ~")][:1] == [
        "server.own.certificate"
    ]
    assert "apply needs the private keys of ca.issuing: run it where they are" in changed.out
    saved = scaffold("plan", "--no-keys", "--save", "p.json", cwd=tmp_path)
    assert (saved.code, "apply needs the keys" in saved.err) == (2, True)
