"""What the service answers. This file is yours: guard.py lets nobody get here who may not call."""

from __future__ import annotations

from http import HTTPStatus

import calls
import guard


class Handler(guard.Handler):
    """Add a method `do_POST` and the like to answer others than GET; `self.read_body()` is what was sent."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/":
            self.answer(
                HTTPStatus.OK,
                {
                    "server": self.settings.name,
                    "greeting": self.settings.greeting,
                    "caller": self.caller.identity,
                    "on_behalf_of": self.caller.on_behalf_of,
                },
            )
        elif path.startswith("/call/"):
            self.call(path.removeprefix("/call/"))
        else:
            self.answer(HTTPStatus.NOT_FOUND, {"error": "there is no such page"})

    def call(self, name: str) -> None:
        """Asks another server, with this one's client certificate."""
        callee = self.settings.calls.get(name)
        if callee is None:
            self.answer(HTTPStatus.NOT_FOUND, {"error": f"{self.settings.name} calls no such server"})
            return
        try:
            status, answer = calls.get(callee, self.store.current.client)
        except calls.CallFailed as error:
            self.answer(HTTPStatus.BAD_GATEWAY, {"error": f"{name}: {error}"})
            return
        self.send(status, answer)
