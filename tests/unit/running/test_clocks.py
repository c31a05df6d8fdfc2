"""Another clock than this process has is noticed in what it starts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from scaffold.running.clocks import another_clock


def test_a_program_that_is_started_sees_the_same_time() -> None:
    assert another_clock(datetime.now(UTC)) is None


@pytest.mark.parametrize("days", [-365, 1])
def test_a_process_with_another_clock_is_told_what_the_time_is_for_others(days: int) -> None:
    real = datetime.now(UTC)
    there = another_clock(real + timedelta(days=days))
    assert there is not None
    assert abs(there - real) < timedelta(hours=1)


def test_where_nobody_can_be_asked_nothing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    (tmp_path / "date").write_text("#!/bin/sh\necho today\n")
    (tmp_path / "date").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert another_clock(datetime.now(UTC) + timedelta(days=365)) is None
