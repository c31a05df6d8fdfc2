"""Finds kinds: built-in template folders, folders at a path, and cookiecutter repositories (git or zip)."""

from __future__ import annotations

import difflib
import fnmatch
import functools
import hashlib
import json
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from scaffold.errors import KindError
from scaffold.kinds.capabilities import HTTP, ROLES, Capabilities, Owners, parse
from scaffold.kinds.fetching import copied, is_ones_own, is_repository, path_of
from scaffold.settings.values import ClientSettings, ServerSettings
from scaffold.topology.inputs import read_at_most

if TYPE_CHECKING:
    from scaffold.kinds.places import Place

_RESERVED = frozenset(field.name for value in (ServerSettings, ClientSettings) for field in fields(value)) | {"vars"}


@dataclass(frozen=True, slots=True)
class Kind:
    """A template folder.

    `project` is the name of its project folder, a template itself. `defaults` are the variables that a person may set,
    `private` cookiecutter's own (`_extensions` and the like). `digest` is the hex SHA-256 of all that rendering may
    read, every shared part included. `version` is that of somebody else's program, as `--trust` has it: the commit, or
    `sha256:` and the digest of all files; None of what is built in, or lies in the topology's own folder.
    """

    name: str
    role: str
    folder: Path
    project: str
    defaults: Mapping[str, object]
    private: Mapping[str, object]
    capabilities: Capabilities
    digest: str
    builtin: bool
    version: str | None = None
    place: Place | None = field(default=None, compare=False, repr=False)
    """Where the copy lies: it is kept for as long as this value is."""

    @property
    def prompts(self) -> Mapping[str, str]:
        """What its variables mean, as far as it says so: cookiecutter's `__prompts__`."""
        said = self.private.get("__prompts__")
        if not isinstance(said, dict):
            return {}
        texts = {name: text.get("__prompt__") if isinstance(text, dict) else text for name, text in said.items()}
        return {name: text for name, text in texts.items() if isinstance(text, str)}

    @property
    def would_run(self) -> tuple[str, ...]:
        """What is run where it is used, in words. Of its hooks none is."""
        listed = cast("list[str]", self.private.get("_extensions", []))
        extensions = [f"the Jinja extension{'s' * (len(listed) > 1)} {', '.join(listed)}"] if listed else []
        start = ("its run.sh",) if self.capabilities.runs else ()
        return (*extensions, "the Jinja in its files", *start, "the commands that its cookiecutter.json names")

    @property
    def conversation(self) -> Path | None:
        """The program with which verify speaks to a server that speaks no HTTP."""
        program = self.capabilities.conversation
        return self.folder / program if program is not None else None


