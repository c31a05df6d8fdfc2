"""`scaffold inspect`: any certificate, key, CRL, request, bundle or OCSP response in words."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scaffold.cli.clock import now
from scaffold.cli.options import DEFAULT_FILE, Unused, UnusedFile
from scaffold.errors import PkiError, StoreError, WrongPassword
from scaffold.topology.inputs import read_at_most

if TYPE_CHECKING:
    from scaffold.pki.inspect import Description

LARGEST = 64 * 1024 * 1024
"""Bytes; the largest public CRLs have some tens of megabytes."""


def run(
    what: Annotated[Path, typer.Argument(metavar="WHAT", help="The file; - is standard input.")],
    file: UnusedFile = DEFAULT_FILE,
    out: Unused = None,
    password_file: Annotated[
        Path | None,
        typer.Option("--password-file", metavar="PATH", help="A file whose first line is the password of the file."),
    ] = None,
) -> None:
    """Describe WHAT; the topology and the output folder have no part in it."""
    from scaffold.view.inspect import description_lines
    from scaffold.view.terminal import columns, show

    show(description_lines(_describe(what, _read(what), password_file), columns()))


def _describe(what: Path, data: bytes, password_file: Path | None) -> tuple[Description, ...]:
    from scaffold.pki.inspect import describe

    password = _read(password_file).split(b"\n", 1)[0].rstrip(b"\r") if password_file else None
    try:
        return describe(data, now(), password)
    except WrongPassword as error:
        if password is None and sys.stdin.isatty():
            return describe(data, now(), typer.prompt("Password", hide_input=True, type=str).encode())
        raise WrongPassword(f"{what}: {error}", hint=error.hint or "give its password with --password-file") from error
    except PkiError as error:
        hint = error.hint or "name a file of a PKI, such as servers/NAME/tls/cert.pem in the output folder"
        raise type(error)(f"{what} is {error}", hint=hint) from error


def _read(path: Path) -> bytes:
    try:
        if str(path) == "-":
            return sys.stdin.buffer.read(LARGEST)
        data = read_at_most(path, LARGEST + 1)
    except OSError as error:
        hint = "name a file that this user may read"
        if isinstance(error, FileNotFoundError):
            hint = f"paths are relative to this folder, {Path.cwd()}"
        raise StoreError(f"{path} cannot be read: {error.strerror}", hint=hint) from error
    if len(data) > LARGEST:
        raise StoreError(f"{path} is larger than 64 MiB")
    return data
