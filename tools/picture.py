"""Draws docs/images/verify.svg from the real output of a real verification, and graph.svg by `scaffold graph`.

python tools/picture.py
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

IMAGES = Path(__file__).parent.parent / "docs" / "images"
PICTURE, GRAPH = IMAGES / "verify.svg", IMAGES / "graph.svg"
SCAFFOLD = [sys.executable, "-m", "scaffold"]
COLUMNS = 80


def verified() -> str:
    """What `scaffold verify` prints for the banking example, with its colours."""
    with tempfile.TemporaryDirectory() as folder:
        for arguments in (["init", "--example", "banking"], ["apply", "--yes"]):
            subprocess.run([*SCAFFOLD, *arguments], cwd=folder, check=True, capture_output=True)
        done = subprocess.run(
            [*SCAFFOLD, "verify", "--ports", "auto"],
            cwd=folder,
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"},
        )
    return done.stdout


def drawn() -> str:
    """The picture of the banking example once it is applied."""
    with tempfile.TemporaryDirectory() as folder:
        for arguments in (["init", "--example", "banking"], ["apply", "--yes"]):
            subprocess.run([*SCAFFOLD, *arguments], cwd=folder, check=True, capture_output=True)
        command = [*SCAFFOLD, "graph", "--format", "svg"]
        return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def main() -> None:
    """Write the pictures."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi("$ scaffold verify --ports auto\n" + verified()))
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    GRAPH.write_text(drawn(), "utf-8")
    drawing = console.export_svg(title="scaffold verify", unique_id="verify")
    # Nothing is fetched by who looks at the picture: the fonts are those of the machine.
    drawing = re.sub(r"@font-face \{.*?\}\s*", "", drawing, flags=re.DOTALL)
    drawing = drawing.replace(
        "font-family: Fira Code,", "font-family: ui-monospace, DejaVu Sans Mono, Menlo, Consolas,"
    )
    PICTURE.write_text(drawing, "utf-8")


if __name__ == "__main__":
    main()
