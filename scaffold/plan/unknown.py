"""What a plan cannot know: keys that apply makes, and all that is made of them."""

from __future__ import annotations

import enum
from typing import TypeVar

from scaffold.errors import PlanError


class Unknown(enum.Enum):
    """Stands where a value will be. It has one member, so that `is` and `isinstance` tell it from every value."""

    AFTER_APPLY = "known after apply"


_T = TypeVar("_T")


def known(value: _T | Unknown) -> _T:
    """The value, once apply has made it. Raises PlanError where it was not made."""
    if isinstance(value, Unknown):
        raise PlanError("a CA is not made yet", hint="see `scaffold plan`")
    return value
