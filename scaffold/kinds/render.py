"""Renders a kind: settings and variables in, the files of a project out. Values are data and never templates."""

from __future__ import annotations

import contextlib
import difflib
import functools
import hashlib
import json
import re
import shutil
import threading
import traceback
import unicodedata
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from scaffold.errors import KindError
from scaffold.kinds.bounds import MEMORY, TakesTooLong, bounded
from scaffold.kinds.catalogue import Kind, is_executable, own_parts, shared_folder, template_files
from scaffold.kinds.variables import merged
from scaffold.settings.values import Settings

if TYPE_CHECKING:
    from jinja2 import BaseLoader, Environment, Template, TemplateNotFound, nodes

Context = Mapping[str, Mapping[str, object]]
"""What templates see: everything under the one name `cookiecutter`."""


@dataclass(frozen=True)
class Rendered:
    """One file of a project. Projects of one kind share those that are the same in all."""

    content: bytes
    executable: bool

    @functools.cached_property
    def sha256(self) -> str:
        """Of the content."""
        return hashlib.sha256(self.content).hexdigest()


def render(kind: Kind, settings: Settings, given: Mapping[str, object]) -> dict[str, Rendered]:
    """The project of `settings` by relative POSIX path; `given` are the topology's `vars`.

    Raises KindError where a template is wrong, a variable is unknown, or a path would lead out of the project.
    """
    return render_context(kind, context(kind, settings, given))


def context(kind: Kind, settings: Settings, given: Mapping[str, object]) -> Context:
    """The settings as plain dictionaries, the variables beside them and again under `vars`."""
    variables = merged(kind, given)
    return {"cookiecutter": {**variables, **_plain_fields(settings), "vars": variables}}


def render_context(kind: Kind, context: Context) -> dict[str, Rendered]:
    """As `render`, of a context that is ready. A template from outside is rendered by cookiecutter itself."""
    return _render_compiled(kind, context) if kind.builtin else _render_by_cookiecutter(kind, context)


@functools.cache
def _field_names(cls: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(cls))


def _plain(value: Any) -> Any:
    """`dataclasses.asdict` without its deep copies, which cost more than the rendering."""
    if isinstance(value, str):
        return value
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return _plain_value(cast("Hashable", value)) if is_dataclass(value) else value


def _plain_fields(value: Any) -> dict[str, Any]:
    return {name: _plain(getattr(value, name)) for name in _field_names(value.__class__)}


_plain_value = functools.lru_cache(maxsize=4096)(_plain_fields)
"""Of a frozen value: projects have most of their values in common."""


_ITS_OWN = frozenset({"name", "address", "identity", "listen"})
"""No two projects agree in these: what mentions one of them is never printed twice."""
_MOST_KEPT = 64


_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True)
class _Text(Generic[_Made]):
    """A compiled template. `mentions` are the settings that it prints or asks about, None where that is not known.

    Thousands of projects of one kind agree in most of them: what is `made` of the text is kept for those that do.
    """

    template: Template
    mentions: tuple[str, ...] | None
    made: Callable[[str], _Made]
    kept: dict[tuple[str, ...], _Made] = field(default_factory=dict)

    def render(self, context: Context) -> _Made:
        settings = context["cookiecutter"]
        if self.mentions is None or not all(name in settings for name in self.mentions):
            return self.made(self.template.render(context))
        key = tuple([repr(settings[name]) for name in self.mentions])
        if key in self.kept:
            return self.kept[key]
        made = self.made(self.template.render(context))
        if len(self.kept) < _MOST_KEPT:
            self.kept[key] = made
        return made


@dataclass(frozen=True, slots=True)
class _Compiled:
    """One file of a template. `path` and `body` are compiled where they hold Jinja, and ready where they do not."""

    source: str
    path: _Text[str] | None
    body: _Text[Rendered] | Rendered


@functools.lru_cache(maxsize=64)
def _compiled(folder: Path, digest: str) -> tuple[_Compiled, ...]:
    """The templates of the project folder `folder`; `digest` names their content, so that a changed one is compiled."""
    from jinja2 import FileSystemLoader, PrefixLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    # No autoescape: what is rendered is configuration and code, not HTML, and each template quotes for its own syntax.
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        loader=PrefixLoader({shared_folder().name: FileSystemLoader(shared_folder())}),
        auto_reload=False,
    )
    environment.policies["json.dumps_function"] = _dumps
    return tuple(_compile(environment, name, path) for name, path in template_files(folder))


