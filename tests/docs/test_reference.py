"""The references of the language and of the built-in templates are what the schema and the templates say."""

from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_the_reference_is_up_to_date() -> None:
    tool = runpy.run_path(str(ROOT / "tools" / "language_reference.py"))
    assert (ROOT / "docs" / "topology.md").read_text("utf-8") == tool["page"](), "run tools/language_reference.py"


def test_the_page_of_built_in_templates_is_up_to_date() -> None:
    tool = runpy.run_path(str(ROOT / "tools" / "kinds_reference.py"))
    assert (ROOT / "docs" / "built-in-templates.md").read_text("utf-8") == tool["page"](), (
        "run tools/kinds_reference.py"
    )
