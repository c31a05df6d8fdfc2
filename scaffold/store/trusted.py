"""Which templates of apps a person has said that they trust: in their own configuration, and in no file of a topology.

{"trusted": {TEMPLATE: [VERSION, …]}}        a commit, or `sha256:` and the digest of a folder
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scaffold.errors import StoreError
from scaffold.store import whole_file

_NAME: Final = "trusted.json"
_HINT: Final = "fix or remove it; --trust writes it again"


def place(environment: Mapping[str, str]) -> Path:
    """The file, as the XDG base directory specification has it."""
    above = environment.get("XDG_CONFIG_HOME", "")
    base = Path(above) if Path(above).is_absolute() else Path(environment.get("HOME") or Path.home()) / ".config"
    return base / "scaffold" / _NAME


@dataclass(frozen=True, slots=True)
class Trusted:
    """The versions that are trusted, by the name of the template."""

    versions: Mapping[str, frozenset[str]]

    def knows(self, template: str) -> bool:
        """Whether any version of a template is trusted."""
        return bool(self.versions.get(template))

    def is_trusted(self, template: str, version: str) -> bool:
        """Whether that one is."""
        return version in self.versions.get(template, frozenset())


def load(file: Path) -> Trusted:
    """What is trusted; nothing where there is no such file. Raises StoreError."""
    try:
        said = json.loads(file.read_text("utf-8"))["trusted"]
        return Trusted({str(name): frozenset(map(str, versions)) for name, versions in said.items()})
    except FileNotFoundError:
        return Trusted({})
    except OSError as error:
        raise StoreError(f"cannot read {file}: {error.strerror}", hint=_HINT) from error
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{file} is not a list of trusted templates", hint=_HINT) from error


def trust(file: Path, template: str, version: str) -> None:
    """Remembers a version of a template. Raises StoreError."""
    known = load(file).versions
    versions = {**known, template: known.get(template, frozenset()) | {version}}
    _write(file, {"trusted": {name: sorted(of_it) for name, of_it in sorted(versions.items())}})


def _write(file: Path, value: Any) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        whole_file.write(file, f"{json.dumps(value, indent=1)}\n".encode())
    except OSError as error:
        raise StoreError(
            f"cannot write {file}: {error.strerror}", hint="the trusted templates are stored there; make it writable"
        ) from error
