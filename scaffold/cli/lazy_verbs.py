"""Groups of verbs that import the one that is run, so that `--help` stays as quick as an empty command."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import typer
import typer.core
import typer.main


class Verb(typer.core.TyperCommand):
    """A verb whose help ends with its manual; it says how a topology is named to whoever names it as an argument."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        from scaffold.cli.manual import ADDRESS, MANUALS

        manual = MANUALS[ctx.command_path.partition(" ")[2]]
        with formatter.section("Example"):
            for line in manual.printed.splitlines():
                formatter.write(f"{'':{formatter.current_indent}}{line}\n")
        texts = {"Note": manual.note, "ADDRESS": ADDRESS if manual.addresses else None}
        for heading, text in texts.items():
            if text is not None:
                with formatter.section(heading):
                    formatter.write_text(text)
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in manual.exit_codes.items()])

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        topologies = [word for word in args if word.endswith((".yaml", ".yml"))]
        try:
            return super().parse_args(ctx, args)
        except Exception as error:  # one of click's, which typer gives no name
            message = getattr(error, "message", "")
            if topologies and "unexpected extra argument" in message:
                ctx.fail(f"{message} A topology is named with -f: scaffold {ctx.info_name} -f {topologies[0]}")
            raise


def group_of(verbs: type[LazyVerbs], *, name: str, does: str, usage: str, example: str) -> typer.Typer:
    """A verb that is itself a group of `verbs`: `usage` follows its name, `example` at the end of its help."""
    group = typer.Typer(
        name=name,
        cls=verbs,
        help=does,
        add_completion=False,
        rich_markup_mode=None,
        no_args_is_help=True,
        subcommand_metavar=usage,
        epilog=example,
    )
    group.callback()(_nothing)
    return group


def _nothing() -> None:
    """What typer makes a group of."""


@dataclass(frozen=True, slots=True)
class OfferedVerb:
    """What is read of a completion: typer has no type for it that each of its versions knows by one name."""

    value: str
    help: str


class LazyVerbs(typer.core.TyperGroup):
    """A group of commands that knows its verbs by name.

    Each is the function `run` of the module of its name in `package`, or that module's `group` of further verbs.
    """

    package: ClassVar[str]
    verbs: ClassVar[Mapping[str, str]]
    """Every verb with its line in the help."""
    called_elsewhere: ClassVar[Mapping[str, str]] = {}
    """The verb that does what another word does in other tools."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.verbs)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.verbs:
            return None
        if cmd_name not in self.commands:
            module = importlib.import_module(f"{self.package}.{cmd_name}")
            verb = getattr(module, "group", None)
            if verb is None:
                verb = typer.Typer(add_completion=False, rich_markup_mode=None)
                verb.command(name=cmd_name, help=self.verbs[cmd_name], cls=Verb)(module.run)
            self.commands[cmd_name] = typer.main.get_command(verb)
        return self.commands[cmd_name]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(self.verbs.items()))

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """What a shell offers: each verb by its line in the help, so that none has to be imported; else options."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [OfferedVerb(verb, does) for verb, does in self.verbs.items() if verb.startswith(incomplete)]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in self.verbs:
            from difflib import get_close_matches

            near = get_close_matches(args[0], [*self.verbs, *self.called_elsewhere], n=1)
            meant = [self.called_elsewhere.get(word, word) for word in near]
            ctx.fail(f"no such verb {args[0]!r}." + (f" Did you mean {meant[0]!r}?" if meant else ""))
        return super().resolve_command(ctx, args)
