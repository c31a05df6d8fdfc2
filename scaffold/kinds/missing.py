"""What the output of a program says that this machine lacks: a module, a package of Node, another program."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Sort(StrEnum):
    """Of what sort a missing thing is."""

    MODULE = "module"
    NODE_PACKAGE = "node package"
    PROGRAM = "program"


@dataclass(frozen=True, slots=True)
class Missing:
    """A thing that is missing, by the name that its sort has for it."""

    sort: Sort
    name: str

    @property
    def package(self) -> str:
        """The package of PyPI that most often holds a module; of other sorts the name itself."""
        return _PACKAGES.get(self.name, self.name.replace("_", "-")) if self.sort is Sort.MODULE else self.name


_PACKAGES: Final = {
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "git": "GitPython",
    "ruamel": "ruamel.yaml",
    "slugify": "python-slugify",
    "yaml": "PyYAML",
}
"""Where a package is called otherwise than its module, and another one by the name of the module."""

_SAID: Final = (
    (Sort.MODULE, re.compile(r"No module named '?(\w+)")),
    (Sort.NODE_PACKAGE, re.compile(r"Cannot find (?:module|package) '([^'./][^']*)'")),
    (Sort.PROGRAM, re.compile(r"(?m)(?:^|\s)([\w.+-]+): (?:command )?not found$")),
    (Sort.PROGRAM, re.compile(r"env: \W?([\w.+-]+)\W?: No such file or directory")),
)
_STARTED: Final = re.compile(r"_execute_child\b[\s\S]*No such file or directory: '([^'/]+)'")
"""A program that starts another one. A file that it does not find has the same words without that function."""


def missing(output: str) -> Missing | None:
    """What is missing by the words of an interpreter, a shell or env; None where they say nothing of that."""
    for sort, pattern in (*_SAID, (Sort.PROGRAM, _STARTED)):
        if (found := pattern.search(output)) is not None:
            return Missing(sort, found[1])
    return None
