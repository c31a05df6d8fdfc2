"""Bad input: one clear error with its place, exit 1, no traceback, and nothing on disk changed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.harness import Ended, in_process, snapshot
from tests.cli.harness import in_process as scaffold
from tests.cli.harness import scaffold as spawned
from tests.requirements import require, require_command

GOOD = """\
version: 1
name: shop
cas:
  root: {}
servers:
  api: {template: python, listen: 127.0.0.1:8443, names: [localhost]}
clients:
  cli: {template: python, calls: [api]}
"""

HOSTILE_NAMES = {
    "double quote": 'a"b',
    "single quote": "a'b",
    "space": "a b",
    "newline": "a\nb",
    "parent folder": "../evil",
    "deep parent folder": "../../../../tmp/evil",
    "slash": "a/b",
    "template": "{{ 7*7 }}",
    "statement": "{% raise %}",
    "semicolon": "a;b",
    "dollar": "$(id)",
    "dot": ".",
    "dots": "..",
    "empty": "",
    "300 characters": "a" * 300,
    "64 characters": "a" * 64,
    "cyrillic look-alike": "\u0430pi",
    "fullwidth look-alike": "\uff41pi",
    "upper case": "Api",
    "null byte": "a\0b",
    "escape": "\x1b[2J",
    "right-to-left override": "a\u202eb",
    "hyphen first": "-rf",
    "tab": "a\tb",
}


def quoted(name: str) -> str:
    """A YAML double-quoted scalar (YAML 1.2, 5.7)."""
    return (
        '"'
        + "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in name)
        + '"'
    )


def refuse(
    folder: Path, text: str | bytes, *words: str, run: Callable[..., Ended] = scaffold, mistakes: int = 1
) -> None:
    (folder / "topology.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
    before = snapshot(folder.parent)
    run("validate", cwd=folder).assert_clear_error(*words, mistakes=mistakes)
    assert snapshot(folder.parent) == before


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inner = tmp_path / "inner"
    inner.mkdir()
    return inner


@pytest.mark.parametrize("name", HOSTILE_NAMES.values(), ids=HOSTILE_NAMES)
@pytest.mark.parametrize("where", ["topology", "ca", "server", "client"])
def test_a_hostile_name_is_refused(name: str, where: str, folder: Path) -> None:
    written = {"topology": "name: shop", "ca": "  root: {}", "server": "  api: {", "client": "  cli: {"}[where]
    key = written.strip().split(":")[0]
    replacement = f"name: {quoted(name)}" if where == "topology" else written.replace(f"{key}:", f"{quoted(name)}:")
    text = GOOD.replace(written, replacement).replace("[api]", f"[{quoted(name)}]" if where == "server" else "[api]")
    # A server's name is written twice: where it stands, and where it is called.
    refuse(folder, text, "topology.yaml:", run=in_process, mistakes=2 if where == "server" else 1)


DOCUMENTS: dict[str, tuple[str | bytes, tuple[str, ...]]] = {
    "empty": ("", ()),
    "only a comment": ("# nothing\n", ()),
    "a list": ("- a\n- b\n", ("topology.yaml:1:1",)),
    "a scalar": ("hello\n", ("topology.yaml:1:1",)),
    "null": ("null\n", ()),
    "not UTF-8": (GOOD.encode().replace(b"shop", b"sh\xff\xfep"), ("UTF-8",)),
    "UTF-16": (GOOD.encode("utf-16"), ()),
    "NUL bytes": (b"\0" * 100, ()),
    "over 16 MiB": (b"# " + b"x" * (16 * 1024 * 1024) + b"\n" + GOOD.encode(), ("16 MiB",)),
    "an alias bomb": (
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(9))
        + GOOD,
        (),
    ),
    "an alias to itself": ("version: 1\nname: shop\ncas: &c\n  root: *c\n", ()),
    "very deep": ("version: 1\nname: " + "[" * 5000 + "]" * 5000 + "\n", ()),
    "duplicate keys": (GOOD.replace("clients:", "servers:"), ("topology.yaml:7:1",)),
    "a duplicate CA": (GOOD.replace("  root: {}", "  root: {}\n  root: {}"), ("topology.yaml:5:3",)),
    "only one of the two can go to standard output": (GOOD + "---\n" + GOOD, ()),
    "a python tag": (GOOD.replace("{}", "!!python/object/apply:os.system [id]"), ()),
    "a syntax error": (GOOD.replace("[api]", "[api"), ("topology.yaml:",)),
    "a tab": (GOOD.replace("  root", "\troot"), ("topology.yaml:4:",)),
    "an unknown key": (
        GOOD.replace("names:", "nmaes:"),
        ('"nmaes"', "topology.yaml:6:", 'hint: did you mean "names"?'),
    ),
    "an unknown CA": (
        GOOD.replace("{template: python, listen", "{issuer: rot, template: python, listen"),
        ("rot", "root"),
    ),
    "an unknown callee": (GOOD.replace("[api]", "[apo]"), ('"apo"', "topology.yaml:8:", 'did you mean "api"')),
    "null for a value": (GOOD.replace("{}", "{issuer: null}"), ("topology.yaml:4:",)),
    "a cycle of issuers": (GOOD.replace("  root: {}", "  a: {issuer: b}\n  b: {issuer: c}\n  c: {issuer: a}"), ()),
    "its own issuer": (GOOD.replace("{}", "{issuer: root}"), ("topology.yaml:4:",)),
    "version 2": (GOOD.replace("version: 1", "version: 2"), ("topology.yaml:1:",)),
    "port 0": (GOOD.replace("8443", "0"), ("topology.yaml:6:",)),
    "port 70000": (GOOD.replace("8443", "70000"), ("topology.yaml:6:",)),
    "a lifetime beyond the calendar": (GOOD.replace("{}", "{lifetime: 99999999y}"), ("topology.yaml:4:",)),
    "an integer of 10,000 digits": (GOOD.replace("version: 1", "version: " + "9" * 10_000), ("topology.yaml:1:",)),
}


@pytest.mark.parametrize(("text", "words"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_bad_document_is_refused(text: str | bytes, words: tuple[str, ...], folder: Path) -> None:
    refuse(folder, text, *words, run=in_process)


def test_all_mistakes_of_a_file_are_told_at_once(folder: Path) -> None:
    text = GOOD.replace("names:", "nmaes:").replace("[api]", "[apo]").replace("root: {}", "root: {key: rsa}")
    refuse(folder, text, '"nmaes"', '"apo"', '"rsa"', "topology.yaml:4:", "topology.yaml:8:", mistakes=3)
    assert scaffold("plan", "--json", cwd=folder).out == ""


def test_all_unknown_templates_are_told_at_once(folder: Path) -> None:
    (folder / "topology.yaml").write_text(GOOD.replace("template: python", "template: ngnix"))
    ended = scaffold("plan", cwd=folder)
    ended.assert_clear_error('did you mean "nginx"', "topology.yaml:6:", "topology.yaml:8:", mistakes=2)


def test_an_unknown_template_is_refused_by_plan(folder: Path) -> None:
    (folder / "topology.yaml").write_text(GOOD.replace("template: python, listen", "template: pyton, listen"))
    scaffold("plan", cwd=folder).assert_clear_error("pyton", "topology.yaml:6:", 'did you mean "python"')


def test_the_failing_twin_of_all_this_is_accepted(folder: Path) -> None:
    (folder / "topology.yaml").write_text(GOOD)
    assert scaffold("validate", cwd=folder).code == 0


@pytest.mark.parametrize("kind", ["missing", "a folder", "unreadable loop"])
def test_a_topology_that_cannot_be_read(kind: str, folder: Path) -> None:
    file = folder / "topology.yaml"
    if kind == "a folder":
        file.mkdir()
    elif kind == "unreadable loop":
        file.symlink_to(file)
    scaffold("plan", cwd=folder).assert_clear_error("topology.yaml")


# The output folder


def apply_refused(folder: Path, *words: str) -> None:
    before = snapshot(folder.parent)
    scaffold("apply", "--yes", cwd=folder).assert_clear_error(*words)
    assert snapshot(folder.parent) == before


def test_an_output_folder_that_is_a_file(folder: Path) -> None:
    (folder / "topology.yaml").write_text(GOOD)
    (folder / "shop").write_text("precious")
    apply_refused(folder, "shop")


def test_an_output_folder_that_is_a_symlink_leads_nowhere_else(folder: Path) -> None:
    (folder / "topology.yaml").write_text(GOOD)
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    (folder / "shop").symlink_to(elsewhere)
    apply_refused(folder, "shop", "symbolic link")


@pytest.mark.parametrize("inner", ["pki", "servers", "servers/api", "servers/api/tls", "clients/cli"])
def test_a_symlink_inside_the_output_folder_leads_nowhere_else(inner: str, folder: Path) -> None:
    (folder / "topology.yaml").write_text(GOOD)
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    link = folder / "shop" / inner
    link.parent.mkdir(parents=True)
    link.symlink_to(elsewhere)
    scaffold("apply", "--yes", cwd=folder).assert_clear_error("symbolic link")
    assert list(elsewhere.iterdir()) == []


def test_a_file_where_a_folder_must_be(folder: Path) -> None:
    (folder / "topology.yaml").write_text(GOOD)
    (folder / "shop" / "servers").mkdir(parents=True)
    (folder / "shop" / "servers" / "api").write_text("precious")
    scaffold("apply", "--yes", cwd=folder).assert_clear_error("api")
    assert (folder / "shop" / "servers" / "api").read_text() == "precious"


@pytest.fixture
def read_only(folder: Path) -> Iterator[Path]:
    (folder / "topology.yaml").write_text(GOOD)
    shop = folder / "shop"
    shop.mkdir()
    if os.geteuid() != 0:
        shop.chmod(0o500)
        yield folder
        shop.chmod(0o700)
        return
    # Root writes everywhere but where the file system itself is read-only.
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", shop], capture_output=True, check=False)
    require(mounted.returncode == 0 or not may_mount(), "the right to mount a file system")
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", shop], check=True)


def may_mount() -> bool:
    """Whether this process may mount: root in a container usually may not, and nothing that CI installs changes it."""
    status = Path("/proc/self/status").read_text("utf-8") if Path("/proc/self/status").exists() else ""
    effective = next((int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff")), 0)
    return bool(effective >> 21 & 1)  # CAP_SYS_ADMIN


def test_a_read_only_output_folder(read_only: Path) -> None:
    scaffold("apply", "--yes", cwd=read_only).assert_clear_error("shop")
    assert list((read_only / "shop").iterdir()) == []


def test_a_folder_that_was_applied_to_and_is_mounted_read_only_is_sent_nowhere_else(folder: Path) -> None:
    require_command("mount")
    (folder / "topology.yaml").write_text(GOOD)
    assert scaffold("apply", "--yes", cwd=folder).code == 0
    shop = folder / "shop"
    mounted = subprocess.run(["mount", "--bind", shop, shop], capture_output=True, check=False)
    require(mounted.returncode == 0 or not may_mount(), "the right to mount a file system")
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount a file system")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", shop], check=True)
        for words in (("revoke", "--yes", "--reason", "superseded"), ("renew", "--yes")):
            ended = scaffold(*words, "server.api", cwd=folder)
            ended.assert_clear_error("hint: the file system is mounted read-only: run scaffold where it can be written")
            assert "--out" not in ended.err
    finally:
        subprocess.run(["umount", shop], check=True)


def test_a_full_disk_loses_nothing_and_a_later_apply_converges(folder: Path) -> None:
    require_command("mount")
    (folder / "topology.yaml").write_text(GOOD)
    shop = folder / "shop"
    shop.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", shop], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount a small file system")
    try:
        scaffold("apply", "--yes", cwd=folder).assert_clear_error("No space left")
        subprocess.run(["mount", "-o", "remount,size=8m", shop], check=True)
        assert scaffold("apply", "--yes", cwd=folder).code == 0
        assert scaffold("plan", "--check", cwd=folder).code == 0
    finally:
        subprocess.run(["umount", shop], check=True)


# What stands in the output folder


@pytest.fixture
def applied(folder: Path) -> Path:
    (folder / "topology.yaml").write_text(GOOD)
    ended = scaffold("apply", "--yes", cwd=folder)
    assert ended.code == 0, ended.err
    return folder


def test_a_truncated_ca_key_is_never_replaced_without_a_word(applied: Path) -> None:
    key = applied / "shop/pki/root/ca.key"
    key.write_bytes(key.read_bytes()[:40])
    before = snapshot(applied)
    ended = scaffold("apply", cwd=applied)
    assert ended.code == 1
    assert "ca.root" in ended.err
    assert "Traceback" not in ended.err
    assert snapshot(applied) == before


def test_a_truncated_leaf_key_is_planned_with_its_reason_and_replaced(applied: Path) -> None:
    key = applied / "shop/servers/api/tls/key.pem"
    key.write_bytes(key.read_bytes()[:40])
    plan = scaffold("plan", "--json", "--check", cwd=applied)
    assert plan.code == 3
    assert [(c["address"], c["action"]) for c in plan.json["changes"]] == [("server.api.certificate", "replace")]
    assert scaffold("apply", "--yes", cwd=applied).code == 0
    assert scaffold("plan", "--check", cwd=applied).code == 0


def test_the_key_of_another_certificate_is_seen(applied: Path) -> None:
    other = (applied / "shop/clients/cli/tls/key.pem").read_bytes()
    (applied / "shop/servers/api/tls/key.pem").write_bytes(other)
    changes = scaffold("plan", "--json", cwd=applied).json["changes"]
    assert "server.api.certificate" in [change["address"] for change in changes]


def test_a_ledger_of_garbage_is_a_clear_error(applied: Path) -> None:
    ledger = applied / "shop/.scaffold/ledger.jsonl"
    ledger.write_bytes(b"\xff\xfe garbage\n" * 3 + ledger.read_bytes())
    before = snapshot(applied)
    scaffold("apply", "--yes", cwd=applied).assert_clear_error("ledger")
    assert snapshot(applied) == before


def test_another_topologys_output_folder_is_refused(applied: Path) -> None:
    (applied / "topology.yaml").write_text(GOOD.replace("name: shop", "name: other"))
    before = snapshot(applied)
    scaffold("apply", "--yes", "--out", "shop", cwd=applied).assert_clear_error("shop")
    assert snapshot(applied) == before


# Secrets


@pytest.mark.parametrize("secret", ["{env: SHOP_ROOT_PASSWORD}", "{file: no-such-file}"])
def test_a_missing_secret_is_asked_for_before_anything_is_written(secret: str, folder: Path) -> None:
    (folder / "topology.yaml").write_text(GOOD.replace("root: {}", f"root: {{key_password: {secret}}}"))
    assert scaffold("plan", cwd=folder).code == 0
    name = "SHOP_ROOT_PASSWORD" if "env" in secret else "no-such-file"
    apply_refused(folder, name)


def test_the_secret_is_in_no_output(folder: Path) -> None:
    password = "correct horse battery staple"
    (folder / "topology.yaml").write_text(GOOD.replace("root: {}", "root: {key_password: {env: SHOP_ROOT_PASSWORD}}"))
    ended = spawned("apply", "--yes", cwd=folder, env={"SHOP_ROOT_PASSWORD": password})
    assert ended.code == 0, ended.err
    assert password not in ended.out + ended.err
    assert not any(password.encode() in content for content in snapshot(folder).values())
