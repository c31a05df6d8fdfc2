"""The first start of an ASGI server on a machine that has none of its packages: run.sh fetches them by itself."""

from __future__ import annotations

import os
import resource
import subprocess

import pytest

from tests.handshake.asgi_lab import Desk
from tests.handshake.nginx_lab import allow, identity, server
from tests.requirements import require_command

require_command("python3")

OF_CPU = 40
"""Seconds. A machine with nothing else to do serves within a minute: what the index takes is not ours to promise."""
NOWHERE = {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_NO_CACHE_DIR": "1", "PIP_RETRIES": "0", "PIP_FIND_LINKS": ""}


def of_pip() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("PIP_")}


def of_children() -> float:
    """The CPU time of the processes that this one has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.fixture
def desk(tmp_path, root, ca) -> Desk:
    return Desk(tmp_path / "a folder with a space", server(ca, "desk", "localhost"), root, [allow("teller", ca)])


@pytest.mark.long
def test_the_first_start_installs_and_the_next_ones_serve_at_once(desk, teller):
    before = of_children()
    with desk.running(within=600, ASGI_PYTHON="", **of_pip()):
        assert desk.ask(teller).json["caller"] == identity("teller")
    assert of_children() - before < OF_CPU
    assert any("installing the packages" in line for line in desk.lines)
    with desk.running(ASGI_PYTHON="", **NOWHERE):
        assert desk.ask(teller).json["caller"] == identity("teller")
    assert not any("installing" in line for line in desk.lines)
    with (desk.folder / "requirements.txt").open("a") as file:
        file.write("sniffio==1.3.1\n")
    with desk.running(within=600, ASGI_PYTHON="", **of_pip()):
        assert desk.ask(teller).status == 200
    assert (desk.folder / ".venv/installed.txt").read_text().count("sniffio") == 1
    assert list(desk.folder.glob(".venv/lib/*/site-packages/sniffio"))


@pytest.mark.long
def test_without_an_index_it_says_so_and_what_may_be_done(desk):
    ended = subprocess.run(
        [desk.folder / "run.sh"], capture_output=True, text=True, timeout=300, check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(desk.folder), **NOWHERE},
    )  # fmt: skip
    assert ended.returncode == 1
    assert "the packages cannot be installed: pip says why above; ASGI_PYTHON" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (desk.folder / ".venv/installed.txt").exists()