_encode = json.JSONEncoder(sort_keys=True).encode


def _dumps(value: object, **options: Any) -> str:
    """As `json.dumps`, which makes an encoder for every value where Jinja asks it to sort the keys."""
    return _encode(value) if options == {"sort_keys": True} else json.dumps(value, **options)


def _compile(environment: Environment, name: str, path: Path) -> _Compiled:
    from jinja2 import TemplateNotFound, TemplateSyntaxError

    content, executable = path.read_bytes(), is_executable(path)

    def file(text: str) -> Rendered:
        return Rendered(text.encode(), executable)

    try:
        body = _text(environment, content.decode(), file) if _is_template(content) else Rendered(content, executable)
        return _Compiled(name, _text(environment, name, str) if "{" in name else None, body)
    except TemplateSyntaxError as error:
        raise KindError(f"{error.filename or path}, line {error.lineno}: {error.message}") from error
    except TemplateNotFound as error:
        raise _no_such_part(str(path), error) from error


def _no_such_part(where: str, error: TemplateNotFound) -> KindError:
    shared = [f"{shared_folder().name}/{name}" for name, _ in template_files(shared_folder())]
    near = difflib.get_close_matches(str(error.name), shared, n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"there are {', '.join(shared)}"
    return KindError(f'{where}: there is no shared part "{error.name}"', hint=hint)


def _text(environment: Environment, source: str, made: Callable[[str], _Made]) -> _Text[_Made]:
    tree = environment.parse(source)
    mentions = _mentions(environment, tree)
    return _Text(environment.from_string(tree), mentions, made)


def _mentions(environment: Environment, tree: nodes.Template) -> tuple[str, ...] | None:
    """Which settings a template and the parts that it draws in read; None for what reads them in a way of its own."""
    mentioned: set[str] = set()
    for each in _with_parts(environment, tree):
        if each is None or (read := _read_by(each)) is None:
            return None
        mentioned |= read
    return tuple(sorted(mentioned))


def _with_parts(environment: Environment, tree: nodes.Template) -> Iterator[nodes.Template | None]:
    """A template and all that it includes or extends, each once; None for a part whose name only rendering can tell."""
    from jinja2.meta import find_referenced_templates

    waiting: list[nodes.Template] = [tree]
    found: set[str] = set()
    while waiting:
        tree = waiting.pop()
        yield tree
        for name in find_referenced_templates(tree):
            if name is None:
                yield None
            elif name not in found:
                found.add(name)
                waiting.append(_part(environment, name))


@functools.lru_cache(maxsize=64)
def _part(environment: Environment, name: str) -> nodes.Template:
    """What several files of one kind draw in."""
    source, filename, _ = cast("BaseLoader", environment.loader).get_source(environment, name)
    return environment.parse(source, name, filename)


def _read_by(tree: nodes.Template) -> set[str] | None:
    """The settings that one template reads, by `cookiecutter.NAME` alone; None where it does so in another way."""
    from jinja2 import nodes

    whole = sum(name.name == "cookiecutter" for name in tree.find_all(nodes.Name))
    read = [
        each.attr
        for each in tree.find_all(nodes.Getattr)
        if isinstance(each.node, nodes.Name) and each.node.name == "cookiecutter"
    ]
    # `cookiecutter.items()` reads everything: Jinja takes a dictionary's own attribute before its entry.
    if whole != len(read) or not _ITS_OWN.isdisjoint(read) or any(hasattr(dict, name) for name in read):
        return None
    return set(read)


def _is_template(content: bytes) -> bool:
    """Text that holds a delimiter; binary files (cookiecutter copies them too) are none."""
    return b"\0" not in content and any(delimiter in content for delimiter in (b"{{", b"{%", b"{#"))


def _render_compiled(kind: Kind, context: Context) -> dict[str, Rendered]:
    files: dict[str, Rendered] = {}
    sources: dict[str, str] = {}
    for template in _compiled(kind.folder / kind.project, kind.digest):
        try:
            path = template.path.render(context) if template.path else template.source
            if not path or path.endswith("/"):
                continue
            file = template.body if isinstance(template.body, Rendered) else template.body.render(context)
        except Exception as error:  # a template is code, which may raise anything
            said, hint = _told(error, context)
            where = _where(error, template.source)
            raise KindError(f'template "{kind.name}", {where}: {said}', hint=hint) from error
        _once(kind, template.source, path, sources)
        files[_inside(kind.name, template.source, path)] = file
    return files


def _where(error: BaseException, source: str) -> str:
    """The file of a template that raised `error` while it was rendered, and the line there, or in a part of it.

    `source`: that file, where it is known.
    """
    found = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if "__jinja_exception__" in frame.f_globals  # where Jinja has put its own lines in place of the code's
    ]
    if not found:
        return source
    file, line = found[-1]
    part = f" of {shared_folder().name}/{Path(file).name}" if Path(file).parent.name == shared_folder().name else ""
    return f"{source or Path(found[0][0]).name}, line {line}{part}"


