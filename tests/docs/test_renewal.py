"""The units that docs/renewal.md shows are understood by systemd."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from tests.requirements import require_command

PAGE = Path(__file__).parent.parent.parent / "docs" / "renewal.md"

UNIT = re.compile(r"```ini\n# /etc/systemd/system/(\S+)\n(.*?)```", re.DOTALL)


def verified(folder: Path, units: dict[str, str]) -> subprocess.CompletedProcess[str]:
    for name, text in units.items():
        (folder / name).write_text(text.replace("/usr/local/bin/scaffold", shutil.which("true") or "/bin/true"))
    paths = [str(folder / name) for name in units]
    return subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *paths], capture_output=True, text=True, check=False, timeout=60
    )


def test_the_units_are_sound(tmp_path: Path) -> None:
    require_command("systemd-analyze")
    units = dict(UNIT.findall(PAGE.read_text("utf-8")))
    assert sorted(units) == [
        "scaffold-renew-daily.service",
        "scaffold-renew-daily.timer",
        "scaffold-renew.service",
    ]
    done = verified(tmp_path, units)
    assert (done.returncode, done.stderr) == (0, "")
    broken = {name: text.replace("Description", "Descripton") for name, text in units.items()}
    assert "Descripton" in verified(tmp_path, broken).stderr
