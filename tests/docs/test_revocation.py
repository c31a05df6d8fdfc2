"""docs/revocation.md says of the kinds what the kinds declare."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs/revocation.md"
TABLE = "import report; print(report.kinds())"


def test_the_table_of_kinds_is_what_they_declare() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TABLE], cwd=ROOT / "benchmarks/revocation", capture_output=True, text=True, check=True
    )
    _, _, rest = DOCUMENT.read_text().partition("<!-- kinds: begin -->")
    written, _, _ = rest.partition("<!-- kinds: end -->")
    assert written.strip() == done.stdout.strip(), "run `python benchmarks/revocation --kinds`"
