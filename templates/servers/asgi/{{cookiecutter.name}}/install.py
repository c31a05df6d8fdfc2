"""Installs the packages of requirements.txt and mtls/requirements.txt into .venv, unless they are there already."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
VENV = HERE / ".venv"
FILES = (HERE / "requirements.txt", HERE / "mtls/requirements.txt")
OTHERWISE = "ASGI_PYTHON in the environment may name a Python that has the packages already"


def main() -> None:
    """Exits with a reason where it cannot be done."""
    if (found := tuple(sys.version_info[:2])) < (3, 11):
        sys.exit(f"Python 3.11 or later is needed, and {sys.executable} is {found[0]}.{found[1]}")
    python = f"# Python {found[0]}.{found[1]}\n"
    wanted = python + "".join(file.read_text(encoding="utf-8") for file in FILES)
    folder = os.open(HERE, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)  # two that start at once; it ends with this process
    installed = VENV / "installed.txt"
    before = installed.read_text(encoding="utf-8") if installed.is_file() else ""
    if before == wanted and (VENV / "bin/python").exists():
        return
    if not os.access(HERE, os.W_OK):
        sys.exit(f"{HERE} cannot be written to, and .venv lacks what requirements.txt asks for; {OTHERWISE}")
    print("installing the packages of requirements.txt into .venv", file=sys.stderr, flush=True)
    installed.unlink(missing_ok=True)
    if not before.startswith(python) or not (VENV / "bin/python").exists():
        _run(
            [sys.executable, "-m", "venv", "--clear", str(VENV)],
            "no .venv can be made (Debian and Ubuntu keep what that needs in the package python3-venv)",
        )
    requirements = [word for file in FILES for word in ("--requirement", str(file))]
    _run(
        [str(VENV / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements],
        f"the packages cannot be installed: pip says why above; {OTHERWISE}",
    )
    installed.write_text(wanted, encoding="utf-8")


def _run(command: list[str], otherwise: str) -> None:
    if subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stdout=sys.stderr).returncode != 0:
        sys.exit(otherwise)


if __name__ == "__main__":
    main()
