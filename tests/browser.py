"""Real Chromium for tests of pages: the distribution's own, without network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.requirements import require, which

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip

PATIENCE = 60_000
"""Milliseconds that a page may take on a loaded machine."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """One browser for however many pages. Skips where there is none."""
    from playwright.sync_api import sync_playwright

    program = which("chromium")
    require(program, "chromium on PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(_ARGUMENTS), timeout=PATIENCE)
        try:
            yield browser
        finally:
            browser.close()
