"""`scaffold trust uninstall`: the roots of a topology leave the machine's stores, and nothing else does."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from scaffold.cli import failures
from scaffold.cli.options import DEFAULT_FILE, File, Out
from scaffold.cli.trust.options import Root, Stores, as_root, confirm, opened, stores


def run(
    root: Root = None,
    store: Stores = None,
    file: File = DEFAULT_FILE,
    out: Out = None,
    unknown: Annotated[
        bool,
        typer.Option(
            "--unknown",
            help="Also remove roots of this topology's name that were installed from another folder.",
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Show which entries would go, ask, and remove them; exit with 1 where a store stays as it is."""
    from scaffold.trusting import changes, system
    from scaffold.view import trust as view
    from scaffold.view.terminal import columns, plain, show

    project = opened(file, out)
    names = () if root is None else (project.ca_name(root),)
    seen = changes.look(stores(store))
    copied_from = changes.look(system.present()) if changes.has_copies(seen) else ()
    ours = project.ours(seen, names)
    to_do, left_out = changes.removals(
        (lambda entry: ours.has(entry) or ours.may_have(entry)) if unknown else ours.has, seen, copied_from
    )
    today, _ = project.at_hand()
    show(view.removal_lines(to_do, [anchor.fingerprint for anchor in today]))
    show(view.theirs_lines([one for one in today if not names or one.address.name in names], seen, columns()))
    if not unknown:
        show(view.unknown_lines(changes.former(ours, today, seen), project.topology.name, columns()))
    show(view.left_out_lines(left_out, as_root("uninstall", file, out, root), columns()), sys.stderr)
    if to_do:
        count = sum(len(change.entries) for change in to_do)
        entries = f"{count} entr{'ies' if count > 1 else 'y'}"
        confirm("Remove them?" if count > 1 else "Remove it?", f"remove {entries}", yes=yes)
    failed = changes.each(to_do, changes.uninstall, lambda change: change.store)
    show(view.failed_lines(failed, columns()), sys.stderr)
    done = len(to_do) - len(failed)
    if done:
        of_those = f"{done} of {len(to_do) + len(left_out)}" if failed or left_out else f"{done}"
        show([plain(f"Removed from {of_those} store{'s' if len(to_do) + len(left_out) > 1 else ''}.")])
    elif not left_out and not failed:
        show([plain(f"Nothing to do: no root that was installed for {project.topology.name} is there.")])
    if left_out or failed:
        raise typer.Exit(failures.ERROR)
