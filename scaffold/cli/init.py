"""`scaffold init`: a first topology, from an example, from questions, or from certificates that are there."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from scaffold.cli import completing, examples
from scaffold.cli.options import DEFAULT_FILE, NewFile, Out
from scaffold.errors import StoreError, TopologyError

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""A DNS label (RFC 1123 section 2.1), lower-case."""

FIRST_PORT = 8443


def _list_of_examples() -> str:
    from textwrap import fill

    wide = max(map(len, examples.names())) + 2
    return "\n".join(
        fill(f"{name:<{wide}}{sentence}", 80, subsequent_indent=" " * wide, break_on_hyphens=False)
        for name, sentence in examples.described().items()
    )


SCHEMA = "topology.schema.json"
"""What editors check a topology by: written beside it where its first line names it."""


def run(
    file: NewFile = DEFAULT_FILE,
    out: Out = None,
    example: Annotated[
        str | None,
        typer.Option(
            "--example",
            metavar="NAME",
            autocompletion=completing.examples,
            help=f"Start from an example: {', '.join(examples.names())}; `{examples.LIST}` says what each is.",
        ),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="DIR", help="Draft it from the certificates, keys and CRLs that are in DIR."),
    ] = None,
) -> None:
    """Write FILE where there is none yet."""
    if example == examples.LIST:
        typer.echo(_list_of_examples())
        return
    if file.exists() or file.is_symlink():
        raise StoreError(
            f"{file} is there already, and init overwrites nothing", hint="choose another place with -f FILE"
        )
    if example is not None and source is not None:
        raise TopologyError("--example and --from exclude each other", hint="leave one of them out")
    files: dict[Path, bytes] = {}
    if source is not None:
        text = _from_certificates(source, file)
    elif example is not None:
        text = _example(example)
        files = _files_of(example, file.parent, out or file.parent / example)
    elif sys.stdin.isatty():
        text = _from_answers(file)
    else:
        raise TopologyError(
            "there is no terminal to ask on",
            hint="`scaffold init --from DIR` drafts it from certificates, and `--example minimal` starts "
            f"from an example: there are {', '.join(examples.names())}",
        )
    _write(file, text)
    if SCHEMA in text:
        _write_schema(file.parent / SCHEMA)
    for place, content in files.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    where = "" if file == DEFAULT_FILE else f" -f {file}"
    if source is not None:
        typer.echo(f"{file} is written. Next: fill in `calls`, see to its comments, then scaffold plan{where}")
    else:
        typer.echo(f"{file} is written. Next: scaffold plan{where}, or scaffold up{where} to run it at once")


def _example(name: str) -> str:
    if name not in examples.names():
        from difflib import get_close_matches

        near = get_close_matches(name, examples.names(), n=1)
        raise TopologyError(
            f"there is no example {name!r}",
            hint=f"did you mean {near[0]}?" if near else f"`--example {examples.LIST}` says what each is",
        )
    return (examples.folder() / name / "topology.yaml").read_text("utf-8")


def _files_of(example: str, beside: Path, out: Path) -> dict[Path, bytes]:
    """A person's own code that goes with an example, by its place beside the topology or in the output folder `out`.

    Raises StoreError where something is there already.
    """
    places = {examples.folder() / example / "beside": beside, examples.folder() / example / "output": out}
    files = {
        place / file.relative_to(source): file.read_bytes()
        for source, place in places.items()
        for file in sorted(source.rglob("*"))
        if file.is_file() and "__pycache__" not in file.parts
    }
    for place in files:
        if place.exists() or place.is_symlink():
            raise StoreError(f"{place} is there already, and init overwrites nothing", hint="choose another place")
    return files


def _from_certificates(source: Path, file: Path) -> str:
    from scaffold.cli.clock import now
    from scaffold.kinds.catalogue import to_choose_from
    from scaffold.plan.draft import Choice, draft
    from scaffold.store.found import look
    from scaffold.view.terminal import one_line

    found = look(source)
    if not found.certificates:
        raise StoreError(
            f"there is no certificate in {source}",
            hint="name the folder that holds them; folders in it are searched too",
        )
    choice = Choice(_name_of_folder(file), to_choose_from("server"), to_choose_from("client"))
    drafted = draft(found, file.parent, choice, now())
    for note in drafted.notes:
        typer.echo(f"note: {one_line(note)}", err=True)
    return drafted.text


