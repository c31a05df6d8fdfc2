"""What reaches the disk, and in which order."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What was done so far: `("fsync", NAME)` and `("replace", NAME)`; all of it is done as well."""
    done: list[tuple[str, str]] = []
    really_sync, really_replace = os.fsync, os.replace

    def sync(descriptor):
        really_sync(descriptor)
        done.append(("fsync", Path(f"/proc/self/fd/{descriptor}").readlink().name))

    def rename(source, target):
        really_replace(source, target)
        done.append(("replace", Path(target).name))

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", rename)
    return done
