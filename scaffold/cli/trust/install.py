"""`scaffold trust install`: the machine's programs are to trust a root; shown, asked about, and done store by store."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from scaffold.cli import failures
from scaffold.cli.clock import now
from scaffold.cli.options import DEFAULT_FILE, File, Out
from scaffold.cli.trust.options import Root, Stores, as_root, confirm, opened, stores

if TYPE_CHECKING:
    from scaffold.cli.trust.options import Opened
    from scaffold.trusting.model import Anchor


def run(
    root: Root = None,
    store: Stores = None,
    file: File = DEFAULT_FILE,
    out: Out = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Show what the root may sign for and where it would be added, ask, and add it; exit with 1 where a store stays."""
    from scaffold.trusting import changes
    from scaffold.view import trust as view
    from scaffold.view.terminal import columns, plain, show

    project = opened(file, out)
    anchors = _wanted(project, root)
    seen = changes.look(stores(store))
    to_do, left_out = changes.installations(anchors, seen)
    kinds = {one.store.kind for one in seen}
    for anchor in anchors:
        show(view.root_lines(project.topology, anchor, project.key_of(anchor), kinds, columns()))
    show(view.installation_lines(anchors, seen, to_do))
    show(view.left_out_lines(left_out, as_root("install", file, out, root), columns()), sys.stderr)
    if to_do:
        places = f"{len(to_do)} store{'s' if len(to_do) > 1 else ''}"
        confirm("Trust it there?", f"have {places} trust {', '.join(str(one.address) for one in anchors)}", yes=yes)
    failed = changes.each(to_do, lambda change: tuple(changes.install(change)), lambda change: change.store)
    show(view.failed_lines(failed, columns()), sys.stderr)
    done = len(to_do) - len(failed)
    if done:
        show([plain(f"Installed in {done} of {len(seen)} stores. Undo it with: scaffold trust uninstall")])
    elif not left_out and not failed:
        show([plain("Nothing to do: it is trusted there.")])
    if left_out or failed:
        raise typer.Exit(failures.ERROR)


def _wanted(project: Opened, text: str | None) -> tuple[Anchor, ...]:
    """The root that is named, or those that the topology makes. Raises TrustError where one of them does not do."""
    from scaffold.errors import TrustError
    from scaffold.trusting import roots

    topology = project.topology
    cas = (project.ca(text),) if text is not None else roots.own_roots(topology)
    if not cas:
        named = ", ".join(str(ca.address) for ca in roots.brought_roots(topology))
        hint = f"to trust a root that was made elsewhere, name it: {named}" if named else None
        raise TrustError(f"{topology.name} makes no root of its own", hint=hint)
    anchors = tuple(roots.anchor(topology, project.layout, ca) for ca in cas)
    for anchor in anchors:
        roots.check_dates(anchor, now())
    return anchors
