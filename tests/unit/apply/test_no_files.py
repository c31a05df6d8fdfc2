"""What stands in the place of a rendered file and is no file: plan says so, waits for nobody, and nothing is lost."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from scaffold.errors import PlanError, StoreError
from scaffold.plan.model import Action
from scaffold.plan.projects import Resolution
from scaffold.view.plan import outcome_lines
from tests.unit.conftest import Household

PROJECT = "server.accounts.project"
CONFLICT = {PROJECT: (Action.CONFLICT, "edited")}


def put_a_socket(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{folder}/{path.name}")  # the path itself may be too long for a socket
    os.close(folder)


NO_FILES: dict[str, Callable[[Path], None]] = {
    "folder": Path.mkdir,
    "pipe": os.mkfifo,
    "socket": put_a_socket,
    "link to nowhere": lambda path: path.symlink_to("nowhere"),
    "link to a file": lambda path: path.symlink_to("README.md.mine"),
}
NO_FOLDERS = {name: put for name, put in NO_FILES.items() if name != "folder"}


def replaced(household: Household, path: str, put: Callable[[Path], None]) -> Path:
    household.apply()
    place = household.out / path
    place.with_name("README.md.mine").write_text("mine\n")
    place.unlink()
    put(place)
    return place


@pytest.mark.parametrize("name", ["README.md", "run.sh"])
@pytest.mark.parametrize("put", NO_FILES.values(), ids=NO_FILES)
def test_what_is_no_file_is_a_conflict_until_it_is_moved_away(tiny: Household, put, name: str) -> None:
    place = replaced(tiny, f"servers/accounts/{name}", put)
    assert tiny.planned() == CONFLICT
    assert not any("chmod" in str(note) for note in tiny.plan().notes)
    assert [str(change.address) for change in tiny.apply().undone] == [PROJECT]
    place.rename(place.with_name("elsewhere"))
    assert tiny.planned() == {}
    tiny.apply(overwrite=["server.accounts"])
    assert place.is_file()


def test_a_file_is_no_conflict(tiny: Household) -> None:
    replaced(tiny, "servers/accounts/README.md", lambda path: path.write_text("mine\n"))
    assert tiny.planned() == {}


@pytest.mark.parametrize("put", NO_FOLDERS.values(), ids=NO_FOLDERS)
def test_the_templates_text_takes_its_place_when_asked(tiny: Household, put) -> None:
    place = replaced(tiny, "servers/accounts/README.md", put)
    tiny.resolve(PROJECT, Resolution.THEIRS)
    assert place.read_text() == "one\n"
    assert not place.is_symlink()
    assert tiny.planned() == {}


def test_nothing_is_written_over_a_folder(tiny: Household) -> None:
    place = replaced(tiny, "servers/accounts/README.md", Path.mkdir)
    (place / "precious").write_text("x")
    with pytest.raises(PlanError, match=r"servers/accounts/README\.md is a folder") as caught:
        tiny.resolve(PROJECT, Resolution.THEIRS)
    assert "apply --overwrite server.accounts" in str(caught.value.hint)
    assert (place / "precious").read_text() == "x"


@pytest.mark.parametrize("put", NO_FILES.values(), ids=NO_FILES)
def test_it_holds_no_text_that_could_stay(tiny: Household, put) -> None:
    replaced(tiny, "servers/accounts/README.md", put)
    with pytest.raises(PlanError, match="and has no text to keep"):
        tiny.resolve(PROJECT, Resolution.MINE)


def test_apply_says_how_it_ends(tiny: Household) -> None:
    replaced(tiny, "servers/accounts/README.md", os.mkfifo)
    planned = tiny.prepare()
    lines = outcome_lines(planned.plan, tiny.carry_out(planned), tiny.out)
    said = "\n".join("".join(text for text, _ in line) for line in lines)
    assert "scaffold resolve server.accounts --theirs" in said
    assert "merged both texts" not in said


def test_of_a_text_that_cannot_be_merged_either_is_taken_whole(tiny: Household, change_kind) -> None:
    tiny.apply()
    (tiny.out / "servers/accounts/README.md").write_bytes(b"\xff\xfe")
    change_kind({"README.md": "two\n", "run.sh": "#!/bin/sh\n", "tls/list": "first\n"})
    planned = tiny.prepare()
    lines = outcome_lines(planned.plan, tiny.carry_out(planned), tiny.out)
    said = "\n".join("".join(text for text, _ in line) for line in lines)
    assert "scaffold resolve server.accounts --mine   or --theirs" in said
    tiny.resolve(PROJECT, Resolution.MINE)
    assert tiny.planned() == {}


@pytest.mark.parametrize("put", NO_FILES.values(), ids=NO_FILES)
def test_what_is_no_file_in_tls_is_an_error_that_names_it(tiny: Household, put) -> None:
    place = replaced(tiny, "servers/accounts/tls/cert.pem", put)
    with pytest.raises(StoreError, match=r"tls/cert\.pem is (not a regular file|a symbolic link)") as caught:
        tiny.plan()
    assert caught.value.hint is not None
    assert place.is_symlink() or not place.is_file()
