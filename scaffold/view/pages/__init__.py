"""Pages that need nothing else: no network, no font, no script from anywhere. Jinja escapes whatever is put in."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from scaffold.view.terminal import one_line

_FOLDER = Path(__file__).parent


def page(template: str, context: Mapping[str, Any], *, styles: tuple[str, ...], scripts: tuple[str, ...] = ()) -> str:
    """The page with its styles and scripts in it. Its policy (CSP Level 3) allows these, by their digests, alone."""
    style, script = _joined(styles), _joined(scripts)
    policy = f"default-src 'none'; style-src {_digest(style)}; base-uri 'none'; form-action 'none'"
    if script:
        policy += f"; script-src {_digest(script)}"
    return (
        _environment()
        .get_template(template)
        .render(
            context,
            csp=Markup(policy),  # noqa: S704 (digests and keywords)
            style=Markup(style),  # noqa: S704 (files of this package)
            script=Markup(script),  # noqa: S704
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["code"] = _with_code
    return environment


def _with_code(text: str) -> Markup:
    """What is between backticks as code."""
    parts = one_line(text).split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else part for number, part in enumerate(parts)
    )


def _shown(value: object) -> object:
    """Text whose control characters are seen, and cannot turn what is read around."""
    return one_line(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _joined(files: tuple[str, ...]) -> str:
    return "".join(f"\n{(_FOLDER / file).read_text('utf-8')}" for file in files)


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
