"""The table of verbs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
import typer.main

from scaffold import __version__
from scaffold.cli import failures
from scaffold.cli.completion import VARIABLE, offered
from scaffold.cli.lazy_verbs import LazyVerbs

VERBS = {
    "init": "Write a first topology, from an example, questions, or certificates.",
    "add": "Add a CA, server or client to the topology, and show the plan.",
    "remove": "Take a CA, server or client out of the topology, and show the plan.",
    "rename": "Rename a server or client, and everything that was made for it.",
    "validate": "Check the topology file; read and write nothing else.",
    "plan": "Show what apply would do, and why.",
    "apply": "Create or update every key, certificate and project.",
    "resolve": "Settle a conflict: keep your merge, your text, or the template's text.",
    "verify": "Prove by real handshakes which callers get in and which are refused.",
    "up": "Run every server of the topology until interrupted.",
    "call": "Make one call from a client to a server.",
    "publish": "Serve CRLs, OCSP and CA certificates, and sign them again when due.",
    "status": "Show every certificate and CRL, and how long each is still valid.",
    "renew": "Renew the certificates that are due, or those that you name.",
    "revoke": "Revoke a certificate, refresh every CRL, and replace it.",
    "templates": "List, show, start and check templates.",
    "explain": "Explain a handshake step by step: each check, and the line that makes it.",
    "report": "Print the inventory: allowed calls, expiry dates and revocations.",
    "graph": "Draw the topology: a page, an SVG, Mermaid or Graphviz dot.",
    "inspect": "Describe a certificate, key, CRL or bundle in words.",
    "trust": "Make this machine trust a root, or undo that: system, browsers, Java.",
    "doctor": "Check that the programs for this topology are installed; say how to get the rest.",
    "faults": "List the faults: certificates that are broken on purpose, for tests.",
    "completion": "Print the script that completes verbs and addresses in bash, zsh or fish.",
    "schema": "Print the JSON Schema of the topology language, for editors.",
}
"""Every verb with its line in the help. Each is the function `run` of the module of its name."""

CALLED_ELSEWHERE = {
    "check": "validate",
    "create": "init",
    "delete": "remove",
    "diff": "plan",
    "list": "status",
    "new": "init",
    "rotate": "renew",
    "run": "up",
    "serve": "up",
    "show": "status",
    "start": "up",
    "test": "verify",
}
"""Words of other tools, and the verb that does that here."""


class Verbs(LazyVerbs):
    """All of them."""

    package = "scaffold.cli"
    verbs = VERBS
    called_elsewhere = CALLED_ELSEWHERE


app = typer.Typer(
    name="scaffold",
    cls=Verbs,
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    subcommand_metavar="VERB [OPTIONS]",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with: scaffold init --example minimal",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"scaffold {__version__}")
        raise typer.Exit


@app.callback(help="Mutual TLS from one file, the topology: plan shows what differs from it, apply makes it so.")
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (default: that of the process) and return its exit code."""
    if os.environ.get(VARIABLE):
        return failures.guard(lambda: _complete(sys.argv[1:] if arguments is None else arguments))
    return failures.guard(lambda: typer.main.get_command(app).main(args=arguments, prog_name="scaffold"))


def _complete(words: Sequence[str]) -> None:
    """Tell a shell what the last of `words` may become."""
    for line in offered(typer.main.get_command(app), words):
        typer.echo(line)
    raise SystemExit
