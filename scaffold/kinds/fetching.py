"""Brings a template that lies elsewhere to hand: a copy, its version, and whose it is. Nothing of it is run here."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from scaffold.errors import KindError

_REPOSITORY: Final = re.compile(r"((git|hg)\+)?(https?|git|ssh|file)://|^\w+@[\w.-]+:|^(gh|gl|bb):|\.zip$")
_LOCAL_ZIP: Final = re.compile(r"(?!\w+:|\w+@[\w.-]+:|\w+\+\w+:).+\.zip")

DECLARATION: Final = "cookiecutter.json"
A_TEMPLATE: Final = "a template is a folder, zip file or repository with a cookiecutter.json: ./path or gh:owner/name"
_HOW_TO_FETCH: Final = (
    "a repository is written git+https://host/path or gh:owner/name, a zip file with .zip, a folder ./path"
)
NO_PART: Final = frozenset({".git", ".hg", "__pycache__"})
"""What is no part of a template: no copy has it, and so nothing is rendered that has no part in the digest."""


def is_repository(template: str) -> bool:
    """Whether a template is a repository or a zip file, and no folder of this machine."""
    return _REPOSITORY.search(template) is not None


def named(template: str, base: Path) -> str:
    """What a template is called, wherever it is asked for: a path is absolute, and follows every link."""
    if is_repository(template) and not _is_local_zip(template):
        return template
    return os.path.realpath(path_of(template, base))


def is_ones_own(template: str, base: Path) -> bool:
    """Whether a template lies inside `base`, the topology's own folder: whoever wrote the one wrote the other."""
    path = path_of(template, base)
    return Path(named(template, base)).is_relative_to(os.path.realpath(base)) and path.exists()


def path_of(template: str, base: Path) -> Path:
    """Where a template in a folder or zip file lies."""
    return base / Path(template).expanduser()


def _is_local_zip(template: str) -> bool:
    return _LOCAL_ZIP.fullmatch(template) is not None


# --- A copy ----------------------------------------------------------------------------------------------------------


def copied(
    template: str, base: Path, place: Path, checkout: str | None = None, directory: str | None = None
) -> tuple[Path, str]:
    """A copy of the whole of a template in `place`, an empty folder, and its version.

    The version is the commit of a repository, else `sha256:` and the digest of all that the copy holds. A repository is
    cloned; of a local one that is only where `checkout` asks for a commit. `directory` is the part of it that is the
    template. Raises KindError where there is none, or one that cannot be.
    """
    root, version = _root(template, base, place, checkout, directory)
    _drop_no_part(root)
    _check_tree(root, template)
    return root, version or digest(root)


def _root(
    template: str, base: Path, place: Path, checkout: str | None, directory: str | None
) -> tuple[Path, str | None]:
    path = path_of(template, base)
    if _is_local_zip(template):
        return _fetched(str(path), place, None, directory), None
    if is_repository(template):
        root = _fetched(template, place, checkout, directory)
        return root, None if _is_zip(_expanded(template)) else commit(root)
    if not path.is_dir():
        raise KindError(f'the template "{template}" is not a folder: {path}', hint=A_TEMPLATE)
    if checkout is not None:
        root = _fetched(f"git+file://{os.path.realpath(path)}", place, checkout, directory)
        return root, commit(root)
    copy = place / "template"
    try:
        _check_size(path, template)
        shutil.copytree(path, copy, symlinks=True, ignore=shutil.ignore_patterns(*NO_PART))
    except (OSError, shutil.Error, RecursionError) as error:
        raise KindError(f'the template "{template}" cannot be read: {error}', hint=A_TEMPLATE) from error
    return copy, None


def _check_size(path: Path, template: str) -> None:
    """Raises KindError where a folder is more than a template: it is copied whole."""
    from scaffold.kinds import zips

    bounds, octets = zips.USUAL, 0
    for entries, (_, _, status) in enumerate(_tree(path), 1):
        octets += status.st_size
        if octets > bounds.octets or entries > bounds.entries:
            said = f'the template "{template}" holds more than {bounds.in_words}'
            raise KindError(said, hint="name the folder that has its cookiecutter.json, and keep nothing else there")


