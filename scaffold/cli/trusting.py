"""Whom a person trusts: somebody else's template is a program, and runs only where they have said so."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Final

import typer

from scaffold.errors import KindError

_AT_VERSION: Final = re.compile(r"(.+)@(sha256:[0-9a-f]{64}|[0-9a-f]{40}|[0-9a-f]{64})")
ADD_IT: Final = "add --trust {}"
"""How it is said on a verb that has the option."""


@dataclass(frozen=True, slots=True)
class Trust:
    """A template that a person has said they trust, as they wrote it: at one version, or (None) as it is now."""

    template: str
    version: str | None = None

    @classmethod
    def read(cls, text: str) -> Trust:
        """`TEMPLATE`, or `TEMPLATE@VERSION` with a whole commit or digest: a part of one could be made to fit."""
        found = _AT_VERSION.fullmatch(text)
        return cls(found[1], found[2]) if found is not None else cls(text)

    def means(self, template: str, base: Path) -> bool:
        """Whether it is the template that a topology in the folder `base` calls so: as written there, or as a path."""
        from scaffold.kinds.fetching import named

        return self.template == template or named(self.template, Path.cwd()) == named(template, base)


@dataclass(frozen=True, slots=True)
class Program:
    """A template as it is now: `version` says which, `would_run` in words what is run where it is used."""

    template: str
    base: Path
    version: str
    would_run: Sequence[str]

    def check_trusted(self, trust: Sequence[str], how_to: str, *, is_own: bool = False) -> None:
        """Raises KindError unless it is the topology's own, or a person has said that they trust this version.

        `trust` are the templates for which they say it now, which is remembered. `how_to` says how that is said, with
        `{}` for the template and its version.
        """
        from scaffold.kinds.fetching import named
        from scaffold.store import trusted

        asked = [one for one in map(Trust.read, trust) if one.means(self.template, self.base)]
        agreed = any(one.version in (None, self.version) for one in asked)
        if asked and not agreed:
            raise self._refusal("is not the version that --trust names", "read it again", how_to)
        if is_own:
            return
        file, name = trusted.place(os.environ), named(self.template, self.base)
        if trusted.load(file).is_trusted(name, self.version):
            return
        if not agreed:
            said = "is somebody else's program, and you have not trusted it yet"
            raise self._refusal(said, "read it", how_to)
        typer.echo(f"Trusted from now on: {self._shown}. It runs:{self._listed}", err=True)
        trusted.trust(file, name, self.version)

    def _refusal(self, said: str, read_it: str, how_to: str) -> KindError:
        how = how_to.format(quote(f"{self.template}@{self.version}"))
        return KindError(
            f"{self._shown} {said}. It would run:{self._listed}",
            hint=f"{read_it}; to run it, {how}. Nothing was changed",
        )

    @property
    def _shown(self) -> str:
        from scaffold.plan.apps import SHOWN_VERSION

        return f'the template "{self.template}" (at {self.version[:SHOWN_VERSION]})'

    @property
    def _listed(self) -> str:
        """What it runs; no name in it can hide another from whoever reads it in a terminal."""
        from scaffold.view.terminal import one_line

        return "".join(f"\n  - {one_line(one)}" for one in self.would_run)
