"""Renders the template of an app by cookiecutter itself: in a process and a place of its own, and within bounds.

So are its questions asked. Whoever calls it has been told that the template may be run.
"""

from __future__ import annotations

import contextlib
import filecmp
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from scaffold.errors import KindError
from scaffold.kinds.app_templates import Fetched
from scaffold.kinds.bounds import MEMORY, SECONDS
from scaffold.kinds.fetching import is_text
from scaffold.kinds.missing import Missing, Sort, missing
from scaffold.kinds.render import Rendered
from scaffold.topology.model import App

MADE_BY_MACHINES: Final = frozenset(
    {".git", ".hg", ".svn", ".venv", "venv", "node_modules", "__pycache__", ".mypy_cache", ".ruff_cache", ".tox"}
)
"""Folders that hooks fill and nobody edits: they come along, and are not merged later."""

_NEVER_ALIKE: Final = MADE_BY_MACHINES - {".venv", "venv", "node_modules"}
"""Histories and caches: of no two renderings are they the same, and that says nothing."""

_SHOWN_LINES: Final = 20
_KEPT_OCTETS: Final = 64 * 1024
_COMMAND: Final = (sys.executable, "-P", "-B", "-m", "scaffold.kinds.app_child")
_HANDED_ON: Final = ("PATH", "LANG", "LANGUAGE", "TZ", "TERM", "NO_COLOR", "LD_LIBRARY_PATH", "SYSTEMROOT")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What rendering one app may take.

    `seconds` are the processor's, without those of hooks; `within` are those of the clock, hooks included; `memory` and
    `octets` (of all files together) are in octets.
    """

    seconds: float = SECONDS
    within: float = 300.0
    memory: int = MEMORY
    octets: int = 512 * 1024 * 1024
    files: int = 100_000


USUAL: Final = Bounds()


@dataclass(frozen=True, slots=True)
class RenderedApp:
    """An app as its template makes it: `folder` is all of it, `files` are those that are merged with edits later.

    `links` are its symbolic links, and where each leads; they are not merged.
    """

    folder: Path
    files: Mapping[str, Rendered]
    links: Mapping[str, str] = field(default_factory=dict)


def differing_folders(made: RenderedApp, app: str) -> Iterator[str]:
    """The folders made by machines that the app in the folder `app` has otherwise than its template makes them now."""
    for above, folders, _ in os.walk(made.folder):
        machines = MADE_BY_MACHINES.intersection(folders)
        for name in sorted(machines - _NEVER_ALIKE):
            path = os.path.relpath(Path(above, name), made.folder)
            if any(_differs(file, Path(app, path, inner)) for inner, file in _regular_files(Path(above, name))):
                yield path
        folders[:] = sorted(set(folders) - machines)


def _regular_files(root: Path) -> Iterator[tuple[str, Path]]:
    return ((name, path) for name, path, status in _tree(root) if stat.S_ISREG(status.st_mode))


def _differs(file: Path, other: Path) -> bool:
    try:
        return not filecmp.cmp(file, other, shallow=False)
    except OSError:
        return True


def render_app(app: App, template: Fetched, place: Path, bounds: Bounds = USUAL) -> RenderedApp:
    """Renders `template` within `place`, an empty folder.

    Raises KindError where it fails, takes more than its bounds, or makes what cannot be an app.
    """
    order = _order(app, template, place, bounds)
    status, said = _run(place, bounds.within)
    outcome = _read(place / "result.json")
    if status is None:
        raise KindError(
            _of(app, f"it is not rendered after {bounds.within:g} s, hooks included", said),
            hint=_STAYS,
        )
    if outcome is None:
        raise KindError(_of(app, f"its process ended with status {status}", said), hint=_MEND)
    if "error" in outcome:
        raise _failed(app, outcome, said)
    folder = _root_folder(app, Path(outcome["project"]), Path(order["output"]))
    files = dict(_files(app, folder, bounds))
    _take_rights_away(folder)
    return RenderedApp(folder, files, dict(_links(folder)))


def ask_app(app: App, template: Fetched, place: Path, bounds: Bounds = USUAL) -> App:
    """The app with a person's answers to its template's questions, asked on the terminal; `place` is an empty folder.

    What `app.vars` answer is not asked. Of the answers those are kept that differ from what the template proposes.
    Raises KindError where the template cannot be rendered as far as that, EOFError where the terminal has no answer.
    """
    _order(app, template, place, bounds, asks=True)
    process = subprocess.Popen(_COMMAND, cwd=place, env=_environment(place), stdout=sys.stderr.fileno())
    try:
        status = process.wait()
    finally:
        process.kill()
        process.wait()
    outcome = _read(place / "result.json")
    if outcome is None:
        raise KindError(_of(app, f"its process ended with status {status}"), hint=_MEND)
    if outcome.get("error") == "unanswered":
        raise EOFError
    if "error" in outcome:
        raise _failed(app, outcome, "")
    return replace(app, directory=_directory(app, outcome["directory"]), vars={**app.vars, **outcome["answers"]})


def _directory(app: App, chosen: str | None) -> str | None:
    """Where in all of the template the one lies that was chosen in `app.directory`."""
    if chosen is None:
        return app.directory
    return os.path.normpath(Path(app.directory or ".", chosen))


_STAYS: Final = (
    "run `cookiecutter` by hand to see where it hangs; in a copy of it, remove from the hooks what waits for "
    "input or installs programs"
)
_MEND: Final = "fix the template, or choose another; nothing was changed"


def _order(app: App, template: Fetched, place: Path, bounds: Bounds, *, asks: bool = False) -> dict[str, Any]:
    """What the process is to do, which finds it in `place`."""
    for name in ("home", "tmp", "out", "cookiecutters", "replay"):
        (place / name).mkdir()
    config = place / "cookiecutter.yaml"
    # In JSON, which is YAML: what the person's own ~/.cookiecutterrc says must not change what is rendered.
    folders = {"cookiecutters_dir": str(place / "cookiecutters"), "replay_dir": str(place / "replay")}
    config.write_text(json.dumps({"default_context": {}, "abbreviations": {}, **folders}), "utf-8")
    order = {
        "asks": asks,
        "template": str(template.folder),
        "root": str(template.root),
        "answers": _plain(app.vars),
        "output": str(place / "out"),
        "config": str(config),
        "seconds": bounds.seconds,
        "memory": bounds.memory,
    }
    (place / "order.json").write_text(json.dumps(order), "utf-8")
    return order


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, tuple | list) else value


def _run(place: Path, within: float) -> tuple[int | None, str]:
    """Its exit status, None where it was ended because it went on for too long, and the end of what it printed."""
    process = subprocess.Popen(
        _COMMAND,
        cwd=place,
        env=_environment(place),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    output: deque[bytes] = deque()
    reader = threading.Thread(target=_keep_end, args=(process.stdout, output), daemon=True)
    reader.start()
    try:
        status: int | None = process.wait(within)
    except subprocess.TimeoutExpired:
        status = None
    finally:
        _end(process)
        reader.join(5.0)
    return status, b"".join(output)[-_KEPT_OCTETS:].decode("utf-8", "replace")


def _keep_end(output: Any, kept: deque[bytes]) -> None:
    size = 0
    for piece in iter(lambda: output.read1(8192), b""):
        kept.append(piece)
        size += len(piece)
        while size - len(kept[0]) > _KEPT_OCTETS:
            size -= len(kept.popleft())


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends what is left of it, what a hook has left running included."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _environment(place: Path) -> dict[str, str]:
    """No password of the environment is a template's business, and its home is its own. Git knows who the person is."""
    seen = {name: value for name, value in os.environ.items() if name in _HANDED_ON or name.startswith("LC_")}
    known = Path.home() / ".gitconfig"
    identity = {"GIT_CONFIG_GLOBAL": str(known)} if known.is_file() else {}
    own = {
        "HOME": str(place / "home"),
        "XDG_CONFIG_HOME": str(place / "home" / ".config"),
        "XDG_CACHE_HOME": str(place / "home" / ".cache"),
        "TMPDIR": str(place / "tmp"),
        "PYTHONUTF8": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return {**seen, **identity, **own}


def _read(result: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(result.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _of(app: App, said: str, output: str = "") -> str:
    lines = [line for line in output.splitlines() if line.strip()][-_SHOWN_LINES:]
    printed = "".join(f"\n  {line}" for line in lines)
    return f'the template "{app.template}" cannot be rendered: {said}' + (f"; it printed:{printed}" if printed else "")


def _failed(app: App, outcome: Mapping[str, Any], output: str) -> KindError:
    said = str(outcome["said"])
    match outcome["error"]:
        case "extension":
            module = outcome.get("module")
            if module is not None:
                said = f"it needs the module {module}, which is not installed beside scaffold"
            return KindError(_of(app, said), hint=_install(module))
        case "hook":
            return KindError(_of(app, said, output), hint=_for_hooks(said, output))
        case "folder":
            return KindError(_of(app, "the name of its own folder is empty"), hint=_MEND)
        case _:
            return KindError(_of(app, said), hint=_MEND)


def _for_hooks(said: str, output: str) -> str:
    """What to do where a hook has failed: it may want what this machine lacks, or another answer."""
    found = missing(output)
    if found is not None and found.sort is Sort.MODULE:
        return _install(found.name)
    if found is not None:
        return f"a hook of it needs {found.package}: install that, so that it is on PATH; nothing was changed"
    if "No such file or directory" in said:
        return "the first line of that hook (#!) names the program that runs it: install that; nothing was changed"
    return "do what its hook says, or mend the template; nothing was changed" if output.strip() else _MEND


def _install(module: str | None) -> str:
    if module is None:
        return "install that module into the environment of scaffold"
    package = Missing(Sort.MODULE, module).package
    return f"install it into the environment of scaffold, most often: {sys.executable} -m pip install {package}"


def _root_folder(app: App, project: Path, output: Path) -> Path:
    real, inside = Path(os.path.realpath(project)), Path(os.path.realpath(output))
    if real == inside or not real.is_relative_to(inside) or not real.is_dir():
        raise KindError(_of(app, "the name of its own folder is empty"), hint=_MEND)
    return project


def _files(app: App, folder: Path, bounds: Bounds) -> Iterator[tuple[str, Rendered]]:
    """The files that are merged. Raises KindError for what cannot be an app."""
    octets = number = 0
    for name, path, status in _tree(folder):
        octets, number = octets + status.st_size, number + 1
        if octets > bounds.octets or number > bounds.files:
            most = f"{bounds.octets >> 20:,} MiB, or {bounds.files:,} files"
            raise KindError(_of(app, f"it makes more than {most}"), hint=_MEND)
        if not is_text(name):
            raise KindError(_of(app, f"it makes a file whose name is not UTF-8: {name!a}"), hint=_MEND)
        machines = _is_made_by_machines(name)
        if stat.S_ISLNK(status.st_mode):
            if not machines:
                _check_link(app, folder, name, path)
        elif not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            raise KindError(_of(app, f"{name} is neither file nor folder"), hint=_MEND)
        elif stat.S_ISREG(status.st_mode) and not machines:
            yield name, Rendered(path.read_bytes(), bool(status.st_mode & 0o100))


def _is_made_by_machines(name: str) -> bool:
    return not MADE_BY_MACHINES.isdisjoint(name.split("/"))


def _links(folder: Path) -> Iterator[tuple[str, str]]:
    for name, path, status in _tree(folder):
        if stat.S_ISLNK(status.st_mode) and not _is_made_by_machines(name):
            yield name, str(path.readlink())


def _take_rights_away(folder: Path) -> None:
    """What a hook has given to all: to write, and to run as another user than oneself."""
    for path, status in ((folder, folder.lstat()), *((path, status) for _, path, status in _tree(folder))):
        too_much = status.st_mode & (stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX | stat.S_IWOTH)
        if too_much and not stat.S_ISLNK(status.st_mode):
            path.chmod(stat.S_IMODE(status.st_mode) & ~too_much)


def _tree(root: Path) -> Iterator[tuple[str, Path, os.stat_result]]:
    for above, folders, files in os.walk(root):
        folders.sort()
        for name in sorted((*folders, *files)):
            path = Path(above) / name
            yield path.relative_to(root).as_posix(), path, path.lstat()


def _check_link(app: App, folder: Path, name: str, path: Path) -> None:
    """A link goes where the app goes: it must lead to a place within, and by a relative way."""
    leads = path.readlink()
    if leads.is_absolute() or not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise KindError(_of(app, f"{name} is a symbolic link that leads out of it, to {leads}"), hint=_MEND)
