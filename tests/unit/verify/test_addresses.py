"""A name with several addresses: each at which somebody answers is one to probe."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from scaffold.topology.model import HostPort
from scaffold.verify.addresses import answering, rounds

ONE, TWO, THREE = (f"127.0.0.{n}" for n in (1, 2, 3))


@dataclass(frozen=True)
class At:
    """What is looked at of a server that is placed."""

    listen: HostPort


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Of two listeners at two of the three addresses of `many.internal`."""
    with ExitStack() as stack:
        first = stack.enter_context(socket.create_server((ONE, 0)))
        number = first.getsockname()[1]
        stack.enter_context(socket.create_server((TWO, number)))
        real = socket.getaddrinfo

        def resolved(host: str, *more: object, **named: object) -> list[object]:
            hosts = (ONE, THREE, TWO, ONE) if host == "many.internal" else (host,)
            return [found for one in hosts for found in real(one, *more, **named)]  # type: ignore[arg-type]

        monkeypatch.setattr(socket, "getaddrinfo", resolved)
        yield number


def test_each_address_that_answers_is_found_once(port: int) -> None:
    assert answering(HostPort("many.internal", port)) == (HostPort(ONE, port), HostPort(TWO, port))


@pytest.mark.parametrize("host", [ONE, THREE])
def test_a_single_one_stays_as_it_is_written(port: int, host: str) -> None:
    assert answering(HostPort(host, port)) == (HostPort(host, port),)


def test_a_name_that_leads_nowhere_stays_as_it_is_written() -> None:
    nowhere = HostPort("nowhere.invalid", 1)
    assert answering(nowhere) == (nowhere,)


def test_who_has_more_addresses_is_tried_at_each_of_them() -> None:
    placed = {"a": At(HostPort("a", 1)), "b": At(HostPort("b", 1)), "c": At(HostPort("c", 1))}
    found = {"a": (HostPort("a", 1),), "b": (HostPort(ONE, 1), HostPort(TWO, 1))}
    turns = [{name: str(at.listen) for name, at in turn.items()} for turn in rounds(placed, found)]  # type: ignore[arg-type]
    assert turns == [
        {"a": "a:1", "b": f"{ONE}:1", "c": "c:1"},
        {"a": "a:1", "b": f"{TWO}:1", "c": "c:1"},
    ]
