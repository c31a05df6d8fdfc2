"""The rooms of the house: each imports only those before it, no files import one another, and what is slow waits."""

from __future__ import annotations

import ast
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

import scaffold
from scaffold.kinds.catalogue import templates_folder
from scaffold.topology.address import Part

PACKAGE = Path(scaffold.__file__).parent

parsed = cache(ast.parse)

ROOMS = (
    "errors", "topology", "pki", "settings", "kinds", "store", "issuers", "plan",
    "apply", "running", "publish", "verify", "explain", "inventory", "contract", "trusting", "view", "cli", "testing",
)  # fmt: skip

SLOW = {"cryptography", "asn1crypto", "cookiecutter", "jinja2", "OpenSSL", "pydantic", "yaml", "rich"}
"""Nothing that `scaffold --help` or `scaffold validate` needs; `topology` and `cli` import them inside functions."""


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room_of(dotted: str) -> str | None:
    """The room of `scaffold.ROOM.…`; None for the package itself."""
    parts = dotted.split(".")
    return parts[1] if len(parts) > 1 else None


def dotted_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import under `tree`, those inside functions included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative imports hide the room"
            assert node.module is not None
            if node.module == "scaffold":
                yield from ((node.lineno, f"scaffold.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, node.module


def arrows_back(source: str, room: str) -> list[str]:
    """The imports in `source`, a module of `room`, that run against the order of the rooms."""
    back = []
    for line, name in imported(parsed(source)):
        target = room_of(name) if name.startswith("scaffold") else None
        if target in ROOMS and ROOMS.index(target) > ROOMS.index(room):
            back.append(f"line {line}: {room} imports {name}")
    return back


def files_imported(source: str, files: Container[str]) -> set[str]:
    """The modules among `files` that `source` imports, those inside functions or for types alone included."""
    found = set()
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            # `from scaffold.pki import keys` is an import of the file keys, and of the package that holds it.
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {part for part in parts if part in files} or {node.module}
    return {name for name in found if name in files}


def circles(imports: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Every set of files that import one another, directly or by way of others (Tarjan's components)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    open_files: list[str] = []
    found: list[list[str]] = []

    def visit(file: str) -> None:
        number[file] = lowest[file] = len(number)
        open_files.append(file)
        for other in imports[file]:
            if other not in number:
                visit(other)
                lowest[file] = min(lowest[file], lowest[other])
            elif other in open_files:
                lowest[file] = min(lowest[file], number[other])
        if lowest[file] == number[file]:
            start = open_files.index(file)
            found.append(sorted(open_files[start:]))
            del open_files[start:]

    for file in imports:
        if file not in number:
            visit(file)
    return [files for files in found if len(files) > 1 or files[0] in imports[files[0]]]


def slow_at_import(source: str) -> list[str]:
    """The slow libraries that `source` imports when it is itself imported."""
    names = []
    pending: list[ast.AST] = [parsed(source)]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
        pending += ast.iter_child_nodes(node)
    return [name for name in names if name.split(".")[0] in SLOW]


@pytest.mark.parametrize("path", modules(), ids=dotted_name)
def test_no_arrow_runs_back(path: Path) -> None:
    room = room_of(dotted_name(path))
    if room in ROOMS:
        assert arrows_back(path.read_text("utf-8"), room) == []
    else:
        assert room in (None, "__main__"), f"{room} is no room of the house"


@pytest.mark.parametrize(
    "path",
    [p for p in modules() if room_of(dotted_name(p)) in ("topology", "cli", "errors", "settings")],
    ids=dotted_name,
)
def test_what_is_slow_is_imported_where_it_is_used(path: Path) -> None:
    assert slow_at_import(path.read_text("utf-8")) == []


def test_no_files_import_one_another() -> None:
    sources = {dotted_name(path): path.read_text("utf-8") for path in modules()}
    assert circles({name: files_imported(source, sources) for name, source in sources.items()}) == []


def test_the_check_sees_a_circle_wherever_the_import_stands() -> None:
    files = {"scaffold.a", "scaffold.b", "scaffold.c", "scaffold.room", "scaffold.room.d"}
    for source in (
        "from scaffold import b", "import scaffold.b", "from scaffold.b import B",
        "def f():\n    from scaffold.b import B\n", "if TYPE_CHECKING:\n    from scaffold.b import B\n",
    ):  # fmt: skip
        assert files_imported(source, files) == {"scaffold.b"}, source
    assert files_imported("from scaffold.room import d, nothing\nimport os\n", files) == {"scaffold.room.d"}
    assert files_imported("from scaffold.room import nothing\n", files) == {"scaffold.room"}
    assert circles({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == [["b", "c"]]
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a", "d"}}) == [["a", "b", "c"], ["d"]]


def test_a_module_says_in_its_first_line_what_it_is_for() -> None:
    silent = [dotted_name(p) for p in modules() if not ast.get_docstring(parsed(p.read_text("utf-8")))]
    assert silent == []


ADDRESS = "scaffold.topology.address"

_SPLITS = {"partition", "rpartition", "split", "rsplit"}
_LOOKS_AT_AN_END = {"startswith", "endswith", "removeprefix", "removesuffix"}

DOTS_OF_OTHER_THINGS = {
    "scaffold.topology.names", "scaffold.topology.constraints", "scaffold.pki.profiles",  # DNS names
    "scaffold.kinds.namesakes",  # common names that pass for DNS names
    "scaffold.kinds.limits", "scaffold.running.availability",  # versions
}  # fmt: skip


def takes_addresses_apart(source: str) -> list[str]:
    """Where `source` takes text apart at a dot, or at what an address begins or ends with."""
    ends = ("ca.", "server.", "client.", *(f".{part.value}" for part in Part))
    found = []
    for node in ast.walk(parsed(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        words = {one.value for argument in node.args for one in ast.walk(argument) if isinstance(one, ast.Constant)}
        verb = node.func.attr
        if (verb in _SPLITS and "." in words) or (verb in _LOOKS_AT_AN_END and not words.isdisjoint(ends)):
            found.append(f"line {node.lineno}: {ast.unparse(node)}")
    return found


@pytest.mark.parametrize("path", modules(), ids=dotted_name)
def test_one_module_alone_takes_addresses_apart(path: Path) -> None:
    found = takes_addresses_apart(path.read_text("utf-8"))
    if dotted_name(path) == ADDRESS:
        assert found
    elif dotted_name(path) not in DOTS_OF_OTHER_THINGS:
        assert found == []


def test_the_check_sees_an_address_taken_apart() -> None:
    for expression in (
        'address.rpartition(".")[0]', 'str(a).split(".")', 'a.startswith("ca.")', 'a.startswith(("ca.", "server."))',
        'a.removesuffix(".certificate")', 'a.endswith(".ocsp")', 'a.partition(".")',
    ):  # fmt: skip
        assert len(takes_addresses_apart(expression)) == 1, expression
    assert takes_addresses_apart('a.partition(":"), a.split(), "server.x".upper()') == []


_BY_HAND = re.compile(r"(?<![\w.])(ca|server|client)\.\{")


def addresses_by_hand(source: str) -> list[str]:
    """The lines of `source` that put an address together as a text."""
    return [line for line in source.splitlines() if _BY_HAND.search(line)]


@pytest.mark.parametrize("path", modules(), ids=dotted_name)
def test_no_address_is_put_together_by_hand(path: Path) -> None:
    assert addresses_by_hand(path.read_text("utf-8")) == []


def test_the_check_sees_an_address_put_together() -> None:
    for line in ('f"ca.{name}: {why}"', 'f"the key of server.{self.name}"', "f'client.{x}'"):
        assert addresses_by_hand(line), line
    assert addresses_by_hand('f"{Address.ca(name)}: {cookiecutter.{x}}"') == []


_ON_A_REASON = re.compile(r"\bReasonCode\b|\breasons?(\[-?\d+\])?\.code\b|\bsentences?\(")


def decisions_on_reasons(source: str) -> list[str]:
    """Where `source` compares, branches or matches on a reason's code or words."""
    tree = parsed(source)
    asked = [node for node in ast.walk(tree) if isinstance(node, ast.Compare)]
    tests = [node.test for node in ast.walk(tree) if isinstance(node, ast.If | ast.IfExp | ast.While | ast.Assert)]
    matched = [node.subject for node in ast.walk(tree) if isinstance(node, ast.Match)]
    said = [(node.lineno, ast.unparse(node)) for node in (*asked, *tests, *matched)]
    return [f"line {line}: {text}" for line, text in said if _ON_A_REASON.search(text)]


@pytest.mark.parametrize("path", modules(), ids=dotted_name)
def test_nothing_is_decided_on_a_reason(path: Path) -> None:
    assert decisions_on_reasons(path.read_text("utf-8")) == []


def test_the_check_sees_a_decision_on_a_reason() -> None:
    for decision in (
        'change.reasons[0].code == "due"', "one.code is ReasonCode.DUE", "1 if reason.code in KNOWN else 2",
        "if 'due' in sentence(reason): pass",
    ):  # fmt: skip
        assert decisions_on_reasons(decision), decision
    assert decisions_on_reasons("Reason(ReasonCode.DUE)") == []


def test_the_checks_see_an_arrow_and_a_slow_import() -> None:
    assert arrows_back("def f():\n    from scaffold.cli.app import run\n", "plan") == [
        "line 2: plan imports scaffold.cli.app"
    ]
    assert arrows_back("from scaffold import view\n", "topology") == ["line 1: topology imports scaffold.view"]
    assert slow_at_import("class A:\n    import yaml\n") == ["yaml"]
    assert slow_at_import("def f():\n    import yaml\n") == []


def kind_names(templates: Path) -> tuple[str, ...]:
    """What the built-in kinds are called: their folders under `servers` and `clients`."""
    return tuple(sorted({path.parent.name for path in templates.glob("*s/*/cookiecutter.json")}))


OF_THE_INTERPRETER = {
    "scaffold.__main__": ("python -m scaffold",),  # how this very program is run
    "scaffold.kinds.missing": ("python-dateutil", "python-dotenv", "python-slugify"),  # packages that are called so
    "scaffold.plan.adopted": ("Python 3.13 and later",),  # whose own TLS verifies strictly by default
    "scaffold.publish.app": ("as an ASGI application", "The ASGI application"),  # what it is, like a WSGI one
    "scaffold.verify.tls": ("under this Python",),  # what probes, and what its OpenSSL cannot offer
}
"""Where the name of a kind is a word for something else: what runs scaffold, and what many clients are written in."""


PLAIN_WORDS = frozenset({"files"})
"""Kinds that are called by a word of every day, which is a key of the language as well: it stands in any source. Those
are looked for where a kind is meant: beside `template`, `kind`, or what compares a name."""

_MEANS_A_KIND = r"(?:(?:template|kind)\s*(?::|=|==|!=|in\b|is\b|\s)\s*|name\s*(?:==|!=|in\b)\s*)[\"'`(\[{]*"


def names_of_kinds(source: str, names: Iterable[str], allowed: Iterable[str] = ()) -> list[str]:
    """The lines of `source` in which the name of a kind stands as a word: in code, in a text or in a comment."""
    names = tuple(names)
    rare = "|".join(re.escape(name) for name in names if name not in PLAIN_WORDS)
    plain = "|".join(re.escape(name) for name in names if name in PLAIN_WORDS)
    patterns = [rf"(?<![a-z])({rare})(?![a-z])", *([rf"(?<![a-z]){_MEANS_A_KIND}({plain})(?![a-z_])"] if plain else [])]
    word = re.compile("|".join(patterns), re.IGNORECASE)
    found = []
    for number, line in enumerate(source.splitlines(), 1):
        rest = line
        for phrase in allowed:
            rest = rest.replace(phrase, "")
        found += [f"line {number}: {match[0]} in {line.strip()!r}" for match in word.finditer(rest)]
    return found


@pytest.mark.parametrize("path", modules(), ids=dotted_name)
def test_no_kind_is_named(path: Path) -> None:
    """What is peculiar to a kind stands in its folder, and is declared there."""
    allowed = OF_THE_INTERPRETER.get(dotted_name(path), ())
    assert names_of_kinds(path.read_text("utf-8"), kind_names(templates_folder()), allowed) == []


def test_what_is_allowed_of_the_interpreter_is_there() -> None:
    for module, phrases in OF_THE_INTERPRETER.items():
        source = (PACKAGE.parent / Path(*module.split("."))).with_suffix(".py").read_text("utf-8")
        assert all(phrase in source for phrase in phrases), module


def test_the_check_sees_a_kind_that_is_named() -> None:
    names = kind_names(templates_folder())
    assert {"nginx", "python", "kestrel"} <= set(names)
    for line in (
        'if kind.name == "nginx":', "# Kestrel closes without an alert.", '_HANDED_ON = r"PATH|DOTNET_\\w+"',
        "nginx_needs = 1", '"""`python3` is there."""', "x = 'template: python'", "# as curl's own", "# PYTHON",
    ):  # fmt: skip
        assert names_of_kinds(line, names), line
    assert names_of_kinds("curly = pythonic(engine_x)", names) == []
    assert "files" in names
    for line in (
        'if kind.name == "files":', "x = 'template: files'", 'template "files" is', 'name in {"files"}',
        "the kind `files`", 'party.template != "files"',
    ):  # fmt: skip
        assert names_of_kinds(line, names), line
    assert names_of_kinds('files = t.place("servers", name, "files")  # of its files', names) == []
    assert names_of_kinds("# Python 3.13 and later", names, ("Python 3.13 and later",)) == []
    assert names_of_kinds("# python, Python 3.13 and later", names, ("Python 3.13 and later",)) != []
