"""Finds the cookiecutter template of an app, and says what is in it. Nothing of it is run here."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scaffold.errors import KindError
from scaffold.kinds.catalogue import fetch, is_repository, is_zip
from scaffold.topology.inputs import read_at_most
from scaffold.topology.messages import nearest
from scaffold.topology.model import App

_DECLARATION: Final = "cookiecutter.json"
_MOST_BYTES: Final = 16 * 1024 * 1024
_NO_PART: Final = frozenset({".git", ".hg", "__pycache__"})
"""What is no part of a template: no copy has it, and so nothing is rendered that has no part in the digest."""
_HOOKS: Final = re.compile(r"(pre_prompt|pre_gen_project|post_gen_project)(\.\w+)?")
_A_TEMPLATE: Final = "a template is a folder, zip file or repository with a cookiecutter.json: ./path or gh:owner/name"


@dataclass(frozen=True, slots=True)
class Fetched:
    """A template as it is at hand: a copy, which nobody else changes.

    `root` is the whole of it, `folder` what holds its cookiecutter.json. `version` is the commit of a repository, else
    `sha256:` and the digest of all files.
    """

    root: Path
    folder: Path
    version: str

    @property
    def _may_be_rendered(self) -> Path:
        """The folder below which every template lies that may be meant: one that chooses among others may name any."""
        return self.root if {"template", "templates"} & declared(self.folder).keys() else self.folder

    @property
    def would_run(self) -> tuple[str, ...]:
        """What rendering it would run, in words."""
        hooks: list[str] = []
        extensions: list[str] = []
        above = self._may_be_rendered
        for declaration in sorted(above.rglob(_DECLARATION)):
            folder = declaration.parent
            names = sorted(one.name for one in folder.glob("hooks/*") if _HOOKS.fullmatch(one.name))
            hooks += [(folder / "hooks" / name).relative_to(above).as_posix() for name in names]
            listed = declared(folder).get("_extensions")
            extensions += map(str, listed) if isinstance(listed, list) else ()
        found = []
        if hooks:
            found.append(f"the hook{'s' * (len(hooks) > 1)} {', '.join(hooks)}")
        if extensions:
            found.append(f"the Jinja extension{'s' * (len(extensions) > 1)} {', '.join(dict.fromkeys(extensions))}")
        return (*found, "the Jinja in its files, which can run any command")


def named(app: App, base: Path) -> str:
    """What a template is called, wherever it is asked for: a path is absolute, and follows every link."""
    if is_repository(app.template) and not _is_local_zip(app.template, base):
        return app.template
    return os.path.realpath(_path(app.template, base))


def is_ones_own(app: App, base: Path) -> bool:
    """Whether a template lies inside `base`, the topology's own folder: whoever wrote the one wrote the other."""
    return Path(named(app, base)).is_relative_to(os.path.realpath(base)) and _path(app.template, base).exists()


def fetched(app: App, base: Path, place: Path) -> Fetched:
    """A copy of the template in `place`, an empty folder. Raises KindError where there is none, or one that cannot be.

    A repository is cloned; of a local one that is only where `checkout` asks for a commit.
    """
    root, version = _root(app, base, place)
    _drop_no_part(root)
    folder = root / app.directory if app.directory is not None else root
    _check_tree(root, app.template)
    check_declared(app, folder)
    return Fetched(root, folder, version or digest(root))


def check_at_hand(app: App, base: Path) -> None:
    """What can be said of a template in a folder without a copy of it. Raises KindError."""
    path = _path(app.template, base)
    if is_repository(app.template) or app.checkout is not None:
        return
    if not path.is_dir():
        raise KindError(f'the template "{app.template}" is not a folder: {path}', hint=_A_TEMPLATE)
    check_declared(app, path / app.directory if app.directory is not None else path)


def version_at_hand(app: App, base: Path) -> str | None:
    """The version of a template in a folder; None for one that is to be fetched first."""
    if is_repository(app.template) or app.checkout is not None:
        return None
    return digest(_path(app.template, base))


def _root(app: App, base: Path, place: Path) -> tuple[Path, str | None]:
    path = _path(app.template, base)
    if _is_local_zip(app.template, base):
        return fetch(str(path), place, None, app.directory), None
    if is_repository(app.template):
        root = fetch(app.template, place, app.checkout, app.directory)
        return root, None if is_zip(app.template) else commit(root)
    if not path.is_dir():
        raise KindError(f'the template "{app.template}" is not a folder: {path}', hint=_A_TEMPLATE)
    if app.checkout is not None:
        root = fetch(f"git+file://{os.path.realpath(path)}", place, app.checkout, app.directory)
        return root, commit(root)
    copy = place / "template"
    try:
        shutil.copytree(path, copy, symlinks=True, ignore=shutil.ignore_patterns(*_NO_PART))
    except (OSError, shutil.Error) as error:
        raise KindError(f'the template "{app.template}" cannot be read: {error}', hint=_A_TEMPLATE) from error
    return copy, None


