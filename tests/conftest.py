"""What all tests share."""

from __future__ import annotations

import os

from hypothesis import settings

# Runners vary in speed; a slow one must not turn a property into a failure. Examples in CI are always the same ones.
settings.register_profile("default", deadline=None, max_examples=60)
settings.register_profile("ci", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")
