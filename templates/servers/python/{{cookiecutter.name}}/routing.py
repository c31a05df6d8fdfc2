"""Finds the function of routes.py that answers a request, and sends what it returns."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

import calls
import guard
from guard import Caller, HttpError
from settings import Settings

REST = "/..."


@dataclass(frozen=True)
class Answer:
    """What a function of routes.py returns: text and bytes are sent as they are, all else as JSON."""

    body: Any
    status: int = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)


class Request:
    """One request of a caller who was let in. A function may raise HttpError(status, reason)."""

    def __init__(self, handler: guard.Handler) -> None:
        self._handler = handler
        self.path, _, self._query = handler.path.partition("?")

    @property
    def caller(self) -> Caller:
        """Who asks: `identity`, `roles`, and `on_behalf_of` where a gateway asks for somebody."""
        return self._handler.caller

    @property
    def settings(self) -> Settings:
        """What settings.json says."""
        return self._handler.settings

    @property
    def method(self) -> str:
        return self._handler.command

    @property
    def query(self) -> dict[str, list[str]]:
        """The values in the query of the URL, by name."""
        return parse_qs(self._query, keep_blank_values=True)

    def header(self, name: str) -> str | None:
        """A header of the request; None where it was not sent."""
        return self._handler.headers.get(name)

    def read_body(self) -> bytes:
        """What was sent, up to 1 MiB. Raises HttpError where it is longer or has no length."""
        return self._handler.read_body()

    def who_called(self) -> dict[str, Any]:
        """The server, the caller, and the caller behind a gateway."""
        return self._handler.who_called()

    def call(self, name: str, path: str = "/") -> tuple[int, bytes]:
        """GET `path` of another server, with this one's client certificate. Raises KeyError and calls.CallFailed."""
        return calls.get(self.settings.calls[name], name, self._handler.store.current, path)


Function = Callable[[Request], Answer]


class Table:
    """The functions of routes.py."""

    def __init__(self, routes: Mapping[str, Function]) -> None:
        """Raises ValueError for an entry that could never answer."""
        self._by_path: dict[str, dict[str, Function]] = {}
        for name, function in routes.items():
            method, _, path = name.partition(" ")
            if not (method.isupper() and path.startswith("/") and callable(function)):
                wanted = "a method and a path, such as 'GET /orders', with a function"
                raise ValueError(f"routes.py: {name!r} must be {wanted}")
            if path == guard.CALLER:
                raise ValueError(f"routes.py: {path} is answered before anything is looked for here")
            self._by_path.setdefault(path, {})[method] = function

    def find(self, method: str, path: str) -> Function:
        """The function that answers. Raises HttpError where there is none."""
        for candidate in _candidates(path):
            if methods := self._by_path.get(candidate):
                break
        else:
            raise HttpError(HTTPStatus.NOT_FOUND, "there is no such page")
        function = methods.get("GET" if method == "HEAD" and "HEAD" not in methods else method)
        if function is None:
            allow = ", ".join(sorted({*methods, *(["HEAD"] if "GET" in methods else [])}))
            raise HttpError(HTTPStatus.METHOD_NOT_ALLOWED, f"only {allow} is answered", {"Allow": allow})
        return function


def _candidates(path: str) -> Iterator[str]:
    """The entries that a path may have, the longest first."""
    yield path
    while path:
        path = path.rpartition("/")[0]
        yield path + REST


class Handler(guard.Handler):
    """Answers by routes.py."""

    table: Table

    def _answerer(self) -> Callable[[], None]:
        request = Request(self)
        function = self.table.find(self.command, request.path)
        return lambda: self._send_answer(function(request))

    def _send_answer(self, answer: Answer) -> None:
        match answer.body:
            case bytes():
                body, kind = answer.body, "application/octet-stream"
            case str():
                body, kind = answer.body.encode(), "text/plain; charset=utf-8"
            case _:
                body, kind = json.dumps(answer.body).encode() + b"\n", "application/json"
        self.send(answer.status, body, {"Content-Type": kind, **answer.headers})
