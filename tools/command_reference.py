"""Writes docs/commands.md: the prose here, the tables from the manuals of the verbs.

python tools/command_reference.py            # a test fails where the file is not what this writes
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap

from scaffold.cli import add, templates, trust
from scaffold.cli.app import VERBS as ALONE
from scaffold.cli.manual import ADDRESS, EVERYWHERE, MANUALS
from scaffold.view.plan import SYMBOLS

PAGE = Path(__file__).parent.parent / "docs" / "commands.md"

_GROUPS = {"add": add.AddVerbs.verbs, "templates": templates.TemplateVerbs.verbs, "trust": trust.TrustVerbs.verbs}
_ALL = {**ALONE, **{f"{group} {verb}": does for group, verbs in _GROUPS.items() for verb, does in verbs.items()}}
VERBS = {verb: _ALL[verb] for verb in MANUALS}

OPENING = """\
# Commands

<!-- Written by tools/command_reference.py from what `--help` of the verbs says; change it there. -->

For looking up verbs, exit codes, symbols and the fields of `--json`. `scaffold VERB --help` also shows all options of a
verb.

Most verbs take `-f FILE`, the topology (default: `topology.yaml` in this folder or the nearest folder above), and
`--out DIR`, the output folder (default: the topology's name, beside FILE).
"""


def page() -> str:
    """The whole page."""
    address = "\n".join(wrap(f"An **ADDRESS** is {ADDRESS}", 120))
    parts = [
        OPENING,
        address,
        "\n## Verbs\n",
        *_verbs(),
        "\n## Exit codes\n",
        *_exit_codes(),
        "\n## Symbols of a plan\n",
    ]
    parts += [*_symbols(), "\n## JSON\n", *_json()]
    return "\n".join(parts) + "\n"


def _verbs() -> Iterator[str]:
    yield "| verb | what it does | example |\n|---|---|---|"
    for verb, does in VERBS.items():
        examples = "<br>".join(f"`{command}`" for command in MANUALS[verb].commands)
        yield f"| `{verb}` | {does} | {examples} |"
    yield "\nNotes:\n"
    for verb in VERBS:
        if (note := MANUALS[verb].note) is not None:
            yield f"- `{verb}`: {note}"


def _exit_codes() -> Iterator[str]:
    yield "| exit code | of | meaning |\n|---|---|---|"
    for code, meaning in EVERYWHERE.items():
        yield f"| {code} | every verb | {meaning} |"
    by_meaning: dict[tuple[int, str], list[str]] = {}
    for verb in VERBS:
        for code, meaning in MANUALS[verb].exits.items():
            by_meaning.setdefault((code, meaning), []).append(f"`{verb}`")
    for (code, meaning), verbs in sorted(by_meaning.items()):
        yield f"| {code} | {', '.join(verbs)} | {meaning} |"
    yield "\nAfter Ctrl-C the exit code is 130; if the output is closed (`scaffold plan | head`), 141."


def _symbols() -> Iterator[str]:
    yield "| symbol | action |\n|---|---|"
    for action, symbol in SYMBOLS.items():
        yield f"| `{symbol}` | {action.value} |"


def _json() -> Iterator[str]:
    yield "`--json` prints one object on standard output; errors are text on standard error. Fields may be added."
    alike: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for verb in VERBS:
        if MANUALS[verb].json:
            alike.setdefault(tuple(MANUALS[verb].json.items()), []).append(f"`{verb}`")
    for fields, verbs in alike.items():
        yield f"\n| of {', '.join(verbs)} | what it holds |\n|---|---|"
        for field, holds in fields:
            yield f"| `{field}` | {holds} |"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
