"""docs/revocation.md says of the kinds what the kinds declare, and of the guide what the guide says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs/revocation.md"
TABLE = "import report; print(report.kinds())"
GUIDE = "import report, json; print(json.dumps(report.GUIDE))"


def said(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT / "benchmarks/revocation", capture_output=True, text=True, check=True
    ).stdout


def test_the_table_of_kinds_is_what_they_declare() -> None:
    _, _, rest = DOCUMENT.read_text().partition("<!-- kinds: begin -->")
    written, _, _ = rest.partition("<!-- kinds: end -->")
    assert written.strip() == said(TABLE).strip(), "run `python benchmarks/revocation --kinds`"


def test_the_guide_has_four_rows_and_they_are_quoted_once_as_they_are() -> None:
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in DOCUMENT.read_text().splitlines()]
    quoted = {row[0].removesuffix(": the guide"): row[1:] for row in cells if row and row[0].endswith(": the guide")}
    assert (
        quoted
        == json.loads(said(GUIDE))
        == {
            "CRL": ["❌", "High", "Low", "Low", "Medium"],
            "OCSP": ["✅", "Medium", "Medium", "Medium", "High"],
            "OCSP stapling": ["✅", "Low", "Medium", "High", "Low"],
            "short-lived": ["❌", "Low", "High", "High", "Low"],
        }
    )
    assert sum(row[0].endswith(": the guide") for row in cells if row) == len(quoted)
