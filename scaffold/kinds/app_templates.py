"""Finds the cookiecutter template of an app, and says what is in it. Nothing of it is run here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scaffold.errors import KindError
from scaffold.kinds import fetching
from scaffold.kinds.fetching import A_TEMPLATE, DECLARATION, digest, is_repository
from scaffold.topology.inputs import read_at_most
from scaffold.topology.messages import nearest
from scaffold.topology.model import App

_HOOKS: Final = ("pre_prompt", "pre_gen_project", "post_gen_project")
_MOST_BYTES: Final = 16 * 1024 * 1024


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
    def declarations(self) -> tuple[tuple[Path, Mapping[str, object] | None], ...]:
        """Each folder with a cookiecutter.json that may be meant, and what that says; None where it cannot be read."""
        folders = sorted(file.parent for file in self._may_be_rendered.rglob(DECLARATION))
        return tuple((folder, _declared_if_readable(folder)) for folder in folders)

    @property
    def would_run(self) -> tuple[str, ...]:
        """What rendering it would run, in words."""
        hooks: list[str] = []
        extensions: list[str] = []
        unknown: list[str] = []
        above = self._may_be_rendered
        for folder, values in self.declarations:
            names = sorted(one.name for one in folder.glob("hooks/*") if _is_hook(one.name))
            hooks += [(folder / "hooks" / name).relative_to(above).as_posix() for name in names]
            if values is None:
                unknown.append(f"what {(folder / DECLARATION).relative_to(above).as_posix()} names: it cannot be read")
                continue
            listed = values.get("_extensions")
            extensions += map(str, listed) if isinstance(listed, list) else ()
        found = []
        if hooks:
            found.append(f"the hook{'s' * (len(hooks) > 1)} {', '.join(hooks)}")
        if extensions:
            found.append(f"the Jinja extension{'s' * (len(extensions) > 1)} {', '.join(dict.fromkeys(extensions))}")
        return (*found, *unknown, "the Jinja in its files, which can run any command")


def _is_hook(name: str) -> bool:
    """By the rule of cookiecutter itself: what it runs and this list leaves out, nobody has agreed to."""
    from cookiecutter.hooks import valid_hook

    return any(valid_hook(name, when) for when in _HOOKS)


def fetched(app: App, base: Path, place: Path) -> Fetched:
    """A copy of the template in `place`, an empty folder. Raises KindError where there is none, or one that cannot be.

    A repository is cloned; of a local one that is only where `checkout` asks for a commit.
    """
    root, version = fetching.copied(app.template, base, place, app.checkout, app.directory)
    folder = root / app.directory if app.directory is not None else root
    check_declared(app, folder)
    found = Fetched(root, folder, version)
    check_answers(app, found)
    return found


def check_answers(app: App, template: Fetched) -> None:
    """Raises KindError for answers that would change what of a template is run, whichever of several is meant."""
    for _, values in template.declarations:
        _check_answers(app, values or {})


def check_at_hand(app: App, base: Path) -> None:
    """What can be said of a template in a folder without a copy of it. Raises KindError."""
    path = fetching.path_of(app.template, base)
    if is_repository(app.template) or app.checkout is not None:
        return
    if not path.is_dir():
        raise KindError(f'the template "{app.template}" is not a folder: {path}', hint=A_TEMPLATE)
    check_declared(app, path / app.directory if app.directory is not None else path)


def version_at_hand(app: App, base: Path) -> str | None:
    """The version of a template in a folder; None for one that is to be fetched first."""
    if is_repository(app.template) or app.checkout is not None:
        return None
    return digest(fetching.path_of(app.template, base))


def declared(folder: Path) -> Mapping[str, object]:
    """What the cookiecutter.json in a folder says. Raises KindError."""
    file = folder / DECLARATION
    try:
        values = json.loads(read_at_most(file, _MOST_BYTES))
    except FileNotFoundError:
        raise KindError(f"the template has no {DECLARATION}", hint=A_TEMPLATE) from None
    except (OSError, ValueError, RecursionError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise KindError(f"{DECLARATION} of the template cannot be read: {said}", hint=A_TEMPLATE) from error
    if not isinstance(values, dict):
        raise KindError(f"{DECLARATION} of the template must hold an object", hint=A_TEMPLATE)
    return values


def _declared_if_readable(folder: Path) -> Mapping[str, object] | None:
    try:
        return declared(folder)
    except KindError:
        return None  # a template of templates has some that are themselves rendered first


def check_declared(app: App, folder: Path) -> None:
    """Raises KindError where `folder` holds no template, or `vars` are not what it asks for."""
    try:
        values = declared(folder)
    except KindError as error:
        inside = f", directory {app.directory}" if app.directory is not None else ""
        said = error.message.replace("the template", f'the template "{app.template}"{inside}')
        raise KindError(said, hint=_elsewhere(folder, app) or error.hint) from None
    _check_answers(app, values)
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


def _check_answers(app: App, values: Mapping[str, object]) -> None:
    """Raises KindError for answers that would change what of the template is run.

    Cookiecutter renders each answer: what a template has in place of `{{` and `{%` may stand in none of them either.
    """
    if decides := sorted(_DECIDES_WHAT_RUNS & app.vars.keys()):
        said = f'"{decides[0]}" is the template\'s own, and no answer: it decides what of it is run'
        raise KindError(said, hint="leave it out")
    for name, answer in app.vars.items():
        for begins in _that_begin_jinja(values):
            if any(begins.search(text) for text in _texts(answer)):
                said = f'the variable "{name}" holds what the template "{app.template}" takes for Jinja, and runs'
                raise KindError(said, hint="leave out what its _jinja2_env_vars name")


_DECIDES_WHAT_RUNS: Final = frozenset({"_extensions", "_jinja2_env_vars"})
_DELIMITERS: Final = ("variable_start_string", "block_start_string", "comment_start_string")


def _that_begin_jinja(values: Mapping[str, object]) -> Iterator[re.Pattern[str]]:
    own = values.get("_jinja2_env_vars")
    for name, said in own.items() if isinstance(own, Mapping) else ():
        if name in _DELIMITERS:
            yield re.compile(re.escape(str(said)))
        elif name == "line_statement_prefix" and said:
            yield re.compile(rf"^\s*{re.escape(str(said))}", re.MULTILINE)


def _texts(value: object) -> Iterator[str]:
    """Every text within an answer, the names in a mapping included."""
    match value:
        case Mapping():
            for name, each in value.items():
                yield str(name)
                yield from _texts(each)
        case tuple() | list():
            for each in value:
                yield from _texts(each)
        case _:
            yield str(value)


def _is_among(answer: object, choices: list[object]) -> bool:
    """A list is taken for several of the choices."""
    wanted = answer if isinstance(answer, tuple | list) else (answer,)
    return all(str(one) in map(str, choices) for one in wanted)


def _elsewhere(folder: Path, app: App) -> str | None:
    """Where in a repository templates lie, when there is none where it was looked for."""
    if app.directory is not None or not folder.is_dir():
        return None
    found = sorted(path.parent.name for path in folder.glob(f"*/{DECLARATION}"))
    return f"name the folder of one: directory: {' or '.join(found)}" if found else None
