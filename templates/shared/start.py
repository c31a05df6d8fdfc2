{% block about %}{% endblock %}

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
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


class _Files(importlib.abc.MetaPathFinder):
    """Finds the modules that are files of this folder; the standard library's names stay its own."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> importlib.machinery.ModuleSpec | None:
        if path is not None or fullname in sys.stdlib_module_names:
            return None
        file = HERE / f"{fullname}.py"
        if not file.is_file():
            return None
        return importlib.util.spec_from_file_location(fullname, file, loader=_Source(fullname, str(file)))


sys.meta_path.insert(0, _Files())
sys.path.append(str(HERE))  # for packages of your own, behind all that is installed
sys.exit(importlib.import_module("{% block module %}{% endblock %}").main())