_UNDEFINED = re.compile(r"'dict object' has no attribute '(\w+)'|'(\w+)' is undefined")


def _told(error: BaseException, context: Mapping[str, Mapping[str, object]]) -> tuple[str, str | None]:
    """What went wrong in a template's words, and the nearest of the names that it could have meant."""
    missing = _UNDEFINED.fullmatch(str(error))
    if missing is None:
        return str(error), None
    name = missing[1] or missing[2]
    near = difflib.get_close_matches(name, _names_in(context), n=1)
    hint = f'did you mean "{near[0]}"?' if near else "see docs/templates.md for the variables of a template"
    return f'there is no variable "{name}"', hint


def _names_in(value: object) -> set[str]:
    """Every name by which something is found in settings."""
    match value:
        case Mapping():
            return {str(name) for name in value} | set().union(*map(_names_in, value.values()))
        case list() | tuple():
            return set().union(*map(_names_in, value))
    return set()


def _once(kind: Kind, source: str, path: str, sources: dict[str, str]) -> None:
    """Notes in `sources` that `path` comes of `source`. Raises KindError where it came of another one before."""
    if (other := sources.setdefault(_folded(path), source)) != source:
        raise KindError(
            f'template "{kind.name}": {other} and {source} both become "{path}", or differ only in case',
            hint="rename one of them: many file systems keep one file for both",
        )


def _folded(path: str) -> str:
    """The path as file systems see it to which case, or how an accent is written, makes no difference."""
    return path.casefold() if path.isascii() else unicodedata.normalize("NFC", path).casefold()


_IN_FLIGHT = ".scaffold-tmp"
"""How a file ends that apply is writing; what a kill has left is removed."""

_SCAFFOLDS_OWN = frozenset(
    f"tls/{name}"
    for name in (
        *("cert.pem", "key.pem", "ca.pem", "intermediates.pem", "crl.pem", "staple.der"),
        *("bundle.pfx", "pfx-password", "client-cert.pem", "client-key.pem", "client-ca.pem"),
        *("combined.pem", "client-combined.pem", "truststore.p12", "client-truststore.p12"),
        ".gitignore",
    )
)
"""Keys, certificates and what goes with them: a template that brings one would overwrite what was just issued."""


@functools.lru_cache(maxsize=1024)
def _inside(kind: str, source: str, path: str) -> str:
    """`path`, which a template rendered from `source`.

    Raises KindError where it would lead out of the project, or is one that scaffold writes itself.
    """
    parts = path.split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise KindError(
            f'template "{kind}": the path {source} becomes "{path}", which is outside the project',
            hint="a path is relative, and has no `..`",
        )
    if not path.isprintable():
        said = f'template "{kind}": the path {source} becomes {path!a}, which has characters that cannot be printed'
        raise KindError(said, hint="choose another name")
    if ".git" in parts or path.endswith(_IN_FLIGHT):
        raise KindError(
            f'template "{kind}": a file may not be called {path}: that name is used by git or scaffold',
            hint="remove it from the template",
        )
    if len(parts) > source.count("/") + 1:
        raise KindError(f'template "{kind}": a value puts a folder into the path {source}: "{path}"')
    if path in _SCAFFOLDS_OWN:
        raise KindError(f'template "{kind}": scaffold writes {path} itself', hint="remove it from the template")
    return path


def _sandboxed(context: Mapping[str, Any]) -> Environment:
    """As cookiecutter's `create_env_with_context`, in Jinja's sandbox.

    Who may be rendered is decided before. This is a second wall: no file of a template runs a command by its Jinja.
    """
    from cookiecutter.environment import StrictEnvironment
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Sandboxed(StrictEnvironment, ImmutableSandboxedEnvironment):  # type: ignore[misc]
        pass

    own = context["cookiecutter"].get("_jinja2_env_vars", {})
    return cast("Environment", Sandboxed(context=context, keep_trailing_newline=True, **own))


_COOKIECUTTER = threading.Lock()  # cookiecutter changes the working directory, which is the whole process's


