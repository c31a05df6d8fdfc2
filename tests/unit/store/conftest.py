"""What really reaches the disk, and in which order: every fsync and every rename, as the kernel is asked for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What was done so far: `("fsync", NAME)` and `("replace", NAME)`; all of it is done as well."""
    done: list[tuple[str, str]] = []
    names: dict[int, str] = {}
    really_open, really_sync, really_replace = os.open, os.fsync, os.replace

    def opened(path, *arguments, **named):
        descriptor = really_open(path, *arguments, **named)
        names[descriptor] = Path(path).name
        return descriptor

    def sync(descriptor):
        really_sync(descriptor)
        done.append(("fsync", names[descriptor]))

    def rename(source, target):
        really_replace(source, target)
        done.append(("replace", Path(target).name))

    monkeypatch.setattr(os, "open", opened)
    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", rename)
    return done
