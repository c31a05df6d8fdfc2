"""Starts the service: here `import mtls` means the folder beside this file, and `import app` app.py.

No package of that name takes their place, and no compiled copy. Modules and packages of your own may lie beside
app.py, behind all that is installed.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import importlib.util
import sys
from pathlib import Path
from types import CodeType

HERE = Path(__file__).resolve().parent


class _Source(importlib.machinery.SourceFileLoader):
    """Compiles the text of the file, and uses no copy that was compiled before."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class _Here(importlib.abc.MetaPathFinder):
    """Finds app.py and the modules of mtls/."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> importlib.machinery.ModuleSpec | None:
        if fullname == "mtls":
            file = HERE / "mtls/__init__.py"
            loader = _Source(fullname, str(file))
            return importlib.util.spec_from_file_location(
                fullname, file, loader=loader, submodule_search_locations=[str(file.parent)]
            )
        package, _, name = fullname.rpartition(".")
        if package != "mtls" and fullname != "app":
            return None
        file = HERE / package / f"{name}.py"
        if not file.is_file():
            return None
        return importlib.util.spec_from_file_location(fullname, file, loader=_Source(fullname, str(file)))


def other_versions() -> list[str]:
    """What is not installed of mtls/requirements.txt, or in another version than the guard was made for."""
    wanted = (line.split() for line in (HERE / "mtls/requirements.txt").read_text(encoding="utf-8").splitlines())
    return [words[0] for words in wanted if words and not words[0].startswith("#") and not _is_there(words[0])]


def _is_there(pinned: str) -> bool:
    name, _, version = pinned.partition("==")
    try:
        return importlib.metadata.version(name) == version
    except importlib.metadata.PackageNotFoundError:
        return False


if missing := other_versions():
    sys.exit(f"{sys.executable} lacks {', '.join(missing)}: `pip install -r requirements.txt -r mtls/requirements.txt`")
sys.meta_path.insert(0, _Here())
sys.path.append(str(HERE))
sys.exit(importlib.import_module("mtls.server").main())
