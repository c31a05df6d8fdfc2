"""`scaffold schema`: the JSON Schema of the language."""

from __future__ import annotations

import json

import typer

from scaffold.cli.options import DEFAULT_FILE, Unused, UnusedFile


def run(file: UnusedFile = DEFAULT_FILE, out: Unused = None) -> None:
    """Print the schema; `file` and `out` are accepted, as on every verb, and have no part in it."""
    from scaffold.topology.schema import json_schema

    typer.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))
