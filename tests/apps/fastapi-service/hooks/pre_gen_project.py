import re
import sys

MODULE = "{{ cookiecutter.__module }}"

if not re.fullmatch(r"[a-z][a-z0-9_]*", MODULE):
    print(f"ERROR: {MODULE!r} is no name of a Python module", file=sys.stderr)
    sys.exit(1)
