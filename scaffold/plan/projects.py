"""What a project is made of, and whose each file is: rules that plan and apply share."""

from __future__ import annotations

import enum

from scaffold.kinds.capabilities import Owner
from scaffold.kinds.render import Rendered
from scaffold.plan.desired import DesiredParty
from scaffold.plan.trust_files import Project, is_allow_list
from scaffold.plan.unknown import Unknown
from scaffold.store.projects import Record

EDITED = ".edited"
"""How the name ends under which a person's text of a file of scaffold's is kept."""


class Resolution(enum.Enum):
    """How a person ends the conflicts of a project."""

    MERGED = "merged"
    """What is in each FILE.merge is taken."""
    MINE = "mine"
    """The person's text stays."""
    THEIRS = "theirs"
    """The template's text is taken."""


def owner_of(one: DesiredParty, source: Project, path: str) -> Owner:
    """Whose the file at `path` is, which is relative to the output folder."""
    return source.kind.capabilities.owner_of(path.removeprefix(f"{one.paths.folder}/"))


def digests(one: DesiredParty, source: Project) -> dict[str, str | Unknown]:
    """SHA-256 of what `source` renders, by path in the output folder. Raises KindError."""
    return {f"{one.paths.folder}/{path}": rendered_digest(file) for path, file in source.render().items()}


def held_tls(one: DesiredParty, source: Project, record: Record) -> dict[str, str | Unknown]:
    """What goes on in `tls/` of a held project: its allow list without those who left, and what has not changed."""
    rendered = digests(one, source.letting_in(record.guard))
    return {
        path: sha256
        for path, sha256 in rendered.items()
        if one.paths.is_in_tls(path) and (is_allow_list(one, path) or sha256 == record.files.get(path))
    }


def rendered_digest(file: Rendered | Unknown) -> str | Unknown:
    """SHA-256 of a file as it is rendered."""
    return file if isinstance(file, Unknown) else file.sha256
