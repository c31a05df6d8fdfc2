"""`scaffold templates check`: every built-in template passes, and so does one that brings no Python; broken ones fail.

Each check of the contract fails here once, for a template that breaks it and is sound otherwise.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scaffold.contract.model import ContractReport
from scaffold.contract.run import check, checks_of
from scaffold.kinds import catalogue
from scaffold.kinds.catalogue import Kind
from scaffold.running.availability import ends_well
from scaffold.verify.model import Result
from tests.cli.harness import in_process as scaffold
from tests.handshake.rewriting import rewrite
from tests.requirements import require, require_command, which

LONG = ("kestrel", "dotnet", "asgi", "python", "haproxy", "postgresql")
"""The projects of the first two are built, which takes minutes for all of them, and those of the third import a
framework. The others are tried point for point by the tests of their own."""

BUILT_IN = [
    pytest.param(name, role, id=f"{role}-{name}", marks=[pytest.mark.long] if name in LONG else [])
    for role in ("server", "client")
    for name in catalogue.builtin_names(role)
]


def lines(report: ContractReport) -> str:
    """The report in full, for the message of a failed assertion."""
    return "\n".join(f"{one.result} {one.name}: {one.detail}" for one in report.checks)


@pytest.mark.parametrize(("name", "role"), BUILT_IN)
def test_a_built_in_template_keeps_the_whole_contract(name: str, role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASGI_PYTHON", sys.executable)
    kind = catalogue.builtin(name, role)
    for group in kind.capabilities.requires:
        require(any(map(which, group)), " or ".join(group))
    for what, command in kind.capabilities.tries.items():
        require(ends_well(command), what)
    report = check(kind, name, datetime.now(UTC))
    assert not report.failed, lines(report)
    skipped = {one.name for one in report.checks if one.result is Result.SKIPPED}
    assert skipped == set(untried(kind)), lines(report)


def untried(kind: Kind) -> Iterator[str]:
    """What a template need not show; of one that has nothing to run that is not even asked."""
    if not kind.capabilities.runs:
        return
    if not kind.capabilities.config_check:
        yield "config-check"
    if kind.role == "client":
        yield "allow-list"
    elif kind.conversation is not None:
        yield "refuses-before-routing"


# --- One that brings no Python ---------------------------------------------------------------------------------------


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    require_command("haproxy")
    ended = scaffold("templates", "new", "mine", cwd=tmp_path)
    assert ended.code == 0, ended.err
    return tmp_path / "mine"


@pytest.mark.long
def test_a_new_template_of_less_than_forty_lines_and_no_python_passes(mine: Path) -> None:
    files = [path for path in mine.rglob("*") if path.is_file() and path.name not in ("cookiecutter.json", "README.md")]
    assert not [path for path in files if path.suffix == ".py"]
    written = [line.strip() for path in files for line in path.read_text("utf-8").splitlines()]
    configuration = [
        line for line in written if line and not re.match(r"#|\{%-? *(set|macro|if|endif|for|endfor)\b", line)
    ]
    assert len(configuration) < 40, "\n".join(configuration)
    ended = scaffold("templates", "check", "mine", "--json", cwd=mine.parent)
    assert ended.code == 0, ended.out + ended.err
    assert ended.json["role"] == "server"
    assert {one["result"] for one in ended.json["checks"]} == {"passed"}, ended.out
    assert ended.json["summary"] == {"passed": len(ended.json["checks"]), "failed": 0, "skipped": 0}


def test_nothing_that_is_there_is_overwritten(mine: Path) -> None:
    (mine / "README.md").write_text("mine\n")
    scaffold("templates", "new", "mine", cwd=mine.parent).assert_clear_error("exists already", "hint: ")
    assert (mine / "README.md").read_text() == "mine\n"


# --- Broken ones -----------------------------------------------------------------------------------------------------

PROJECT = "{{cookiecutter.name}}"
RUN, CONFIG, KIND = f"{PROJECT}/run.sh", f"{PROJECT}/haproxy.cfg", "cookiecutter.json"
SHARED_START = '{% include "shared/haproxy-start.sh" %}\n'
START = "exec haproxy -W -f haproxy.cfg\n"
DECISION = "if ended || !allowed"
ENDED, TIME = "acl ended ssl_c_notafter", "if { path /time }"
BIND = 'bind "${LISTEN-{{ cookiecutter.listen.literal }}}" v4v6 ssl crt'

Break = Callable[[Path], None]


def changed(file: str, old: str, new: str) -> Break:
    """A template with another text in one of its files; the old one must be there, or the test would break nothing."""

    def break_it(template: Path) -> None:
        rewrite(template / file, (old, new))

    return break_it


def started_by(script: str) -> Break:
    return changed(RUN, SHARED_START, script)


def declared(field: str, value: object) -> Break:
    """A template that declares something else of itself."""

    def break_it(template: Path) -> None:
        values = json.loads((template / KIND).read_text("utf-8"))
        values["_scaffold"][field] = value
        (template / KIND).write_text(json.dumps(values), "utf-8")

    return break_it


def moved_allow_list(template: Path) -> None:
    (template / PROJECT / "tls/allowed.map").rename(template / PROJECT / "allowed.map")
    changed(CONFIG, "tls/allowed.map", "allowed.map")(template)


def not_executable(template: Path) -> None:
    (template / RUN).chmod(0o644)


HARMLESS = {"breaks": "nothing", "change": {"haproxy.cfg": {"timeout client 30s": "timeout client 31s"}}}
UNSEEN = {**HARMLESS, "caught_by": ["no-certificate"]}
MISSPELT = {**HARMLESS, "caught_by": ["revokd"]}
ABSENT = {
    "breaks": "what is not there",
    "change": {"haproxy.cfg": {"timeout client 30s": "timeout client 31s", "no such line": "x"}},
}
NO_START = {
    "breaks": "all of it",
    "change": {"haproxy.cfg": {"mode http": "mode htttp"}},
    "caught_by": ["no-certificate"],
}

HAPROXY = "haproxy -W -f haproxy.cfg"
WAIT = "trap 'kill $!; exit' TERM; while :; do wait; done\n"
COPY_KEY = 'rm "$RUN/server.pem.key"; cat tls/key.pem >"$RUN/server.pem.key"\n'
BOUND = '[ -e place ] || pwd >place; here=$(cat place); cd "$here"; export'
ONE_PORT_MORE = f"bind {{{{ cookiecutter.listen.literal }}}}\n    {BIND}"

BROKEN: dict[str, tuple[str, Break, str]] = {
    # template                        check                what is wrong with it, and what is said of it
    "a variable that is not there": ("renders", changed(CONFIG, "30s", "{{ cookiecutter.nothing }}"), "nothing"),
    "chance": ("renders-the-same", changed(RUN, "set -eu", "# {{ random_ascii_string(12) }}\nset -eu"), "run.sh"),
    "no script": ("run-sh", not_executable, "not executable"),
    "another shell": ("run-sh", changed(RUN, "#!/bin/sh", "#!/bin/bash"), "#!/bin/sh"),
    "no heading": ("readme", changed(f"{PROJECT}/README.md", "# ", ""), "README.md"),
    "an allow list that is held": ("allow-list", moved_allow_list, "tls/"),
    "what the server does not take": ("config-check", changed(CONFIG, "httplog", "htttplog"), "plain"),
    "never ready": ("ready", declared("ready", "^never$"), "did not report that it is ready"),
    "ready too early": ("ready", started_by(f"echo Loading success; sleep 60; {START}"), "not answered"),
    "a fixed port": ("moved", changed(CONFIG, BIND, "bind {{ cookiecutter.listen.literal }} ssl crt"), "not answered"),
    "one port more": ("moved", changed(CONFIG, BIND, ONE_PORT_MORE), "all the same"),
    "another caller": ("says-who-called", changed(CONFIG, '[var(txn.caller),json(utf8s)]"', '[src]"'), "caller"),
    "another greeting": ("says-who-called", changed(CONFIG, "tojson", "replace('ü', 'u') | tojson"), "greeting"),
    "open paths": ("refuses-before-routing", changed(CONFIG, DECISION, "if { path /.mtls/caller } !allowed"), "HTTP"),
    "a path before the guard": (
        "refuses-before-routing", changed(CONFIG, ENDED, f"http-request return status 200 {TIME}\n    {ENDED}"),
        "GET /time of a caller that is not allowed: HTTP 200",
    ),
    "few connections": ("strangers", changed(CONFIG, "mode http", "mode http\n    maxconn 20"), "no connection"),
    "a key for everybody": ("keys", started_by(f"umask 022; {COPY_KEY}{START}"), "others can read"),
    "a copied key": ("keys", started_by(f"{COPY_KEY}{START}"), "a copy of a private key"),
    "HUP ends it": ("hup", started_by(f"{HAPROXY} & trap 'kill $!; exit' HUP TERM; wait\n"), "HUP ended it"),
    "HUP unheard": ("hup", started_by(f"{HAPROXY} & trap '' HUP; {WAIT}"), "old certificate"),
    "HUP unheard under nohup": (
        "hup-under-nohup", changed(RUN, '{% include "shared/hears-hup.sh" %}\n', ""), "old certificate",
    ),
    "HUP starts it anew": (
        "keeps-serving",
        started_by(f"h() {{ {HAPROXY} & }}; h; trap 'kill $! || :; sleep 5; h' HUP; {WAIT}"), "answered",
    ),
    "TERM unheard": ("term", started_by(f"trap '' TERM; {HAPROXY} & wait\n"), "still runs"),
    "TERM leaves it behind": ("term", started_by(f"{HAPROXY} & trap exit TERM; wait\n"), "still listens"),
    "a home": ("no-home", changed(RUN, "cd -- ", 'cd -- "$HOME"; cd -- '), "ended with exit status"),
    "bound to its place": ("copied", changed(RUN, "export", BOUND), "with a key that does not match"),
    "whoever is valid": ("verify", changed(CONFIG, DECISION, "if ended"), "not-allowed"),
    "no mutations": ("mutations", declared("mutations", []), "no mutations"),
    "a probe that there is not": ("mutations", declared("mutations", [MISSPELT]), 'did you mean "revoked"'),
    "an unseen mutation": (
        "mutation: nothing",
        declared("mutations", [UNSEEN]),
        "no probe fails although it is broken: no-certificate",
    ),
    "a mutation of nothing": (
        "mutation: what is not there", declared("mutations", [ABSENT]), "lacks 'no such line' in haproxy.cfg",
    ),
    "no start": ("mutation: all of it", declared("mutations", [NO_START]), "ended with exit status"),
}  # fmt: skip


@pytest.mark.parametrize("breakage", BROKEN)
def test_a_broken_template_fails_the_check_that_is_about_it(breakage: str, mine: Path) -> None:
    name, break_it, said = BROKEN[breakage]
    declared("keys", {"ec-p256": "1.1.1"})(mine)  # the others take their time to be made
    break_it(mine)
    kind, within = catalogue.load(mine, "mine"), 2 if breakage == "never ready" else 60
    before = ["ready"] if name == "copied" else []
    report = check(kind, str(mine), datetime.now(UTC), only=[*before, name], within=within, patience=5)
    *_, found = report.checks
    assert found.result is Result.FAILED, lines(report)
    assert said in found.detail
    assert report.failed


BROKEN_CLIENTS: dict[str, tuple[str, Break, str]] = {
    "another code for nobody": ("nobody-there", changed(RUN, "7 | 28) fail 5", "7 | 28) fail 1"), "1 instead of 5"),
    "an error where nobody is called": ("no-edges", changed(RUN, "worst=0", "worst=1"), "1 instead of 0"),
}


def test_every_check_is_broken_once() -> None:
    names = {name for role in ("server", "client") for name in checks_of(catalogue.builtin("python", role))}
    assert {name for name in names if not name.startswith("mutation: ")} <= {
        name for name, _, _ in (*BROKEN.values(), *BROKEN_CLIENTS.values())
    }


@pytest.mark.parametrize("breakage", BROKEN_CLIENTS)
def test_a_broken_client_fails_the_check_that_is_about_it(breakage: str, tmp_path: Path) -> None:
    require_command("curl")
    name, break_it, said = BROKEN_CLIENTS[breakage]
    assert scaffold("templates", "new", "mine", "--from", "curl", cwd=tmp_path).code == 0
    declared("keys", {"ec-p256": "1.1.1"})(tmp_path / "mine")
    break_it(tmp_path / "mine")
    kind = catalogue.load(tmp_path / "mine", "mine")
    [found] = check(kind, str(tmp_path / "mine"), datetime.now(UTC), only=[name]).checks
    assert found.result is Result.FAILED, found.detail
    assert said in found.detail
