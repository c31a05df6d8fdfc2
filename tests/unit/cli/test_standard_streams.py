"""A standard stream that is closed: nothing that is opened later takes its number."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

OPENS_A_FILE = """
import os, sys
import scaffold.cli
{prepare}
file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
sys.exit(10 + file)
"""


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)], ids=str)
def test_a_closed_stream_is_the_null_device(tmp_path, closed):
    def number(prepare: str) -> int:
        return subprocess.run(
            [sys.executable, "-c", OPENS_A_FILE.format(prepare=prepare), str(tmp_path / "file")],
            preexec_fn=lambda: [os.close(descriptor) for descriptor in closed],
            check=False,
        ).returncode

    assert number("") - 10 == closed[0]
    assert number("scaffold.cli._open_standard_streams()") - 10 > 2


@pytest.mark.parametrize("closed", [(1,), (2,)], ids=["out", "err"])
def test_a_command_ends_as_it_would_otherwise(tmp_path, closed):
    ended = subprocess.run(
        [sys.executable, "-m", "scaffold", "graph"],
        cwd=tmp_path,
        preexec_fn=lambda: [os.close(descriptor) for descriptor in closed],
        check=False,
    )
    assert ended.returncode == 1  # there is no topology
    (tmp_path / "topology.yaml").write_text("version: 1\nname: t\ncas: {root: {}}\n")
    ended = subprocess.run(
        [sys.executable, "-m", "scaffold", "plan"],
        cwd=tmp_path,
        preexec_fn=lambda: [os.close(descriptor) for descriptor in closed],
        check=False,
    )
    assert ended.returncode == 0
