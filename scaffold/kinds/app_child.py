"""The process in which an app's template is rendered: cookiecutter, and what a template brings, run here alone.

It reads an order in JSON from a file of the place that it is started in, and writes what came of it beside that.
Nothing is written outside of the place; hooks are processes of their own, and what they do is theirs. Where the order
says so, it asks the template's questions on the terminal, and renders nothing.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from scaffold.kinds.app_asking import ask
from scaffold.kinds.bounds import TakesTooLong, bounded

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES: Mapping[str, tuple[tuple[int, int | None], ...]] = {
    "os.mkdir": ((0, 2),),
    "os.chmod": ((0, 2),),
    **dict.fromkeys(("os.remove", "os.rmdir", "shutil.rmtree"), ((0, 1),)),
    **dict.fromkeys(("os.rename", "os.link"), ((0, 2), (1, 3))),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, None),),
    "shutil.move": ((0, None), (1, None)),
    **dict.fromkeys(("shutil.copyfile", "shutil.copytree"), ((1, None),)),
}
"""The audit events of what changes the file system: which of their arguments are paths, and which the descriptors of
the folders that these are relative to (sys.addaudithook)."""

_FOLLOW_NO_LINK = frozenset({"os.mkdir", "os.remove", "os.rmdir", "os.rename", "os.symlink"})
"""They change the entry of a folder, and not what a link of that name leads to."""

_NOWHERE = frozenset({"/dev/null", "/dev/tty"})


class WritesOutside(Exception):
    """The template would write outside of its place."""


def main() -> None:
    """Does what the order in this folder says."""
    place = Path.cwd()
    order = json.loads((place / "order.json").read_text("utf-8"))
    result = place / "result.json"
    _keep_inside(place)
    with suppress(KeyboardInterrupt):  # whoever started it is interrupted as well
        result.write_text(json.dumps(_outcome(order)), "utf-8")


def _keep_inside(place: Path) -> None:
    """From here on this process writes below `place` alone: a path that a template makes up may lead anywhere."""
    inside = os.path.realpath(place)

    def check(path: Any, leads: Callable[[str], str] = os.path.realpath) -> None:
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if not isinstance(path, str | os.PathLike) or str(path) in _NOWHERE:
            return  # a descriptor of a file that was opened before
        if not Path(leads(os.fspath(path))).is_relative_to(inside):
            raise WritesOutside(f"it writes outside its own folder: {path}")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & _WRITES:
                check(path)
        elif (which := _CHANGES.get(event)) is not None:
            leads = _entry if event in _FOLLOW_NO_LINK else os.path.realpath
            for path, folder in which:
                check(_named(arguments[path], None if folder is None else arguments[folder]), leads)

    sys.addaudithook(hook)


def _named(path: Any, folder: int | None) -> Any:
    """The path that a name means in an open folder; `folder` is its descriptor, None or -1 where there is none."""
    if folder is None or folder < 0 or not isinstance(path, str | bytes | os.PathLike):
        return path
    return Path(f"/proc/self/fd/{folder}").readlink() / os.fsdecode(path)


def _entry(path: str) -> str:
    """Where the entry of a folder really is, be it a link or not."""
    above, name = os.path.split(path)
    return os.path.realpath(path) if name in ("", ".", "..") else str(Path(os.path.realpath(above), name))


def _outcome(order: Mapping[str, Any]) -> dict[str, object]:
    from cookiecutter import hooks, main

    # What a hook prints says why it failed; cookiecutter would add a traceback of its own.
    logging.getLogger("cookiecutter").addHandler(logging.NullHandler())
    hooks.run_script = _unbounded(hooks.run_script)
    main.choose_nested_template = _within(main.choose_nested_template, Path(order["root"]))
    try:
        with bounded(order["seconds"], order["memory"]):
            return ask(order, _rendered) if order["asks"] else {"project": _rendered(order, no_input=True)}
    except MemoryError:
        return {"error": "memory", "said": f"it takes more than {order['memory'] >> 20} MiB of memory"}
    except EOFError:
        return {"error": "unanswered", "said": "there is no more input"}
    except UnicodeDecodeError as error:
        return {"error": "template", "said": _not_text(Path(order["root"]), error)}
    except Exception as error:  # a template is code, which may raise anything
        return _failure(error)


def _rendered(order: Mapping[str, Any], *, no_input: bool) -> str:
    from cookiecutter import main

    project = main.cookiecutter(
        order["template"],
        no_input=no_input,
        extra_context=order["answers"],
        output_dir=order["output"],
        config_file=order["config"],
    )
    return str(project)


def _failure(error: Exception) -> dict[str, object]:
    """What went wrong, by a word that says of what sort it is."""
    from cookiecutter import exceptions
    from jinja2 import TemplateError

    sort, said = "template", str(error) or type(error).__name__
    match error:
        case exceptions.UnknownExtension():
            return {"error": "extension", "said": said, "module": _module(said)}
        case exceptions.FailedHookException():
            sort = "hook"
        case exceptions.OutputDirExistsException():
            sort = "folder"
        case exceptions.UndefinedVariableInTemplate():  # its own text is the whole context
            said = f"{error.message}: {error.error.message}"
        case TakesTooLong():
            said = f"it is not rendered after {error.seconds:.3g} s of the processor's time"
        case RecursionError():
            said = "endless recursion: it includes or calls itself"
        case TemplateError():
            said = _where(error) + said
        case WritesOutside() | exceptions.CookiecutterException() | OSError() | ImportError() | ValueError():
            pass
        case _:
            said = f"{type(error).__name__}: {said}"
    return {"error": sort, "said": said}


def _not_text(template: Path, error: UnicodeDecodeError) -> str:
    """Cookiecutter reads every file as UTF-8 that has no NUL and is not told to be copied, and names none."""
    for path in sorted(template.rglob("*")):
        if path.is_file() and path.read_bytes() == error.object:
            return f"{path.relative_to(template).as_posix()} is neither text in UTF-8 nor binary"
    return f"one of its files is neither text in UTF-8 nor binary: {error}"


def _within(choose: Callable[..., str], root: Path) -> Callable[..., str]:
    """What a template chooses among must be part of what was fetched: of nothing else is it known what it runs.

    A copy that its pre_prompt hook has changed is elsewhere, and is looked at by itself.
    """

    def chosen(context: Any, folder: Path | str, *arguments: Any, **named: Any) -> str:
        found, own, all_of_it = (
            Path(choose(context, folder, *arguments, **named)),
            Path(folder).resolve(),
            root.resolve(),
        )
        if not found.is_relative_to(all_of_it if own.is_relative_to(all_of_it) else own):
            said = os.path.relpath(found, own)
            raise ValueError(f"it chooses a template that lies outside of it: {said}")
        return str(found)

    return chosen


def _where(error: Exception) -> str:
    file, line = getattr(error, "filename", None), getattr(error, "lineno", None)
    return f"{file}, line {line}: " if file and line else ""


def _module(said: str) -> str | None:
    found = re.search(r"No module named '(\w+)", said)
    return found[1] if found is not None else None


def _unbounded(run_script: Callable[..., None]) -> Callable[..., None]:
    """A hook may be a compiler or a package manager, and takes what memory it takes: its time is what is bounded."""

    def run(*arguments: Any, **named: Any) -> None:
        with suppress(ImportError):
            import resource

            soft, hard = resource.getrlimit(resource.RLIMIT_AS)
            resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
            try:
                run_script(*arguments, **named)
            finally:
                resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
            return
        run_script(*arguments, **named)

    return run


if __name__ == "__main__":
    main()
