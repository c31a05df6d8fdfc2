"""A topology is found from any folder below it, and never where somebody else could have put it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.harness import in_process, scaffold

TOPOLOGY = """\
version: 1
name: {name}
cas: {{root: {{}}}}
servers:
  api: {{template: python, listen: 127.0.0.1:8443, names: [localhost]}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two folders below one with a topology."""
    (tmp_path / "topology.yaml").write_text(TOPOLOGY.format(name="above"))
    (tmp_path / "one/two").mkdir(parents=True)
    return tmp_path


def test_the_nearest_folder_above_is_taken_and_named(folder: Path) -> None:
    ended = scaffold("validate", cwd=folder / "one/two")
    assert ended.code == 0
    assert ended.out.startswith("../../topology.yaml: valid: 1 CA")
    assert ended.err == "using ../../topology.yaml\n"
    (folder / "one/topology.yaml").write_text(TOPOLOGY.format(name="nearer"))
    assert in_process("plan", "--json", cwd=folder / "one/two").json["topology"] == "nearer"


def test_the_one_that_is_here_is_taken_in_silence(folder: Path) -> None:
    ended = in_process("validate", cwd=folder)
    assert (ended.code, ended.err) == (0, "")
    (folder / "one/topology.yaml").symlink_to("nowhere")
    assert in_process("validate", cwd=folder / "one").code == 1  # what is here is meant, though it leads nowhere


def test_the_output_folder_is_beside_it(folder: Path) -> None:
    assert in_process("apply", cwd=folder / "one/two").code == 0
    assert (folder / "above/servers/api/run.sh").is_file()
    assert sorted(path.name for path in (folder / "one").rglob("*")) == ["two"]


def test_a_file_that_is_named_is_not_looked_for_elsewhere(folder: Path) -> None:
    (folder / "other.yaml").write_text(TOPOLOGY.format(name="other"))
    in_process("validate", "-f", "other.yaml", cwd=folder / "one").assert_clear_error("other.yaml")


def test_init_writes_here_whatever_is_above(folder: Path) -> None:
    assert in_process("init", "--example", "minimal", cwd=folder / "one").code == 0
    assert (folder / "one/topology.yaml").is_file()


def test_nothing_is_looked_for_where_anybody_may_write(folder: Path) -> None:
    folder.chmod(0o777)
    in_process("validate", cwd=folder / "one/two").assert_clear_error("topology.yaml")
    folder.chmod(0o755)
    (folder / "one").chmod(0o1777)  # nor beyond it
    in_process("validate", cwd=folder / "one/two").assert_clear_error("topology.yaml")


def test_one_of_another_user_is_refused_by_name(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to give a file away")
    os.chown(folder / "topology.yaml", 12345, 12345)
    in_process("validate", cwd=folder / "one").assert_clear_error("belongs to another user", "-f ../topology.yaml")
    assert in_process("validate", "-f", "../topology.yaml", cwd=folder / "one").code == 0


@pytest.mark.parametrize("theirs", ["folder", "link"])
def test_a_folder_or_a_link_of_another_user_is_refused_as_well(folder: Path, theirs: str) -> None:
    """What was rendered stands beside it, and is run."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to give a file away")
    (folder / "topology.yaml").rename(folder / "mine.yaml")
    (folder / "topology.yaml").symlink_to("mine.yaml")
    os.lchown(folder if theirs == "folder" else folder / "topology.yaml", 12345, 12345)
    in_process("validate", cwd=folder / "one").assert_clear_error("belongs to another user")
