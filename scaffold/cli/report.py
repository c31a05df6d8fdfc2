"""`scaffold report`: the inventory for who has to answer for it, as text, JSON or one page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from scaffold.cli.clock import now
from scaffold.cli.options import DEFAULT_FILE, File, Json, Out

if TYPE_CHECKING:
    from scaffold.inventory.model import Inventory

_MARK: Final = b'<meta name="generator" content="scaffold report">'
"""By which a page is known that this verb wrote."""


def run(
    file: File = DEFAULT_FILE,
    out: Out = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="PAGE", help="Write one self-contained page; - is standard output."),
    ] = None,
    json: Json = False,
) -> None:
    """Print the inventory, or write the page; nothing is started, and nothing else is written."""
    if json and html is not None and str(html) == "-":
        raise typer.BadParameter("only one of the two can go to standard output", param_hint="--html")
    inventory = inventory_of(file, out)
    if html is not None:
        _write_page(inventory, html)
    if json:
        from scaffold.view.report_json import report_json

        typer.echo(report_json(inventory))
    elif html is None:
        from scaffold.view.report import report_lines
        from scaffold.view.terminal import columns, show

        show(report_lines(inventory, columns()))


def inventory_of(file: Path, out: Path | None) -> Inventory:
    """What there is now of the topology in `file`. Raises what a plan raises."""
    from scaffold.cli.project import open_project
    from scaffold.inventory.take import take
    from scaffold.plan.make import look, plan_as_it_stands
    from scaffold.verify import last_run

    project, moment = open_project(file, out), now()
    planned = plan_as_it_stands(look(project.topology, project.kinds, project.layout, moment))
    return take(planned, last_run.load(project.layout), moment)


def _write_page(inventory: Inventory, page: Path) -> None:
    from scaffold.cli.documents import write_document
    from scaffold.view.report_page import report_page

    text = report_page(inventory)
    if str(page) == "-":
        typer.echo(text, nl=False)
        return
    write_document(page, text.encode(), _MARK, "--html")
    typer.echo(f"wrote {page}", err=True)