def templates_folder() -> Path:
    """Where the built-in kinds lie: beside the package in an installed wheel, at the top of a source tree."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_templates"
    return installed if installed.is_dir() else package.parent / "templates"


def shared_folder() -> Path:
    """The parts that several kinds have in common: `{% include "shared/NAME" %}` in any template, wherever it lies."""
    return templates_folder() / "shared"


@functools.cache
def builtin_names(role: str) -> tuple[str, ...]:
    """The names of the built-in kinds of a role (`server` or `client`), sorted."""
    folder = templates_folder() / f"{role}s"
    return tuple(sorted(entry.parent.name for entry in folder.glob("*/cookiecutter.json")))


def builtin_speaking(protocol: str, role: str) -> tuple[str, ...]:
    """The names of the built-in kinds of a role that speak a protocol: those that have something to run."""
    return tuple(
        kind.name for kind in builtins(role) if kind.capabilities.runs and kind.capabilities.protocol == protocol
    )


def protocol_of(server: str) -> str:
    """What a built-in kind of server speaks; of what is no built-in kind it is taken that it speaks HTTP."""
    if server not in builtin_names("server"):
        return HTTP
    return builtin(server, "server").capabilities.protocol


@functools.cache
def suggested(role: str, protocol: str = HTTP) -> str:
    """The built-in kind of a role that is named where one is to be chosen: the first of `to_choose_from`."""
    return to_choose_from(role, protocol)[0].name


def to_choose_from(role: str, protocol: str = HTTP) -> tuple[Kind, ...]:
    """The built-in kinds of a role that speak `protocol`: first the one that says of itself that it is suggested.

    Those that must be told of doors are not among them.
    """
    speaking = (builtin(name, role) for name in builtin_speaking(protocol, role))
    kinds = (kind for kind in speaking if not kind.capabilities.has_doors)
    return tuple(sorted(kinds, key=lambda kind: not kind.capabilities.suggested))


def builtin(name: str, role: str) -> Kind:
    """A built-in template. Raises KindError where there is none of that role."""
    return find(name, role, templates_folder())


def builtins(role: str) -> tuple[Kind, ...]:
    """All built-in templates of a role, by name."""
    return tuple(builtin(name, role) for name in builtin_names(role))


def starter() -> Kind:
    """The template that is there to be copied: a whole server in few lines."""
    return load(templates_folder() / "starter", "starter", builtin=True)


@functools.cache
def find(template: str, role: str, base: Path) -> Kind:
    """The kind that a topology in the folder `base` calls `template`.

    Raises KindError where there is none, where it is malformed, or where it is made for the other role.
    """
    if is_repository(template) or "/" in template or template.startswith("."):
        kind = _from_outside(template, base)
    elif template in builtin_names(role):
        kind = load(templates_folder() / f"{role}s" / template, template, builtin=True)
    else:
        raise _unknown(template, role)
    if kind.role != role:
        raise KindError(f'template "{template}" is for {kind.role}s, not for {role}s')
    return kind


def _from_outside(template: str, base: Path) -> Kind:
    """A template that is not built in. Somebody else's is copied: nobody changes it once it has been looked at."""
    is_own = is_ones_own(template, base)
    if not is_repository(template):
        at_hand = load(path_of(template, base), template)  # what is no template is not copied
        if is_own:
            return at_hand
    kind = _of_a_copy(template, base)
    return replace(kind, version=None) if is_own else kind


def _of_a_copy(template: str, base: Path) -> Kind:
    from scaffold.kinds.places import Place

    place = Place()
    copy, version = copied(template, base, place.path)
    return replace(load(copy, template), version=version, place=place)


def named(template: str, base: Path, role: str | None = None) -> tuple[Kind, ...]:
    """The templates that a person means: built-in ones by name, of `role` or of both, or one of a folder or repository.

    A folder needs no `./` here. Raises KindError.
    """
    roles = (role,) if role is not None else ROLES
    if builtin := tuple(find(template, each, base) for each in roles if template in builtin_names(each)):
        return builtin
    folder = path_of(template, base)
    if is_repository(template):
        kind = _of_a_copy(template, base)
    elif "/" in template or folder.is_dir():
        kind = load(folder, template)
    else:
        raise _unknown(template, role or ROLES[0])
    if kind.role not in roles:
        raise KindError(f'template "{template}" is for {kind.role}s, not for {role}s')
    return (kind,)


def one_named(template: str, base: Path, role: str | None = None) -> Kind:
    """The one template that a person means. Raises KindError where it is a server's and a client's name."""
    kinds = named(template, base, role)
    if len(kinds) > 1:
        raise KindError(
            f'"{template}" is a template for servers and one for clients',
            hint="say --role server or --role client",
        )
    return kinds[0]


