"""Finding kinds, and the errors where there is none or it is malformed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from scaffold.errors import KindError
from scaffold.kinds import catalogue
from scaffold.kinds.capabilities import Exchange, Owner, parse
from scaffold.topology.model import Forward, KeyType, RevocationCheck

BLOCK = {
    "summary": "a kind",
    "role": "server",
    "ready": "^ready",
    "tls_library": "OpenSSL",
    "keys": {"ec-p256": "1.1.1"},
    "peer_keys": {"ec-p256": "1.1.1"},
    "sees_issuer_by": "key",
    "refuses_in": "http",
}


def make(folder: Path, values: dict[str, object] | None = None, files: dict[str, str] | None = None) -> Path:
    """A kind in a folder of its own."""
    project = folder / "{{cookiecutter.name}}"
    project.mkdir(parents=True)
    (folder / "cookiecutter.json").write_text(json.dumps({"greeting": "hi", "_scaffold": BLOCK} | (values or {})))
    for name, text in (files or {"hello.txt": "{{ cookiecutter.greeting }}"}).items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    return folder


@pytest.mark.parametrize("role", ["server", "client"])
def test_every_built_in_kind_loads(role):
    for name in catalogue.builtin_names(role):
        kind = catalogue.find(name, role, Path.cwd())
        assert (kind.name, kind.role, kind.builtin) == (name, role, True)
        assert role == "client" or not kind.capabilities.runs or "greeting" in kind.defaults


def test_compiled_python_is_no_part_of_a_kind(tmp_path):
    project = make(tmp_path / "mine") / "{{cookiecutter.name}}"
    (project / "__pycache__").mkdir()
    (project / "__pycache__" / "server.cpython-311.pyc").write_bytes(b"\0")
    assert [name for name, _ in catalogue.template_files(project)] == ["hello.txt"]


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    make(tmp_path / "mine")
    os.mkfifo(tmp_path / "mine" / "{{cookiecutter.name}}" / "pipe")
    with pytest.raises(KindError, match="neither a file nor a folder"):
        catalogue.find("./mine", "server", tmp_path)


def test_an_empty_folder_is_part_of_the_digest(tmp_path):
    """Its name is rendered, as that of any other."""
    before = catalogue.load(make(tmp_path / "mine"), "mine")
    (tmp_path / "mine/{{cookiecutter.name}}/{{ 1 }}").mkdir()
    assert catalogue.load(tmp_path / "mine", "mine").digest != before.digest
    assert catalogue.digest_now(before) != before.digest


def test_a_kind_is_found_once(tmp_path):
    assert catalogue.find("python", "server", tmp_path) is catalogue.find("python", "server", tmp_path)


@pytest.mark.parametrize("template", ["./mine", "mine/", "../{here}/mine", "{absolute}"])
def test_a_folder_at_a_path(tmp_path, template):
    make(tmp_path / "mine")
    named = template.format(here=tmp_path.name, absolute=tmp_path / "mine")
    kind = catalogue.find(named, "server", tmp_path)
    assert not kind.builtin
    assert kind.defaults == {"greeting": "hi"}


def test_a_git_repository(tmp_path):
    make(tmp_path / "mine")
    run = {"cwd": tmp_path / "mine", "check": True, "capture_output": True}
    subprocess.run(["git", "init"], **run)
    subprocess.run(["git", "add", "."], **run)
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-m", "x"], **run)
    kind = catalogue.find(f"file://{tmp_path}/mine", "server", tmp_path)
    assert kind.defaults == {"greeting": "hi"}


def test_a_zip_file(tmp_path):
    make(tmp_path / "mine")
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        archive.mkdir("mine")
        for path in sorted((tmp_path / "mine").rglob("*")):
            archive.write(path, path.relative_to(tmp_path))
    assert catalogue.find(str(tmp_path / "mine.zip"), "server", tmp_path).role == "server"


@pytest.mark.parametrize(
    ("template", "role", "hint"),
    [
        ("pyhton", "server", 'did you mean "python"?'),
        ("curl", "server", "curl is a client template"),
        ("x", "client", ""),
    ],
)
def test_an_unknown_name(tmp_path, template, role, hint):
    with pytest.raises(KindError, match="no such") as caught:
        catalogue.find(template, role, tmp_path)
    assert hint in (caught.value.hint or "")


def test_the_other_role_is_refused(tmp_path):
    make(tmp_path / "mine")
    with pytest.raises(KindError, match="for servers, not for clients"):
        catalogue.find("./mine", "client", tmp_path)


@pytest.mark.parametrize("template", ["./nothing", "file:///nowhere/at/all", "/nowhere.zip"])
def test_nothing_there(tmp_path, template):
    with pytest.raises(KindError):
        catalogue.find(template, "server", tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{", '"x"', "\xff", "[" * 100_000])
def test_a_cookiecutter_json_that_is_none(tmp_path, text):
    make(tmp_path / "mine")
    (tmp_path / "mine/cookiecutter.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(KindError):
        catalogue.find("./mine", "server", tmp_path)


def test_no_project_folder(tmp_path):
    make(tmp_path / "mine")
    shutil.rmtree(tmp_path / "mine/{{cookiecutter.name}}")
    with pytest.raises(KindError, match="one project folder"):
        catalogue.find("./mine", "server", tmp_path)


def test_a_symbolic_link_in_the_template(tmp_path):
    make(tmp_path / "mine")
    (tmp_path / "mine/{{cookiecutter.name}}/passwd").symlink_to("/etc/passwd")
    with pytest.raises(KindError, match="symbolic link"):
        catalogue.find("./mine", "server", tmp_path)


def test_a_variable_that_scaffold_sets_itself(tmp_path):
    make(tmp_path / "mine", {"listen": "x"})
    with pytest.raises(KindError, match='a variable "listen"'):
        catalogue.find("./mine", "server", tmp_path)


def test_the_digest_names_the_content(tmp_path):
    one = catalogue.load(make(tmp_path / "one"), "one")
    same = catalogue.load(make(tmp_path / "same"), "same")
    other = catalogue.load(make(tmp_path / "other", files={"hello.txt": "bye"}), "other")
    assert one.digest == same.digest != other.digest
    (tmp_path / "same/{{cookiecutter.name}}/hello.txt").chmod(0o755)
    assert catalogue.load(tmp_path / "same", "same").digest != one.digest


def test_the_digest_names_the_shared_parts(tmp_path, parts):
    folder = make(tmp_path / "mine")
    before = catalogue.load(folder, "mine").digest
    assert catalogue.load(folder, "mine").digest == before
    (parts / "part.txt").write_text("another")
    assert catalogue.load(folder, "mine").digest != before


def test_the_digest_names_what_a_template_includes_of_its_own(tmp_path):
    folder = make(tmp_path / "mine")
    (folder / "templates").mkdir()
    (folder / "templates" / "base.txt").write_text("one")
    before = catalogue.load(folder, "mine").digest
    (folder / "templates" / "base.txt").write_text("two")
    assert catalogue.load(folder, "mine").digest != before


def test_the_digest_tells_a_part_from_a_file(tmp_path):
    apart = make(tmp_path / "apart", files={"a.txt": "x"})
    (apart / "templates").mkdir()
    (apart / "templates" / "b.txt").write_text("y")
    together = make(tmp_path / "together", files={"a.txt": "x", "b.txt": "y"})
    assert catalogue.load(apart, "mine").digest != catalogue.load(together, "mine").digest


def test_what_kinds_share_stands_once():
    """No text of ten lines or more stands in two kinds: it goes to the shared parts."""
    found: dict[bytes, str] = {}
    for role in ("server", "client"):
        for name in catalogue.builtin_names(role):
            kind = catalogue.find(name, role, Path.cwd())
            for path, file in catalogue.template_files(kind.folder / kind.project):
                text = file.read_bytes()
                if text.count(b"\n") >= 10:
                    assert text not in found, f"{role} {name}: {path} stands in {found[text]} too"
                    found[text] = f"{role} {name}"


# --- The _scaffold block ---------------------------------------------------------------------------------------------


def test_the_block_is_read():
    found = parse({**BLOCK, "requires": ["nginx", ["a", "b"]], "check_revocation": ["crl"]}, "x")
    assert (found.environment, found.suggested) == ((), False)
    assert found.requires == (("nginx",), ("a", "b"))
    assert found.keys == {KeyType.EC_P256: "1.1.1"}
    assert found.check_revocation == {RevocationCheck.CRL}


LDAP = {"protocol": "ldap", "refuses_in": "ldap"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"role": "proxy"}, '_scaffold.role is "proxy"'),
        ({"summary": None}, "_scaffold.summary is missing"),
        ({"ready": "("}, "_scaffold.ready is not a regular expression"),
        ({"ready": "(a+)+$"}, "_scaffold.ready repeats a group"),
        ({"keys": {"ec-p257": "1.1.1"}}, '_scaffold.keys names "ec-p257"'),
        ({"tries": {"the module": "test -f it"}}, "_scaffold.tries must map names to commands"),
        ({"tries": ["sh"]}, "_scaffold.tries must map names to commands"),
        ({"keys": {"ec-p256": "new"}}, "_scaffold.keys must map names to minimum versions"),
        ({"keys": ["ec-p256"]}, "_scaffold.keys must map"),
        ({"requires": "nginx"}, "_scaffold.requires must be a list"),
        ({"requires": [[]]}, "_scaffold.requires must be a list"),
        ({"environment": "JAVA_HOME"}, "_scaffold.environment must be a list"),
        ({"environment": ["*"]}, '_scaffold.environment names "*"'),
        ({"environment": ["J*"]}, '_scaffold.environment names "J*"'),
        ({"environment": ["*_PASSWORD"]}, '_scaffold.environment names "*_PASSWORD"'),
        ({"environment": ["JAVA[_]HOME"]}, '_scaffold.environment names "JAVA[_]HOME"'),
        ({"suggested": "yes"}, "_scaffold.suggested must be true or false"),
        ({"supports": ["flying"]}, '_scaffold.supports names "flying"'),
        ({"tls": ["old"]}, '_scaffold.tls names "old"'),
        ({"sees_issuer_by": None}, "_scaffold.sees_issuer_by is missing"),
        ({"suports": []}, "_scaffold.suports is not known"),
        ({"protocol": "Not a scheme"}, '_scaffold.protocol is "Not a scheme"'),
        (LDAP, "_scaffold.conversation is missing"),
        ({"conversation": "x.sh"}, "_scaffold.conversation is not known"),
        ({**LDAP, "conversation": "x.sh", "before_tls": ["00"]}, "_scaffold.before_tls must be a list"),
        ({**LDAP, "conversation": "x.sh", "before_tls": [{"send": "00"}]}, "_scaffold.before_tls must be"),
        (
            {**LDAP, "conversation": "x.sh", "before_tls": [{"receive": "0g", "send": ""}]},
            "_scaffold.before_tls must be",
        ),
        ({"supports": ["backend"]}, "_scaffold.forward names too few ways"),
        ({"supports": ["backend"], "forward": ["rfc9440"]}, "_scaffold.forward names too few ways"),
        ({"forward": ["x-client"]}, "_scaffold.forward is only for templates that support backend"),
        ({"supports": ["backend"], "forward": ["x-client", "smoke"]}, '_scaffold.forward names "smoke"'),
        ({"refuses_in": "postgresql"}, '_scaffold.refuses_in is "postgresql"'),
    ],
)
def test_what_is_wrong_in_the_block_is_named(change, message):
    with pytest.raises(KindError) as caught:
        parse({**BLOCK, **change}, 'template "x"')
    assert message in str(caught.value)


def test_what_a_front_can_tell_an_app_is_read():
    found = parse({**BLOCK, "supports": ["backend"], "forward": ["x-client", "arr"]}, "x")
    assert found.forward == {Forward.X_CLIENT, Forward.ARR}
    assert parse(BLOCK, "x").forward == frozenset()


def test_the_environment_that_a_template_needs_is_read():
    assert parse({**BLOCK, "environment": ["JAVA_HOME", "JVM_*"]}, "x").environment == ("JAVA_HOME", "JVM_*")


@pytest.mark.parametrize("role", ["server", "client"])
def test_the_template_that_is_suggested_is_the_one_that_says_so(role, tmp_path, monkeypatch):
    assert catalogue.find(catalogue.suggested(role), role, tmp_path).capabilities.suggested
    for name, suggested in (("first", False), ("second", True)):
        of_servers = ("ready", "sees_issuer_by", "refuses_in")
        block = {field: value for field, value in BLOCK.items() if role == "server" or field not in of_servers}
        block |= {"role": role, "suggested": suggested}
        make(tmp_path / f"{role}s" / name, {"_scaffold": block})
    for each in (catalogue.builtin_names, catalogue.suggested, catalogue.find):
        monkeypatch.setattr(catalogue, each.__name__, each.__wrapped__)
    monkeypatch.setattr(catalogue, "templates_folder", lambda: tmp_path)
    assert catalogue.suggested(role) == "second"


@pytest.mark.parametrize("block", [None, [], "x", 3])
def test_no_block(block):
    with pytest.raises(KindError, match="no _scaffold block"):
        parse(block, "x")


SPEAKS = {
    **BLOCK,
    "protocol": "ldap",
    "conversation": "ask.sh",
    "before_tls": [{"receive": "00ff", "send": "53"}],
    "refuses_in": "ldap",
    "sees_issuer_by": "none",
}


def test_a_kind_of_another_protocol_says_how_verify_speaks_it():
    found = parse(SPEAKS, "x")
    assert (found.protocol, found.conversation) == ("ldap", "ask.sh")
    assert found.before_tls == (Exchange(b"\x00\xff", b"S"),)
    assert (parse(BLOCK, "x").protocol, parse(BLOCK, "x").conversation) == ("http", None)


def speaking(folder: Path) -> Path:
    (folder / "{{cookiecutter.name}}").mkdir(parents=True)
    (folder / "cookiecutter.json").write_text(json.dumps({"_scaffold": SPEAKS}))
    return folder


def test_the_program_of_a_protocol_is_a_file_of_the_template(tmp_path):
    folder = speaking(tmp_path / "ldap")
    with pytest.raises(KindError, match="and the template has no such file"):
        catalogue.load(folder, "ldap")
    (folder / "ask.sh").write_text("#!/bin/sh\n")
    with pytest.raises(KindError, match="is not executable") as caught:
        catalogue.load(folder, "ldap")
    assert caught.value.hint == f"chmod +x {folder / 'ask.sh'}"
    (folder / "ask.sh").chmod(0o755)
    assert catalogue.load(folder, "ldap").conversation == folder / "ask.sh"


@pytest.mark.parametrize("program", ["/bin/sh", "../ask.sh", "link.sh"])
def test_a_program_from_elsewhere_is_not_run(tmp_path, program):
    folder = speaking(tmp_path / "ldap")
    (tmp_path / "ask.sh").write_text("#!/bin/sh\n")
    (tmp_path / "ask.sh").chmod(0o755)
    (folder / "link.sh").symlink_to(tmp_path / "ask.sh")
    (folder / "cookiecutter.json").write_text(json.dumps({"_scaffold": {**SPEAKS, "conversation": program}}))
    with pytest.raises(KindError, match="and the template has no such file"):
        catalogue.load(folder, "ldap")


# --- Whose a file is -------------------------------------------------------------------------------------------------

FILES = {
    "{{cookiecutter.name}}.csproj": "",
    "{% if cookiecutter.health %}Health.cs{% endif %}": "",
    "App.cs": "",
    "Security/Guard.cs": "",
    "README.md": "",
    "tls/allowed.json": "",
}


def owned(folder: Path, **owners: object) -> catalogue.Kind:
    block = {"_scaffold": {**BLOCK, "owners": owners}}
    return catalogue.load(make(folder, block, FILES), "mine")  # type: ignore[arg-type]


def test_what_no_owner_is_declared_of_is_scaffolds(tmp_path):
    kind = owned(tmp_path / "mine", yours=["App.cs", "Health.cs"], merged=["*.md", "*.csproj"])
    of = kind.capabilities.owner_of
    assert {path: of(path) for path in ("App.cs", "Health.cs", "README.md", "api.csproj")} == {
        "App.cs": Owner.YOURS, "Health.cs": Owner.YOURS, "README.md": Owner.MERGED, "api.csproj": Owner.MERGED,
    }  # fmt: skip
    assert {of(path) for path in ("Security/Guard.cs", "tls/allowed.json", "tls/key.pem")} == {Owner.SCAFFOLD}


def test_of_a_kind_that_declares_no_owners_all_is_merged_but_tls(tmp_path):
    of = catalogue.load(make(tmp_path / "mine", files=FILES), "mine").capabilities.owner_of
    assert (of("App.cs"), of("tls/allowed.json")) == (Owner.MERGED, Owner.SCAFFOLD)


@pytest.mark.parametrize(
    ("owners", "said", "hint"),
    [
        ({"yours": ["Ap.cs"]}, 'names "Ap.cs", and the template has no such file', 'did you mean "App.cs"'),
        ({"merged": ["docs/*"]}, 'names "docs/\\*", and the template has no such file', ""),
        ({"yours": ["App.cs"], "merged": ["*.cs"]}, "App.cs twice", "one owner"),
        ({"yours": ["App.cs", "App.cs"]}, "App.cs twice", "one owner"),
        ({"merged": ["*.json"]}, "tls/allowed.json, and all of tls/ belongs to scaffold", "narrow"),
        ({"mine": ["App.cs"]}, "must be", ""),
        ({"yours": "App.cs"}, "lists of patterns", ""),
    ],
)
def test_a_declaration_of_owners_that_cannot_be_meant(tmp_path, owners, said, hint):
    with pytest.raises(KindError, match=said) as raised:
        owned(tmp_path / "mine", **owners)
    assert hint in (raised.value.hint or "")


def test_in_every_built_in_kind_what_decides_who_gets_in_is_scaffolds():
    decides = {
        ("nginx", "server"): ("nginx.conf", "inner.conf", "run.sh", "tls/allowed.conf"),
        ("haproxy", "server"): ("haproxy.cfg", "run.sh"),
        ("postgresql", "server"): ("run.sh",),
        ("python", "server"): ("guard.py", "start.py", "server.py", "tls.py", "peer.py", "policy.py", "run.sh"),
        ("asgi", "server"): (
            "mtls/guard.py",
            "mtls/requirements.txt",
            "start.py",
            "install.py",
            "mtls/tls.py",
            "run.sh",
        ),
        ("kestrel", "server"): ("Program.cs", "Security/CallerGuard.cs", "desk.csproj", "Calls.cs", "run.sh"),
        ("python", "client"): ("tls.py", "policy.py", "revocation.py", "start.py", "run.sh"),
        ("curl", "client"): ("run.sh",),
        ("psql", "client"): ("psql.sh", "run.sh"),
        ("connector", "client"): ("nginx.conf", "run.sh"),
        ("dotnet", "client"): ("ServerCertificateValidation.cs", "TlsMaterial.cs", "Caller.cs", "run.sh"),
    }
    for (name, role), paths in decides.items():
        capabilities = catalogue.find(name, role, Path.cwd()).capabilities
        assert {path: capabilities.owner_of(path) for path in paths} == dict.fromkeys(paths, Owner.SCAFFOLD)
    yours = {
        "nginx": ("app.conf",),
        "python": ("routes.py",),
        "asgi": ("app.py", "requirements.txt"),
        "kestrel": ("App.cs", "App.props"),
    }
    for name, expected in yours.items():
        assert catalogue.find(name, "server", Path.cwd()).capabilities.owners.yours == expected