def _name_of_folder(file: Path) -> str:
    """What the topology in FILE is called, unless somebody says otherwise."""
    name = re.sub(r"[^a-z0-9]+", "-", file.absolute().parent.name.lower()).strip("-")
    return name[:63].strip("-") or "services"


def _from_answers(file: Path) -> str:
    from scaffold.kinds.catalogue import builtin_names, protocol_of, suggested

    typer.echo("A few questions; the answer in brackets is taken when you press Enter.")
    name = _ask_labels("What is the topology called", _name_of_folder(file), one=True)[0]
    servers = _ask_labels("Which servers are there (names, separated by commas)", "api")
    template = _ask_template(f"Which template do the servers use: {' or '.join(builtin_names('server'))}", file.parent)
    clients = _ask_labels("Which clients call them", "cli")
    return _topology(name, servers, clients, {"server": template, "client": suggested("client", protocol_of(template))})


def _ask_template(question: str, base: Path) -> str:
    """A server template that is there; one of their own, too, by its path from `base`."""
    from scaffold.errors import KindError
    from scaffold.kinds.catalogue import find, suggested

    while True:
        answer: str = typer.prompt(question, default=suggested("server"), type=str).strip()
        try:
            return find(answer, "server", base).name
        except KindError as error:
            typer.echo(f"  {error.message}" + (f": {error.hint}" if error.hint else ""))


def _ask_labels(question: str, default: str, *, one: bool = False) -> list[str]:
    while True:
        answers = [
            part.strip() for part in typer.prompt(question, default=default, type=str).split(",") if part.strip()
        ]
        bad = [answer for answer in answers if not LABEL.fullmatch(answer)]
        if answers and not bad and len(set(answers)) == len(answers) and (not one or len(answers) == 1):
            return answers
        typer.echo("  A name is made of lower-case letters, digits and hyphens, and each is given once.")


def _topology(name: str, servers: list[str], clients: list[str], templates: Mapping[str, str]) -> str:
    lines = [
        "# yaml-language-server: $schema=topology.schema.json",
        "version: 1",
        f"name: {name}",
        "",
        "cas:",
        "  root: {}                          # self-signed, ten years",
        "  issuing: {issuer: root, path_length: 0}",
        "",
        "servers:",
    ]
    for port, server in enumerate(servers, FIRST_PORT):
        lines += [
            f"  {server}:",
            f"    template: {templates['server']}",
            f"    listen: 127.0.0.1:{port}",
            "    names: [localhost, 127.0.0.1]",
        ]
    lines += ["", "clients:"]
    for client in clients:
        lines += [f"  {client}:", f"    template: {templates['client']}", f"    calls: [{', '.join(servers)}]"]
    return "\n".join(lines) + "\n"


def _write_schema(file: Path) -> None:
    """What an editor checks topologies by; one that is there already stays."""
    from scaffold.topology.schema import schema_text

    text = schema_text()
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        return
    except OSError as error:
        hint = "`scaffold schema` prints it, for a folder that this user may write to"
        raise StoreError(f"{file} cannot be written: {error.strerror}", hint=hint) from error


def _write(file: Path, text: str) -> None:
    """Check the text as any topology is checked, then write it to a file that must be new."""
    from scaffold.topology.load import loads

    loads(text.encode(), file)
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileNotFoundError:
        raise StoreError(f"there is no folder {file.parent}", hint="make it first") from None
    except FileExistsError:
        raise StoreError(f"{file} is there already", hint="name another file with -f") from None
    except OSError as error:
        hint = "name a file with -f, in a folder that this user may write to"
        raise StoreError(f"{file} cannot be written: {error.strerror}", hint=hint) from error
