"""Which ports are taken, and which are given out."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import subprocess
import sys

import pytest

from scaffold.errors import VerifyError
from scaffold.running import ports
from scaffold.running.ports import check_free, free_addresses, reachable
from scaffold.topology.model import HostPort


def test_a_taken_port_is_named_and_a_free_one_is_not() -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as holder:
        taken = HostPort("127.0.0.1", holder.getsockname()[1])
        with pytest.raises(VerifyError, match=f"server.accounts cannot listen on {taken}") as raised:
            check_free({"server.accounts": taken})
        assert raised.value.hint is not None
        assert "--ports auto" in raised.value.hint
    check_free({"server.accounts": taken})


def test_two_uses_of_one_port_are_named_both() -> None:
    (address,) = free_addresses(1)
    with pytest.raises(VerifyError, match=r"server\.b and server\.a both listen"):
        check_free({"server.a": address, "server.b": address})


def test_an_address_that_is_not_ours_is_an_error() -> None:
    with pytest.raises(VerifyError) as raised:
        check_free({"server.accounts": HostPort("192.0.2.1", 8443)})
    assert raised.value.message == "server.accounts cannot listen on 192.0.2.1:8443: this machine has no such address"
    assert raised.value.hint is not None
    assert "127.0.0.1" in raised.value.hint
    assert "stop" not in raised.value.hint


def test_free_addresses_differ() -> None:
    assert len(set(free_addresses(20))) == 20


def test_the_unspecified_address_is_reached_by_loopback() -> None:
    assert reachable(HostPort("0.0.0.0", 1)) == HostPort("127.0.0.1", 1)
    assert reachable(HostPort("::", 1)) == HostPort("::1", 1)
    assert reachable(HostPort("10.0.0.1", 1)) == HostPort("10.0.0.1", 1)


GIVES_ONE_OUT = """
import os, sys
os.getpid = lambda: 7
from scaffold.running.ports import free_addresses
print(free_addresses(1)[0].port, flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has abstract names of sockets")
def test_no_two_processes_are_given_one_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 7)
    monkeypatch.setattr(ports, "_STEPS", itertools.count())
    command = [sys.executable, "-c", GIVES_ONE_OUT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        theirs = int(other.stdout.readline())
        ours = [address.port for address in free_addresses(8)]
        other.communicate("")
    assert theirs not in ours
    monkeypatch.setattr(ports, "_STEPS", itertools.count())
    assert theirs in [address.port for address in free_addresses(8)], "it is free again once that process has ended"


def test_a_port_that_somebody_listens_on_is_not_given_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has it from elsewhere does not hold its abstract name."""
    (taken,) = free_addresses(1)
    monkeypatch.setattr(ports, "_hold", lambda port: True)
    monkeypatch.setattr(os, "getpid", lambda: 0)
    monkeypatch.setattr(ports, "_STEPS", itertools.count(taken.port - ports._LOWEST))
    with contextlib.closing(socket.create_server((taken.host, taken.port))):
        assert taken not in free_addresses(2)


def test_an_address_of_connections_that_have_ended_is_free() -> None:
    (address,) = free_addresses(1)
    where = (address.host, address.port)
    with contextlib.closing(socket.create_server(where)) as listener, socket.create_connection(where) as caller:
        listener.accept()[0].close()  # who closes first keeps the address in TIME_WAIT
        assert caller.recv(1) == b""
    assert ports.why_taken(address) is None