def copy(kind: Kind, folder: Path) -> None:
    """Copies a template into `folder`, which is made. Raises KindError where anything is there, or cannot be."""
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise KindError(f"{folder} exists already, and is not empty", hint="name a folder that does not exist yet")
        shutil.copytree(kind.folder, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    except (OSError, shutil.Error) as error:
        raise KindError(f"{folder} cannot be written: {error}") from error


def load(folder: Path, name: str, *, builtin: bool = False) -> Kind:
    """The kind in `folder`. Raises KindError where it is missing or malformed."""
    if not folder.is_dir():
        raise KindError(f'template "{name}" is not a folder: {folder}', hint="a template is a folder, such as ./mine")
    values = _read_cookiecutter_json(folder, name)
    capabilities = parse(values.pop("_scaffold", None), f'template "{name}"')
    private = {key: value for key, value in values.items() if key.startswith("_")}
    _check_private(private, name)
    defaults = {key: value for key, value in values.items() if not key.startswith("_")}
    if clash := sorted(_RESERVED & defaults.keys()):
        raise KindError(
            f'template "{name}" has a variable "{clash[0]}"',
            hint="scaffold sets a variable of that name itself: choose another name",
        )
    project = _project_folder(folder, name)
    _check_owners(capabilities.owners, project, name)
    if capabilities.conversation is not None:
        _check_program(folder, capabilities.conversation, name)
    return Kind(
        name=name,
        role=capabilities.role,
        folder=folder,
        project=project.name,
        defaults=MappingProxyType(defaults),
        private=MappingProxyType(private),
        capabilities=capabilities,
        digest=_readable_digest(folder, project, name),
        builtin=builtin,
    )


def _readable_digest(folder: Path, project: Path, name: str) -> str:
    try:
        return _digest(folder, project)
    except OSError as error:
        hint = "give this user the right to read it"
        raise KindError(f'template "{name}": {error.filename} cannot be read: {error.strerror}', hint=hint) from error


def digest_now(kind: Kind) -> str | None:
    """The digest of what is there now; None where it cannot be read any more."""
    try:
        return _digest(kind.folder, kind.folder / kind.project)
    except (KindError, OSError):
        return None


def template_files(project: Path) -> Iterator[tuple[str, Path]]:
    """Every file below a project folder as relative POSIX path and place, sorted.

    Raises KindError for what is neither a file nor a folder (a symlink, a pipe), for a name that is no printable text,
    and for a file that is larger than a template's ever is.
    Without `__pycache__`: pip compiles every `.py` that it installs, and a template's is no part of it.
    """
    return ((name, path) for name, path, is_file in _entries(project) if is_file)


def _entries(project: Path) -> Iterator[tuple[str, Path, bool]]:
    """The folders as well, and whether each is a file."""
    if project.is_symlink():
        raise _symbolic_link(project)
    for path in sorted(project.rglob("*")):
        if "__pycache__" in path.parts:
            continue
        name, status = path.relative_to(project).as_posix(), path.lstat()
        if not name.isprintable():
            raise KindError(
                f"the template has a file name with characters that cannot be printed: {name!a}",
                hint="choose another name",
            )
        if stat.S_ISLNK(status.st_mode):
            raise _symbolic_link(path)
        if stat.S_ISREG(status.st_mode):
            if status.st_size > _MOST_BYTES:
                raise KindError(f"the template has a file of more than 16 MiB: {path}", hint="remove it")
        elif not stat.S_ISDIR(status.st_mode):
            raise KindError(f"the template has an entry that is neither a file nor a folder: {path}", hint="remove it")
        yield name, path, stat.S_ISREG(status.st_mode)


_MOST_BYTES = 16 * 1024 * 1024


def _symbolic_link(path: Path) -> KindError:
    return KindError(f"the template has a symbolic link: {path}", hint="replace the link by a copy of the file")


def own_parts(folder: Path) -> Path:
    """Where a template keeps what its files may include (cookiecutter's "templates inheritance"); it need not exist."""
    return folder / "templates"


def is_executable(path: Path) -> bool:
    """Whether its owner may run the file."""
    return bool(path.stat().st_mode & 0o100)


def _unknown(template: str, role: str) -> KindError:
    names = builtin_names(role)
    near = difflib.get_close_matches(template, names, n=1)
    other = "client" if role == "server" else "server"
    if near:
        hint = f'did you mean "{near[0]}"?'
    elif template in builtin_names(other):
        hint = f"{template} is a {other} template; for a {role} there are {', '.join(names)}"
    else:
        hint = f"there are {', '.join(names) or 'none built in'}; a folder of your own starts with ./"
    return KindError(f'no such {role} template "{template}"', hint=hint)


def _read_cookiecutter_json(folder: Path, name: str) -> dict[str, object]:
    file = folder / "cookiecutter.json"
    try:
        text = read_at_most(file, _MOST_BYTES + 1)
        if len(text) > _MOST_BYTES:
            raise KindError(f"{file} has more than 16 MiB", hint=_HOW_TO_DECLARE)
        values = json.loads(text.decode())
    except FileNotFoundError:
        raise KindError(f'template "{name}" has no {file}', hint=_HOW_TO_DECLARE) from None
    except (OSError, ValueError, RecursionError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise KindError(f"{file} cannot be read: {said}", hint=_HOW_TO_DECLARE) from error
    if not isinstance(values, dict):
        raise KindError(f"{file} must hold an object", hint=_HOW_TO_DECLARE)
    return values


_HOW_TO_DECLARE = "a template is a folder with a cookiecutter.json, in which `_scaffold` declares what it can do"

_SHAPES: Mapping[str, tuple[type, str]] = {
    "_extensions": (list, "a list of names"),
    "_copy_without_render": (list, "a list of patterns"),
    "_jinja2_env_vars": (dict, "an object"),
    "_new_lines": (str, "a text"),
}
"""What cookiecutter takes its own variables for, without looking at them first."""


def _check_private(private: Mapping[str, object], name: str) -> None:
    for key, (shape, words) in _SHAPES.items():
        value = private.get(key, shape())
        if not isinstance(value, shape) or (isinstance(value, list) and not all(isinstance(one, str) for one in value)):
            raise KindError(
                f'template "{name}": {key} in its cookiecutter.json must be {words}',
                hint="see the documentation of cookiecutter",
            )


def _project_folder(folder: Path, name: str) -> Path:
    """The one folder whose name is a template (cookiecutter's `find_template`)."""
    found = [entry for entry in folder.iterdir() if "cookiecutter" in entry.name and "{{" in entry.name]
    if len(found) != 1 or not found[0].is_dir() or found[0].is_symlink():
        raise KindError(f'template "{name}" must hold one project folder, named {{{{cookiecutter.name}}}}')
    return found[0]


def _check_owners(owners: Owners, project: Path, name: str) -> None:
    """Raises KindError for a pattern that names no file, for a file that has two owners, and for one in `tls/`."""
    if owners == Owners():
        return
    where = f'template "{name}": _scaffold.owners'
    files = [_without_jinja(path) for path, _ in template_files(project)]
    for pattern in (*owners.yours, *owners.merged):
        named = fnmatch.filter(files, pattern)
        if not named:
            near = difflib.get_close_matches(pattern, files, n=1)
            hint = f'did you mean "{near[0]}"?' if near else None
            raise KindError(f'{where} names "{pattern}", and the template has no such file', hint=hint)
        if inside := [path for path in named if path.startswith("tls/")]:
            raise KindError(
                f"{where} names {inside[0]}, and all of tls/ belongs to scaffold",
                hint=f'use a narrower pattern than "{pattern}"',
            )
    for path in files:
        if len([pattern for pattern in (*owners.yours, *owners.merged) if fnmatch.fnmatchcase(path, pattern)]) > 1:
            raise KindError(f"{where} names {path} twice", hint="a file has one owner, and is named once")


def _check_program(folder: Path, program: str, name: str) -> None:
    """Raises KindError where the program is not a file of the template that its owner may run."""
    path = folder / program
    if not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
        raise KindError(
            f'template "{name}": _scaffold.conversation names "{program}", and the template has no such file'
        )
    if not is_executable(path):
        raise KindError(f'template "{name}": {program} is not executable', hint=f"chmod +x {path}")


def _without_jinja(path: str) -> str:
    """The path of a file of a template, as it is where its conditions hold; a value in it becomes `x`."""
    return re.sub(r"\{\{.*?\}\}", "x", re.sub(r"\{%.*?%\}", "", path))


def _digest(folder: Path, project: Path) -> str:
    digest = hashlib.sha256()
    digest.update((folder / "cookiecutter.json").read_bytes())
    for each in (project, own_parts(folder), shared_folder()):
        for name, path, is_file in _entries(each):
            if not is_file:  # its name is rendered, though it be empty
                digest.update(f"\0{name}\0folder\0".encode())
                continue
            content = path.read_bytes()
            digest.update(f"\0{name}\0{is_executable(path)}\0{len(content)}\0".encode())
            digest.update(content)
        digest.update(b"\0\0")
    return digest.hexdigest()