def _drop_no_part(root: Path) -> None:
    for above, folders, files in os.walk(root):
        for name in NO_PART.intersection((*folders, *files)):
            path = Path(above) / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        folders[:] = [name for name in folders if name not in NO_PART]


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
    """`sha256:` and the digest of all that a template holds: folders by name, files by right to run and content too.

    A folder counts where it is empty as well: its name is rendered.
    """
    sha256 = hashlib.sha256()
    for name, path, status in _tree(root):
        entry = os.fsencode(name)
        if stat.S_ISLNK(status.st_mode):
            sha256.update(b"\0%b\0link\0%b\0" % (entry, os.fsencode(path.readlink())))
        elif stat.S_ISDIR(status.st_mode):
            sha256.update(b"\0%b\0folder\0" % entry)
        elif stat.S_ISREG(status.st_mode):
            sha256.update(b"\0%b\0%d\0%d\0" % (entry, bool(status.st_mode & 0o100), status.st_size))
            with path.open("rb") as file:
                while piece := file.read(1 << 20):
                    sha256.update(piece)
    return f"sha256:{sha256.hexdigest()}"


def _tree(root: Path) -> Iterator[tuple[str, Path, os.stat_result]]:
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in NO_PART)
        for name in sorted((*folders, *(file for file in files if file not in NO_PART))):
            path = Path(folder) / name
            yield path.relative_to(root).as_posix(), path, path.lstat()


def _check_tree(root: Path, template: str) -> None:
    """Raises KindError for a link that leads out of the template, for what is neither file nor folder, and for a name
    that is no text.
    """
    real = os.path.realpath(root)
    for name, path, status in _tree(root):
        if not is_text(name):
            said = f'the template "{template}" has a file name that is not UTF-8: {name!a}'
            raise KindError(said, hint="choose another name")
        if stat.S_ISLNK(status.st_mode):
            if not Path(os.path.realpath(path)).is_relative_to(real):
                said = f'the template "{template}" has a symbolic link to a place outside it: {name}'
                raise KindError(said, hint="replace the link by a copy of the file")
        elif not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            said = f'the template "{template}" has an entry that is neither a file nor a folder: {name}'
            raise KindError(said, hint="remove it")


def is_text(name: str) -> bool:
    """Whether the name of a file is UTF-8; of one that is not, each octet has a stand-in (PEP 383)."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


# --- Repositories and zip files --------------------------------------------------------------------------------------


def _fetched(template: str, place: Path, checkout: str | None, directory: str | None) -> Path:
    """The whole of a repository or zip file. Raises KindError where it cannot be had, or holds no template."""
    from cookiecutter.exceptions import CookiecutterException
    from requests import RequestException

    from scaffold.kinds.zips import CannotBeUnpacked

    url = _expanded(template)
    try:
        root = _unzipped(url, place) if _is_zip(url) else _cloned(url, place, checkout)
    except (
        CookiecutterException,
        RequestException,
        CannotBeUnpacked,
        OSError,
        subprocess.CalledProcessError,
    ) as error:
        said = f'template "{template}" cannot be fetched: {_said(error)}'
        raise KindError(said, hint=_what_helps(error)) from error
    if not (root / (directory or "") / DECLARATION).is_file():
        has_submodules = (root / ".gitmodules").is_file()
        raise KindError(
            f'template "{template}" cannot be fetched: it has no template',
            hint=_NO_SUBMODULES if has_submodules else _HOW_TO_FETCH,
        )
    return root


_NO_SUBMODULES: Final = "cookiecutter fetches no submodules of a repository: name the submodule's own repository"
_UNLOCKS_ZIP: Final = "COOKIECUTTER_REPO_PASSWORD"
"""In which variable of the environment cookiecutter's own command looks for the password of a zip file."""


def _what_helps(error: Exception) -> str:
    from cookiecutter.exceptions import VCSNotInstalled

    from scaffold.kinds.zips import NotUnlocked

    match error:
        case VCSNotInstalled():
            return "install that program, so that it is on PATH, or take a folder or a zip file"
        case NotUnlocked():
            return f"its password is taken from {_UNLOCKS_ZIP} in the environment"
        case _:
            return _HOW_TO_FETCH


def _expanded(template: str) -> str:
    from cookiecutter.config import BUILTIN_ABBREVIATIONS
    from cookiecutter.repository import expand_abbreviations

    return str(expand_abbreviations(template, BUILTIN_ABBREVIATIONS))


def _is_zip(url: str) -> bool:
    from cookiecutter.repository import is_zip_file

    return bool(is_zip_file(url))


