"""The topologies to start from, which come with the command: `scaffold init --example`."""

from __future__ import annotations

from pathlib import Path

LIST = "list"
"""What is no example's name, and shows them all."""


def folder() -> Path:
    """In the wheel the examples lie in the package; in a checkout beside it."""
    package = Path(__file__).parent.parent
    carried = package / "_examples"
    return carried if carried.is_dir() else package.parent / "examples"


def names() -> list[str]:
    """What `--example` takes."""
    return sorted(file.parent.name for file in folder().glob("*/topology.yaml"))


def described() -> dict[str, str]:
    """Each example with the first sentence of its topology."""
    return {name: _first_sentence(name) for name in names()}


def _first_sentence(example: str) -> str:
    lines = (folder() / example / "topology.yaml").read_text("utf-8").splitlines()
    said = [line.removeprefix("# ") for line in lines if line.startswith("# ") and "$schema" not in line]
    return " ".join(said).partition(". ")[0].rstrip(".")
