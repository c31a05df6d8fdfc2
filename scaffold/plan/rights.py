"""Rights and owners of what holds secrets, folders as well as files, against those that apply gives them.

Where the keys are away, as in a clone, there are no secrets, and nothing is said of rights.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from scaffold.plan.reasons import Reason, ReasonCode
from scaffold.store.layout import RECORDS
from scaffold.store.observation import Observation, SeenRights
from scaffold.store.rights import USUAL, Rights
from scaffold.topology.notes import Note

_OF_EVERYBODY = 0o002


def of_folder(path: str, observed: Observation, rights: Rights = USUAL) -> Iterator[tuple[str, Reason]]:
    """Why a folder of secrets is open to others. The rights of another user's are not ours to give: see `notes`."""
    seen = observed.rights(path) if not observed.keys_away else None
    if seen is not None and _is_kept(seen, rights) and seen.mode & 0o777 != rights.secret_folder:
        found, wanted = f"{seen.mode:04o}", f"{rights.secret_folder:04o}"
        yield path, Reason(ReasonCode.RIGHTS_OF_FOLDER, path, found=found, wanted=wanted)


def _is_kept(seen: SeenRights, rights: Rights) -> bool:
    """Whether its rights are ours to give: of what is ours, or was given away by us."""
    return seen.ours or (seen.owner == rights.owner and rights.may_be_given())


def of_files(paths: Iterable[str], observed: Observation, rights: Rights = USUAL) -> Iterator[tuple[str, Reason]]:
    """The files with a secret that others may read, and why."""
    for path in paths:
        seen = observed.rights(path)
        if seen is not None and _is_kept(seen, rights) and seen.mode != rights.secret_file:
            found, wanted = f"{seen.mode:04o}", f"{rights.secret_file:04o}"
            yield path, Reason(ReasonCode.RIGHTS_OF_FILE, path, found=found, wanted=wanted)


def notes(
    folders: Iterable[str], secrets: Iterable[str], observed: Observation, given: Mapping[str, int | None]
) -> Iterator[Note]:
    """Folders that anybody may write to, and secrets of another user than the one who looks.

    `given` are the owners, by the folder of a server or client, to whom what is below it is given on purpose.
    """
    if observed.keys_away:
        return
    others = []
    yield from _of_the_state(observed)
    open_to_all = frozenset(folders)
    for path in dict.fromkeys((*folders, *secrets)):
        seen = observed.rights(path)
        if seen is None:
            continue
        where = path or str(observed.layout.out)
        if seen.mode & _OF_EVERYBODY and path in open_to_all:
            said = (
                f"{where} is writable for every user, who can then change which programs run and which CAs are trusted"
            )
            yield Note(None, f"{said}: chmod o-w {where}")
        if not seen.ours and seen.owner != given.get("/".join(path.split("/", 2)[:2])):
            others.append((where, seen.owner))
    if others:
        more = f" (and {len(others) - 1} more like it)" if len(others) > 1 else ""
        said = f"{others[0][0]}{more} belongs to the user {others[0][1]}, who can read and replace it"
        yield Note(None, f"{said}: chown it, or run scaffold as that user")


def _of_the_state(observed: Observation) -> Iterator[Note]:
    """The records, if anybody may write to them: what they say was revoked, issued and rendered is believed."""
    below = (f"{RECORDS}/{name}" for name in observed.names(RECORDS))
    found = [
        path for path in (RECORDS, *below) if (seen := observed.rights(path)) is not None and seen.mode & _OF_EVERYBODY
    ]
    if found:
        more = f" (and {len(found) - 1} more like it)" if len(found) > 1 else ""
        said = f"{found[0]}{more} is writable for every user, who can then change which certificates count as revoked"
        yield Note(None, f"{said}: chmod -R o-w {observed.layout.at(RECORDS)}")