def _unzipped(url: str, place: Path) -> Path:
    from cookiecutter.repository import is_repo_url

    from scaffold.kinds import zips

    file = Path(url)
    if is_repo_url(url):
        file = place / "template.zip"
        _download(url, file)
    return zips.unpacked(file, place / "template", password=os.environ.get(_UNLOCKS_ZIP) or None)


def _download(url: str, file: Path) -> None:
    import requests

    from scaffold.kinds import zips

    most, octets = zips.USUAL.octets, 0
    with file.open("xb") as written:
        for piece in requests.get(url, stream=True, timeout=100).iter_content(chunk_size=1 << 16):
            octets += len(piece)
            if octets > most:
                raise zips.CannotBeUnpacked(f"it has more than {most >> 20} MiB")
            written.write(piece)


def _cloned(url: str, place: Path, checkout: str | None) -> Path:
    import logging

    from cookiecutter.exceptions import UnknownRepoType
    from cookiecutter.repository import is_repo_url
    from cookiecutter.vcs import clone

    # What git says is in the error; cookiecutter would print it with a traceback.
    logging.getLogger("cookiecutter").addHandler(logging.NullHandler())
    if not is_repo_url(url):
        raise UnknownRepoType
    _check_folder_of(url)
    into = place / "clone"
    with _outside_of_repositories():
        return Path(clone(url, checkout=checkout, clone_to_dir=into, no_input=True))


def _check_folder_of(url: str) -> None:
    """Raises KindError where the end of a URL leads out of the folder that it is cloned into.

    Cookiecutter first removes what is there under that name, without a question.
    """
    end = os.path.basename(url.rstrip("/"))  # noqa: PTH119 - a URL is no path
    if not {end, end.split(":")[-1].rsplit(".git")[0]}.isdisjoint({"", ".", ".."}):
        raise KindError(f'template "{url}" does not end with the name of a repository', hint=_HOW_TO_FETCH)


_HANDED_ON: Final = re.compile(
    r"GIT_(ASKPASS|SSH(_.*)?|SSL_.*|HTTP_.*|PROXY_.*|TERMINAL_PROMPT|ALLOW_PROTOCOL|CONFIG_(GLOBAL|SYSTEM|NOSYSTEM))"
    r"|HGRCPATH"
)
"""How a repository is reached, and by whom. All else is of the person's own repository."""

_NO_SETTINGS: Final = "HGRCSKIPREPO"
_ENVIRONMENT: Final = threading.Lock()


@contextlib.contextmanager
def _outside_of_repositories() -> Iterator[None]:
    """Within, git and Mercurial work in the folder that they are started in.

    A hook that starts scaffold has GIT_DIR and its kin set: with them a clone is checked out in the person's own
    repository (git(1), ENVIRONMENT VARIABLES). Cookiecutter hands on what this process has. Of a repository on this
    machine Mercurial would read the settings that came with it, which name programs (hg help environment).
    """
    with _ENVIRONMENT:
        theirs = [name for name in os.environ if re.match(r"GIT_|HG", name) and not _HANDED_ON.fullmatch(name)]
        taken = {name: os.environ.pop(name) for name in theirs}
        os.environ[_NO_SETTINGS] = "1"
        try:
            yield
        finally:
            del os.environ[_NO_SETTINGS]
            os.environ.update(taken)


def _said(error: Exception) -> str:
    """What went wrong in one line, without what only cookiecutter's or requests' developers understand."""
    from cookiecutter.exceptions import RepositoryNotFound, UnknownRepoType
    from requests import ConnectionError as NoConnection
    from requests import Timeout

    match error:
        case UnknownRepoType():
            return "it is neither a git repository nor a zip file"
        case RepositoryNotFound():
            return "it has no template"
        case NoConnection() | Timeout():
            url = error.request.url if error.request is not None else None
            return f"no connection to {(urlsplit(str(url)).hostname if url else None) or 'its host'}"
        case subprocess.CalledProcessError():
            lines = [
                line for line in bytes(error.output or b"").decode("utf-8", "replace").splitlines() if line.strip()
            ]
            told = [line for line in lines if line.startswith(("fatal:", "error:", "ssh:"))] or lines[-1:]
            return told[0].strip()[:300] if told else f"{error.cmd[0]} failed"
        case OSError():
            return error.strerror or str(error)
    return str(error).partition("\n")[0][:300].rstrip(":")