def _drop_no_part(root: Path) -> None:
    for above, folders, files in os.walk(root):
        for name in _NO_PART.intersection((*folders, *files)):
            path = Path(above) / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        folders[:] = [name for name in folders if name not in _NO_PART]


def _path(template: str, base: Path) -> Path:
    return base / Path(template).expanduser()


def _is_local_zip(template: str, base: Path) -> bool:
    return template.endswith(".zip") and "://" not in template and _path(template, base).is_file()


def commit(root: Path) -> str | None:
    """The commit that is checked out in a clone; None for what is no git repository.

    Of what was unpacked it is not to be asked: a `.git` that came along says what whoever packed it likes.
    """
    command = ["git", "-C", str(root), "rev-parse", "--verify", "HEAD"]
    if not (root / ".git").is_dir() or (root / ".hg").exists():
        return None
    sees = {"PATH": os.environ.get("PATH", os.defpath)}
    done = subprocess.run(command, env=sees, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def digest(root: Path) -> str:
    """`sha256:` and the digest of all files of a template, by name, right to run, and content."""
    sha256 = hashlib.sha256()
    for name, path, status in _tree(root):
        if stat.S_ISLNK(status.st_mode):
            sha256.update(f"\0{name}\0link\0{path.readlink()}\0".encode())
        elif stat.S_ISREG(status.st_mode):
            sha256.update(f"\0{name}\0{bool(status.st_mode & 0o100)}\0{status.st_size}\0".encode())
            with path.open("rb") as file:
                while piece := file.read(1 << 20):
                    sha256.update(piece)
    return f"sha256:{sha256.hexdigest()}"


def _tree(root: Path) -> Iterator[tuple[str, Path, os.stat_result]]:
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _NO_PART)
        for name in sorted((*folders, *(file for file in files if file not in _NO_PART))):
            path = Path(folder) / name
            yield path.relative_to(root).as_posix(), path, path.lstat()


def _check_tree(root: Path, template: str) -> None:
    """Raises KindError for a link that leads out of the template, and for what is neither file nor folder."""
    real = os.path.realpath(root)
    for name, path, status in _tree(root):
        if stat.S_ISLNK(status.st_mode):
            if not Path(os.path.realpath(path)).is_relative_to(real):
                said = f'the template "{template}" has a symbolic link to a place outside it: {name}'
                raise KindError(said, hint="replace the link by a copy of the file")
        elif not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            said = f'the template "{template}" has an entry that is neither a file nor a folder: {name}'
            raise KindError(said, hint="remove it")


def declared(folder: Path) -> Mapping[str, object]:
    """What the cookiecutter.json in a folder says. Raises KindError."""
    file = folder / _DECLARATION
    try:
        values = json.loads(read_at_most(file, _MOST_BYTES))
    except FileNotFoundError:
        raise KindError(f"the template has no {_DECLARATION}", hint=_A_TEMPLATE) from None
    except (OSError, ValueError, RecursionError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise KindError(f"{_DECLARATION} of the template cannot be read: {said}", hint=_A_TEMPLATE) from error
    if not isinstance(values, dict):
        raise KindError(f"{_DECLARATION} of the template must hold an object", hint=_A_TEMPLATE)
    return values


def check_declared(app: App, folder: Path) -> None:
    """Raises KindError where `folder` holds no template, or `vars` are not what it asks for."""
    try:
        values = declared(folder)
    except KindError as error:
        inside = f", directory {app.directory}" if app.directory is not None else ""
        said = error.message.replace("the template", f'the template "{app.template}"{inside}')
        raise KindError(said, hint=_elsewhere(folder, app) or error.hint) from None
    if "templates" in values or "template" in values:
        return  # it chooses among several, which ask questions of their own
    for name, answer in app.vars.items():
        if name not in values:
            hint = nearest(name, values) or f"it asks for {', '.join(one for one in values if one[0] != '_')}"
            raise KindError(f'the template "{app.template}" has no variable "{name}"', hint=hint)
        choices = values[name]
        if isinstance(choices, list) and choices and not _is_among(answer, choices):
            hint = f"it is one of {', '.join(map(str, choices))}"
            raise KindError(f'the variable "{name}" cannot be {answer!r}', hint=hint)


def _is_among(answer: object, choices: list[object]) -> bool:
    """A list is taken for several of the choices."""
    wanted = answer if isinstance(answer, tuple | list) else (answer,)
    return all(str(one) in map(str, choices) for one in wanted)


def _elsewhere(folder: Path, app: App) -> str | None:
    """Where in a repository templates lie, when there is none where it was looked for."""
    if app.directory is not None or not folder.is_dir():
        return None
    found = sorted(path.parent.name for path in folder.glob(f"*/{_DECLARATION}"))
    return f"name the folder of one: directory: {' or '.join(found)}" if found else None
