"""`scaffold schema`: the JSON Schema of the language."""

from __future__ import annotations

import typer

from scaffold.cli.options import DEFAULT_FILE, Unused, UnusedFile


def run(file: UnusedFile = DEFAULT_FILE, out: Unused = None) -> None:
    """Print the schema; `file` and `out` are accepted, as on every verb, and have no part in it."""
    from scaffold.topology.schema import schema_text

    typer.echo(schema_text(), nl=False)
