"""What the service answers. This file is yours: guard.py lets nobody get here who may not call."""

from __future__ import annotations

from http import HTTPStatus

import guard


class Handler(guard.Handler):
    """Add a method `do_POST` and the like to answer others than GET; `self.read_body()` is what was sent."""

    def do_GET(self) -> None:
        if self.path.partition("?")[0] == "/":
            self.answer(HTTPStatus.OK, {**self.who_called(), "greeting": self.settings.greeting})
        else:
            self.answer(HTTPStatus.NOT_FOUND, {"error": "there is no such page"})
