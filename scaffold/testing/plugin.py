"""The pytest plugin, which pytest finds by itself: the session fixture `scaffold_env`.

It is loaded in every session of whoever has the package installed, so that nothing but pytest is imported here until
the fixture is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from scaffold.errors import ScaffoldError
    from scaffold.testing.environment import Environment

INI = "scaffold_topology"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The setting in the ini file."""
    parser.addini(INI, "The topology of the fixture scaffold_env, relative to the ini file.", default="topology.yaml")


@pytest.fixture(scope="session")
def scaffold_env(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """The topology's certificates in a temporary folder of this session; see `scaffold.testing.environment`."""
    from scaffold.errors import ScaffoldError
    from scaffold.testing.environment import Environment

    folder, wrong = tmp_path_factory.mktemp("scaffold"), None
    try:
        environment = Environment.of(_topology(pytestconfig), folder, unavailable=_skip)
    except ScaffoldError as error:
        wrong = error
    if wrong is not None:
        _fail(wrong)  # out of `except`, where pytest would show both
    with environment:
        yield environment


def _topology(config: pytest.Config) -> Path:
    base = config.inipath.parent if config.inipath is not None else config.rootpath
    return base / str(config.getini(INI))


def _skip(reason: str) -> NoReturn:
    pytest.skip(reason)


def _fail(error: ScaffoldError) -> NoReturn:
    """A topology that cannot be is told as `scaffold validate` tells it, without a traceback."""
    where = f"{error.place}: " if error.place is not None else ""
    hint = f"\nhint: {error.hint}" if error.hint is not None else ""
    pytest.fail(f"{where}{error.message}{hint}", pytrace=False)
