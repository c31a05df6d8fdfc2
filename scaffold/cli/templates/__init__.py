"""`scaffold templates`: the templates, what each can enforce, a new one, and the contract of one tried."""

from __future__ import annotations

from scaffold.cli.lazy_verbs import LazyVerbs, group_of


class TemplateVerbs(LazyVerbs):
    """What is done with templates."""

    package = "scaffold.cli.templates"
    verbs = {  # noqa: RUF012 - ClassVar by its base
        "list": "List the built-in templates: role, requirements, description.",
        "show": "Show what a template declares: variables, capabilities, owners of its files.",
        "new": "Write a template to start from, which passes its check.",
        "check": "Check a template against its whole contract, on its real server.",
    }


group = group_of(
    TemplateVerbs,
    name="templates",
    does="List, show, start and check templates: servers and clients that scaffold renders.",
    usage="VERB [OPTIONS]",
    example="A template of your own: scaffold templates new mine, then scaffold templates check mine",
)
