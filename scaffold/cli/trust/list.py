"""`scaffold trust list`: which of this machine's stores trust the topology's roots."""

from __future__ import annotations

import typer

from scaffold.cli.options import DEFAULT_FILE, File, Json, Out
from scaffold.cli.trust.options import Root, Stores, opened, stores


def run(
    root: Root = None, store: Stores = None, file: File = DEFAULT_FILE, out: Out = None, json: Json = False
) -> None:
    """Read every store; change none."""
    from scaffold.trusting import changes, roots
    from scaffold.view import trust as view
    from scaffold.view.terminal import columns, show

    project = opened(file, out)
    anchors, problems = project.at_hand()
    names: tuple[str, ...] = ()
    if root is not None:
        anchors, problems = (roots.anchor(project.topology, project.layout, project.ca(root)),), ()
        names = (anchors[0].address.name,)
    seen = changes.look(stores(store))
    former = changes.former(project.ours(seen, names), anchors, seen)
    if json:
        typer.echo(view.list_json(anchors, seen, former))
    else:
        show(view.list_lines(project.topology, anchors, problems, seen, former, columns()))