@contextlib.contextmanager
def _cookiecutter_in_sandbox() -> Iterator[None]:
    """Within, cookiecutter generates in the sandbox, and for nobody else."""
    from cookiecutter import generate

    with _COOKIECUTTER:
        usual = generate.create_env_with_context
        generate.create_env_with_context = _sandboxed
        try:
            yield
        finally:
            generate.create_env_with_context = usual


def _render_by_cookiecutter(kind: Kind, context: Context) -> dict[str, Rendered]:
    """The kind by cookiecutter's own generation, without its hooks, in a temporary folder."""
    from cookiecutter import generate
    from cookiecutter.exceptions import UndefinedVariableInTemplate
    from jinja2 import TemplateNotFound, TemplateSyntaxError

    from scaffold.kinds.places import Place

    full = {"cookiecutter": {**kind.private, **context["cookiecutter"]}}
    try:
        with _cookiecutter_in_sandbox(), bounded(), Place() as place:
            environment = _sandboxed(full)
            _derive_defaults(kind, environment, full["cookiecutter"])
            _refuse_bad_paths(kind, environment, full)
            folder = _with_shared_parts(kind, place / "template")
            project = generate.generate_files(str(folder), full, output_dir=place / "project", accept_hooks=False)
            return {
                path: Rendered(file.read_bytes(), is_executable(file)) for path, file in template_files(Path(project))
            }
    except UndefinedVariableInTemplate as error:  # its own text is the whole context
        said, hint = _told(error.error, full)
        where = _where(error.error, error.message.removeprefix("Unable to create file ").strip("'"))
        raise KindError(f'template "{kind.name}", {where}: {said}', hint=hint) from error
    except KindError:
        raise
    except TemplateNotFound as error:
        raise _no_such_part(f'template "{kind.name}"', error) from error
    except Exception as error:  # a template is code, which may raise anything
        where = "" if isinstance(error, TemplateSyntaxError) else _where(error, "")  # which says itself where it is
        at = f", {where}" if where else ""
        raise KindError(f'template "{kind.name}"{at}: {_said(kind, error)}', hint=_IN_TEMPLATE) from error


_IN_TEMPLATE = "fix the template, or choose another"


def _said(kind: Kind, error: Exception) -> str:
    match error:
        case TakesTooLong(seconds=seconds):
            return f"it is not rendered after {seconds:.3g} s of the processor's time"
        case MemoryError():
            return f"it takes more than {MEMORY >> 30} GiB of memory"
        case RecursionError():
            return "endless recursion: it includes or calls itself"
        case UnicodeDecodeError():
            files = template_files(kind.folder / kind.project)
            which = next((name for name, path in files if path.read_bytes() == error.object), "one of its files")
            return f"{which} is neither UTF-8 text nor binary"
        case OSError():
            return error.strerror or str(error)
    return str(error) or type(error).__name__


def _with_shared_parts(kind: Kind, folder: Path) -> Path:
    """A copy of the template in `folder`, with the shared parts where cookiecutter looks for what a file includes."""
    parts = own_parts(folder)
    shutil.copytree(kind.folder / kind.project, folder / kind.project)
    _copy_files(shared_folder(), parts / shared_folder().name)
    _copy_files(own_parts(kind.folder), parts)
    return folder


def _copy_files(source: Path, target: Path) -> None:
    for name, path in template_files(source):
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)


def _derive_defaults(kind: Kind, environment: Environment, values: dict[str, object]) -> None:
    """Renders a default that is a template of other variables, as cookiecutter does, and nothing a person gave."""
    for name, default in kind.defaults.items():
        if isinstance(default, str) and "{" in default and values[name] == default:
            values[name] = environment.from_string(default).render(cookiecutter=values)


def _refuse_bad_paths(kind: Kind, environment: Environment, context: Context) -> None:
    """Renders every path before cookiecutter does: it would follow one that leads out, before anyone could look.

    Raises KindError for that, and for two files that become one, or two folders, which it does not take either.
    """
    project = kind.folder / kind.project
    _inside(kind.name, kind.project, environment.from_string(kind.project).render(context))
    sources: dict[str, str] = {}
    for path in sorted(project.rglob("*")):
        source = path.relative_to(project).as_posix()
        rendered = environment.from_string(source).render(context)
        if path.is_dir() or (rendered and not rendered.endswith("/")):  # a file whose name is empty is left out
            _once(kind, source, _inside(kind.name, source, rendered), sources)
