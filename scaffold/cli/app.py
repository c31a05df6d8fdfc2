"""The table of verbs. A verb's module is imported when it runs, so that `--help` stays as quick as an empty command."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Annotated, Any

import typer
import typer.core
import typer.main

from scaffold import __version__
from scaffold.cli import failures

VERBS = {
    "init": "Write a first topology, from an example or from questions.",
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
    "graph": "Draw the topology as Mermaid or Graphviz dot.",
    "inspect": "Say in words what a certificate, key, CRL or bundle holds.",
    "schema": "Print the JSON Schema of the language, for editors.",
}
"""Every verb with its line in the help. Each is the function `run` of the module of its name."""


class Verb(typer.core.TyperCommand):
    """A verb that says how a topology is named to whoever has named it as an argument."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        topologies = [word for word in args if word.endswith((".yaml", ".yml"))]
        try:
            return super().parse_args(ctx, args)
        except Exception as error:  # one of click's, which typer gives no name
            message = getattr(error, "message", "")
            if topologies and "unexpected extra argument" in message:
                ctx.fail(f"{message} A topology is named with -f: scaffold {ctx.info_name} -f {topologies[0]}")
            raise


class LazyVerbs(typer.core.TyperGroup):
    """A group of commands that knows its verbs by name and imports the one that is run."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in VERBS:
            return None
        if cmd_name not in self.commands:
            module = importlib.import_module(f"scaffold.cli.{cmd_name}")
            verb = typer.Typer(add_completion=False, rich_markup_mode=None)
            verb.command(name=cmd_name, help=VERBS[cmd_name], cls=Verb)(module.run)
            self.commands[cmd_name] = typer.main.get_command(verb)
        return self.commands[cmd_name]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in VERBS:
            from difflib import get_close_matches

            near = get_close_matches(args[0], VERBS)
            ctx.fail(f"no such verb {args[0]!r}." + (f" Did you mean {near[0]!r}?" if near else ""))
        return super().resolve_command(ctx, args)


app = typer.Typer(
    name="scaffold",
    cls=LazyVerbs,
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
    return failures.guard(lambda: typer.main.get_command(app).main(args=arguments, prog_name="scaffold"))
