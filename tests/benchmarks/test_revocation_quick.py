"""The revocation benchmark runs and fills every cell. What it measures is not judged here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.requirements import require_command

require_command("nginx", "openssl", "curl")

ROOT = Path(__file__).parents[2]
BENCHMARK = [sys.executable, str(ROOT / "benchmarks/revocation")]

HEADINGS = {
    "From `scaffold revoke` to the first refusal": 8,
    "While the publisher is down": 6,
    "A handshake": 7,
    "Staying fresh, once": 6,
    "An hour": 6,
    "Beside the guide": 10,
}
"""How many rows each table has: OCSP and stapling fill two where there are two sorts of callers."""


@pytest.mark.long
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="CPU is read from /proc")
def test_a_quick_run_fills_every_cell() -> None:
    done = subprocess.run([*BENCHMARK, "--quick"], capture_output=True, text=True, timeout=280, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    found = dict(part.split("\n", 1) for part in done.stdout.split("### ")[1:])
    assert set(found) == set(HEADINGS)
    for heading, count in HEADINGS.items():
        head, _, *rows = [line for line in found[heading].splitlines() if line.startswith("|")]
        assert len(rows) == count, heading
        assert {row.count("|") for row in rows} == {head.count("|")}
        assert not [row for row in rows if "nan" in row or "None" in row]
