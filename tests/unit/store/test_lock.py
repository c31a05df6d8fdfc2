"""One apply at a time: who waits, who is told, and what others see of it."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scaffold.errors import Locked
from scaffold.running.services import handed_on
from scaffold.store import lock
from scaffold.store.layout import HOLDER, LOCK, Layout

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

ANOTHER = """\
import sys
from datetime import UTC, datetime
from pathlib import Path
from scaffold.store import lock
from scaffold.store.layout import Layout

with lock.hold(Layout(Path(sys.argv[1])), datetime.now(UTC)):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_who_comes_second_is_told_who_was_first(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ANOTHER, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=handed_on(), **pipes) as other:  # type: ignore[call-overload]
        assert other.stdout.readline() == "held\n"
        with pytest.raises(Locked, match=f"process {other.pid} on "), lock.hold(Layout(tmp_path), NOW):
            pass
        other.stdin.close()
    with lock.hold(Layout(tmp_path), NOW):
        assert "since 2026-01-02T03:04:05+00:00" in lock.holder(Layout(tmp_path))
    assert lock.holder(Layout(tmp_path)) == "an unknown process"


def test_the_lock_is_its_owners_alone(tmp_path: Path) -> None:
    """Who may open it may hold it: nobody else on the machine keeps an apply from its work."""
    with lock.hold(Layout(tmp_path), NOW):
        rights = {path: (tmp_path / path).stat().st_mode & 0o777 for path in (LOCK, HOLDER, ".scaffold")}
    assert rights == {LOCK: 0o600, HOLDER: 0o600, ".scaffold": 0o700}


def test_it_is_given_up_whatever_happens(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), lock.hold(Layout(tmp_path), NOW):
        _ = 1 // 0
    with lock.hold(Layout(tmp_path), NOW), lock.hold(Layout(tmp_path), NOW):
        assert "process" in lock.holder(Layout(tmp_path))
    assert not (tmp_path / HOLDER).exists()
