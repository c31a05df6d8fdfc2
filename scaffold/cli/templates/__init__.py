"""`scaffold templates`: the templates, what each can enforce, a new one, and the contract of one tried."""

from __future__ import annotations

import typer

from scaffold.cli.lazy_verbs import LazyVerbs


class TemplateVerbs(LazyVerbs):
    """What is done with templates."""

    package = "scaffold.cli.templates"
    verbs = {  # noqa: RUF012 - ClassVar by its base
        "list": "List the built-in templates: role, what they need, what they are.",
        "show": "Show what a template declares: variables, what it can do and cannot, whose its files are.",
        "new": "Write a template to start from, which passes its check.",
        "check": "Try the whole contract of a template on its real server.",
    }


group = typer.Typer(
    name="templates",
    cls=TemplateVerbs,
    help="List, show, start and check templates: servers and clients that scaffold renders.",
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    subcommand_metavar="VERB [OPTIONS]",
    epilog="A template of your own: scaffold templates new mine, then scaffold templates check mine",
)


@group.callback()
def _root() -> None:
    pass
