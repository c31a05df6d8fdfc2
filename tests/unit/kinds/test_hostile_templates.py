"""Templates that are broken, hostile or without end: each is one clear error of plan, and nothing is written."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from scaffold.errors import KindError
from scaffold.kinds import bounds, render
from tests.unit.conftest import Household

PROJECT = "{{cookiecutter.name}}"
Break = Callable[[Path], object]
"""Does something to a template in a folder."""


def with_file(name: str, content: str | bytes = "x") -> Break:
    def put(kind: Path) -> None:
        place = kind / PROJECT / name
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)

    return put


def with_values(**values: object) -> Break:
    def put(kind: Path) -> None:
        file = kind / "cookiecutter.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **values}))

    return put


def both(*breaks: Break) -> Break:
    return lambda kind: [each(kind) for each in breaks]


def instead_of_json(put: Break) -> Break:
    def replace(kind: Path) -> None:
        (kind / "cookiecutter.json").unlink()
        put(kind / "cookiecutter.json")

    return replace


def sparse(kind: Path) -> None:
    with (kind / PROJECT / "huge").open("wb") as file:
        file.truncate(1 << 34)


BROKEN: dict[str, tuple[Break, str]] = {
    "a link out": (lambda kind: (kind / PROJECT / "x").symlink_to("/etc/passwd"), "has a symbolic link"),
    "a linked folder": (lambda kind: (kind / PROJECT / "x").symlink_to("/etc"), "has a symbolic link"),
    "linked parts": (lambda kind: (kind / "templates").symlink_to("/etc"), r"(?m)has a symbolic link: .*/templates$"),
    "a pipe": (lambda kind: os.mkfifo(kind / PROJECT / "x"), "neither a file nor a folder"),
    "a pipe among the parts": (
        lambda kind: ((kind / "templates").mkdir(), os.mkfifo(kind / "templates/x")),
        "neither a file nor a folder",
    ),
    "sixteen gigabytes": (sparse, "a file of more than 16 MiB"),
    "a line break in a name": (with_file("a\nb"), "a file name with characters that cannot be printed"),
    "a terminal's command in a name": (with_file("a\x1b[2Jb"), "a file name with characters that cannot be printed"),
    "a name that is not UTF-8": (
        with_file(os.fsdecode(b"a\xff")),
        "a file name with characters that cannot be printed",
    ),
    "a line break in a rendered name": (with_file('a{{ "\\n" }}b'), "which has characters that cannot be printed"),
    "a way up": (with_file('{{ ".." }}/x'), "which is outside the project"),
    "a way up from a value": (
        both(with_file("{{ cookiecutter.a }}"), with_values(a="../../evil")),
        "which is outside the project",
    ),
    "an absolute path": (
        both(with_file("{{ cookiecutter.a }}"), with_values(a="/etc/evil")),
        "which is outside the project",
    ),
    "one path twice": (with_file('{{ "READ" }}ME.md'), "both become"),
    "one path in two cases": (with_file("readme.md"), "or differ only in case"),
    "one path in two ways to write an accent": (both(with_file("caf\u00e9"), with_file("cafe\u0301")), "both become"),
    "a repository's own folder": (with_file(".git/config"), "may not be called .git"),
    "a file in flight": (with_file("x.scaffold-tmp"), "may not be called x.scaffold-tmp"),
    "no UTF-8": (
        with_file("x.txt", "caf\u00e9 {{ 1 }}".encode("latin-1")),
        "x.txt is neither UTF-8 text nor binary",
    ),
    "a command": (
        with_file("x.txt", "{{ cycler.__init__.__globals__.os.system('touch ran') }}"),
        "x.txt, line 1: access to attribute '__init__' .* is unsafe",
    ),
    "a command in a name": (
        with_file("{{ cycler.__init__.__globals__.os.system('touch ran') }}"),
        "access to attribute '__init__' .* is unsafe",
    ),
    "a command in a default": (
        with_values(a="{{ cycler.__init__.__globals__.os.system('touch ran') }}"),
        "access to attribute '__init__' .* is unsafe",
    ),
    "a change of the settings": (
        with_file("x.txt", "{{ cookiecutter.update(name='x') }}"),
        "access to attribute 'update' of 'dict' object is unsafe",
    ),
    "an error in it": (with_file("x.txt", "{{ 1 / 0 }}"), "division by zero"),
    "a variable that is not there": (with_file("x.txt", "{{ cookiecutter.nope }}"), 'x.txt, line 1: .*"nope"'),
    "a mistake in it": (with_file("x.txt", "{% if %}"), "Expected an expression"),
    "a macro that calls itself": (
        with_file("x.txt", "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}"),
        "endless recursion",
    ),
    "a gigabyte": (with_file("x.txt", '{{ "x" * 3000000000 }}'), "takes more than 1 GiB of memory"),
    "a pipe for its variables": (instead_of_json(os.mkfifo), "it is a named pipe"),
    "a folder for its variables": (instead_of_json(Path.mkdir), "Is a directory"),
    "variables without end": (instead_of_json(lambda file: file.symlink_to("/dev/zero")), "more than 16 MiB"),
    "variables in a list": (instead_of_json(lambda file: file.write_text("[]")), "must hold an object"),
    "variables that are no JSON": (instead_of_json(lambda file: file.write_text("{")), "cannot be read"),
    "a block that is none": (with_values(_scaffold=[]), "no _scaffold block"),
    "extensions that are a number": (with_values(_extensions=5), "_extensions .* must be a list of names"),
    "patterns that are a number": (with_values(_copy_without_render=5), "must be a list of patterns"),
    "an extension that is not there": (with_values(_extensions=["os.nope"]), "has no attribute 'nope'"),
}


@pytest.mark.parametrize(("harm", "words"), BROKEN.values(), ids=BROKEN)
def test_it_is_one_error_and_nothing_is_written(tiny: Household, harm: Break, words: str) -> None:
    tiny.plan()
    project = tiny.folder / "kind"
    harm(project)
    clear_cache()
    before = sorted(tiny.folder.iterdir())
    with pytest.raises(KindError, match=words):
        tiny.plan()
    assert sorted(tiny.folder.iterdir()) == before


def clear_cache() -> None:
    from scaffold.kinds import catalogue

    catalogue.find.cache_clear()


def test_none_of_this_is_said_of_a_template_that_is_as_it_should_be(tiny: Household) -> None:
    with_file("café.txt", "{{ cookiecutter.name }}")(tiny.folder / "kind")
    with_file(".gitignore")(tiny.folder / "kind")
    tiny.apply()
    assert (tiny.out / "servers/accounts/café.txt").read_text() == "accounts"


def test_a_template_without_end_is_given_up(tiny: Household, monkeypatch: pytest.MonkeyPatch) -> None:
    endless = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
    with_file("x.txt", endless)(tiny.folder / "kind")
    monkeypatch.setattr(render, "bounded", lambda: bounds.bounded(seconds=0.2))
    with pytest.raises(KindError, match="is not rendered after"):
        tiny.plan()


UNDER_A_LIMIT = """
import resource, time
from scaffold.kinds import bounds
most = int(time.process_time()) + 2
resource.setrlimit(resource.RLIMIT_CPU, (most, most))
try:
    with bounds.bounded():
        while True:
            pass
except bounds.TakesTooLong as error:
    print("said so", error.seconds < most)
"""


def test_the_bound_comes_before_the_end_of_a_process_that_may_take_less() -> None:
    """As under `ulimit -t`: the system ends such a process without a word."""
    done = subprocess.run([sys.executable, "-c", UNDER_A_LIMIT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "said so True\n")


def test_the_bounds_are_lifted_again() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS), signal.getsignal(signal.SIGVTALRM)
    with bounds.bounded():
        assert resource.getrlimit(resource.RLIMIT_AS) != before[0]
        assert signal.getitimer(signal.ITIMER_VIRTUAL)[0] > 0
    assert (resource.getrlimit(resource.RLIMIT_AS), signal.getsignal(signal.SIGVTALRM)) == before
    assert signal.getitimer(signal.ITIMER_VIRTUAL)[0] == 0


def test_in_another_thread_memory_alone_is_bounded() -> None:
    """Signals are the main thread's."""
    bound: list[float] = []

    def look() -> None:
        with bounds.bounded():
            bound.append(signal.getitimer(signal.ITIMER_VIRTUAL)[0])

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert bound == [0]
