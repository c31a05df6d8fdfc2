"""Starting the app behind a front: the command that the topology gives, in the folder that its template made."""

from __future__ import annotations

import contextlib
import functools
import http.client
import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from scaffold.errors import VerifyError
from scaffold.running.placement import Ports
from scaffold.running.ports import free_addresses, why_taken
from scaffold.running.services import Launch, where
from scaffold.topology.address import Address, Part
from scaffold.topology.model import App, Backend, HostPort, ReadyLine, ReadyPath, Server, UnixSocket

_ANSWERS_WITHIN: Final = 5.0
"""Seconds for one answer; who is late is asked again."""


def has_command(server: Server) -> bool:
    """Whether the topology says how the app behind a server is started."""
    return server.app is not None and bool(server.app.run)


def place_apps(servers: Iterable[Server], ports: Ports) -> dict[str, Backend]:
    """Where each app behind `servers` listens that the topology says how to start, by the name of its server.

    `auto` moves those that listen at a port, unless their command names that port itself: it would not be heard of.
    """
    places = {one.name: one.backend for one in servers if one.backend is not None and has_command(one)}
    if ports == "auto":
        moved = [one.name for one in servers if one.name in places and can_be_moved(one)]
        places.update(zip(moved, free_addresses(len(moved)), strict=True))
    return places


def can_be_moved(server: Server) -> bool:
    """Whether the app behind a server learns of its port from its environment alone."""
    if not isinstance(server.backend, HostPort) or server.app is None:
        return False
    port = re.compile(rf"(?<!\d){server.backend.port}(?!\d)")
    return not any(port.search(argument) for argument in server.app.run)


def moved_app(server: Server, places: Mapping[str, Backend]) -> HostPort | None:
    """Where the app behind a server is, where that is elsewhere than the server was rendered for."""
    place = places.get(server.name)
    return place if isinstance(place, HostPort) and place != server.backend else None


def launch_app(server: Server, app: App, backend: Backend, folder: Path) -> Launch:
    """How to start the app of `server` in `folder`. It is told where to listen by BACKEND, HOST and PORT.

    Raises VerifyError where it is not there, its program is not, or somebody else listens in its place.
    """
    address = Address.server(server.name, Part.APP)
    if not folder.is_dir():
        raise VerifyError(f"{address} is not there: {folder}", hint="`scaffold apply` makes it")
    _check_program(address, app.run[0], folder)
    _check_free(address, backend)
    told = {"BACKEND": str(backend), "PYTHONUNBUFFERED": "1"}
    if isinstance(backend, HostPort):
        told |= {"HOST": backend.host, "PORT": str(backend.port)}
    name = f"{server.name}.{Part.APP}"
    match app.ready:
        case ReadyLine(pattern):
            listens = (backend,) if isinstance(backend, HostPort) else ()
            awaits = f"a line that holds {pattern}"
            return Launch(name, folder, pattern, told, command=app.run, listens=listens, awaits=awaits)
        case ReadyPath(path):
            found, awaits = functools.partial(_answer, backend, path), f"200 from {path} at {backend}"
        case None:
            found, awaits = functools.partial(_connection, backend), f"it to listen on {backend}"
    return Launch(name, folder, "", told, command=app.run, asked=found, awaits=awaits)


def _check_program(address: Address, program: str, folder: Path) -> None:
    found = (folder / program).is_file() if "/" in program else where(program) is not None
    if not found:
        hint = f"install {program}, or name it by its path: run: [.venv/bin/uvicorn, …]"
        if "/" in program:
            hint = (
                f"it is looked for in {folder}: make it there, as the README of the app says, or name another in `run`"
            )
        raise VerifyError(f"{address} cannot be started: there is no program {program}", hint=hint)


def _check_free(address: Address, backend: Backend) -> None:
    if isinstance(backend, HostPort) and (reason := why_taken(backend)) is not None:
        hint = "stop the program that listens there; if that is the app itself, remove `run` from the topology"
        raise VerifyError(f"{address} cannot listen on {backend}: {reason}", hint=hint)


def _answer(backend: Backend, path: str) -> str | None:
    """What a path answers in place of 200."""
    try:
        with _connected(backend) as connection:
            talk = http.client.HTTPConnection("localhost", timeout=_ANSWERS_WITHIN)
            talk.sock = connection
            talk.request("GET", path)
            answer = talk.getresponse()
            answer.read()  # an app that is not heard to the end would complain
    except OSError as error:
        return _said(error)
    except http.client.HTTPException:
        return "no answer in HTTP"
    return None if answer.status == http.HTTPStatus.OK else f"it answers {answer.status}"


def _connection(backend: Backend) -> str | None:
    """What is there in place of somebody who listens."""
    try:
        with _connected(backend):
            return None
    except OSError as error:
        return _said(error)


def _said(error: OSError) -> str:
    match error:
        case ConnectionRefusedError() | FileNotFoundError():
            return "nobody listens there"
        case TimeoutError():
            return f"no answer within {_ANSWERS_WITHIN:g} s"
        case _:
            return (error.strerror or str(error)).lower()


@contextlib.contextmanager
def _connected(backend: Backend) -> Iterator[socket.socket]:
    match backend:
        case HostPort(host, port):
            connection = socket.create_connection((host, port), _ANSWERS_WITHIN)
        case UnixSocket():
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(_ANSWERS_WITHIN)
    with connection:
        if isinstance(backend, UnixSocket):
            connection.connect(backend.path)
        yield connection
