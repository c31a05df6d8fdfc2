"""docs/revocation.md says of the templates what they declare, docs/revocation-measured.md of the guide what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs/revocation.md"
MEASURED = ROOT / "docs/revocation-measured.md"
TABLE = "import report; print(report.declared())"
GUIDE = "import report, json; print(json.dumps(report.GUIDE))"


def said(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT / "benchmarks/revocation", capture_output=True, text=True, check=True
    ).stdout


def test_the_table_of_templates_is_what_they_declare() -> None:
    _, _, rest = DOCUMENT.read_text().partition("<!-- templates: begin -->")
    written, _, _ = rest.partition("<!-- templates: end -->")
    assert written.strip() == said(TABLE).strip(), "run `python benchmarks/revocation --templates`"


def test_the_guide_has_four_rows_and_they_are_quoted_once_as_they_are() -> None:
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in MEASURED.read_text().splitlines()]
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
