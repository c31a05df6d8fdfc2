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
    "rename": "Give a server or client another name, with all that was made for it.",
    "validate": "Check the topology alone; read and write nothing else.",
    "plan": "Show what apply would do, and why.",
    "apply": "Make every key, certificate and project as the topology says.",
    "resolve": "Decide on a conflict: what you merged, your text, or the template's.",
    "verify": "Prove by real handshakes who gets in and who does not.",
    "up": "Run every server of the topology until interrupted.",
    "call": "Make one call: a client to a server.",
    "publish": "Serve CRLs, OCSP and CA certificates, and re-sign what is due.",
    "status": "Show every certificate and its days left.",
    "renew": "Give certificates later dates: those that are due, or those that are named.",
    "revoke": "Revoke a certificate, refresh every CRL, and replace it.",
    "templates": "List, show, start and check templates.",
    "explain": "Tell a handshake step by step: who checks what, by which line, and who refuses.",
    "report": "Print the inventory: who may call whom, until when, and what was revoked.",
    "graph": "Draw the topology: a page, an SVG, Mermaid or Graphviz dot.",
    "inspect": "Say in words what a certificate, key, CRL or bundle holds.",
    "trust": "Have this machine's programs trust a root, and undo it: system, browsers, Java.",
    "doctor": "Try what the templates of this topology need, and say how to install the rest.",
    "faults": "List what can be wrong with a certificate on purpose, and who notices.",
    "completion": "Print the script with which bash, zsh or fish completes verbs and addresses.",
    "schema": "Print the JSON Schema of the language, for editors.",
}
"""Every verb with its line in the help. Each is the function `run` of the module of its name."""


class Verbs(LazyVerbs):
    """All of them."""

    package = "scaffold.cli"
    verbs = VERBS


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


@app.callback(help="Mutual TLS from one file: a topology says what should be, plan what differs, apply makes it so.")
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
