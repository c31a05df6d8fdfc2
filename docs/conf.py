"""How Sphinx makes the site of these pages: `make docs`. Each page reads as well where it stands, as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pygments.lexers.special import TextLexer

import scaffold

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "scaffold"
author = "the scaffold contributors"
version = release = scaffold.__version__

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
# Links from page to page name a heading as they do in the Markdown of a repository.
myst_heading_anchors = 3
exclude_patterns = ["build"]
nitpicky = True

html_theme = "furo"
html_title = "scaffold"
html_copy_source = False
html_show_copyright = False
pygments_style = "friendly"
pygments_dark_style = "monokai"


def setup(app: Sphinx) -> None:
    """Show what Pygments has no lexer for as it is written."""
    for name in ("mermaid", "haproxy"):
        app.add_lexer(name, TextLexer)
