"""What a call says beside its failure: neither a guess about who answers, nor an error that has gone meanwhile."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from scaffold.cli.call import _check_can_be_planned
from scaffold.cli.failed_call import another_program
from scaffold.errors import TopologyError
from scaffold.running.whereabouts import told
from scaffold.topology.model import HostPort
from tests.unit.conftest import Household

SERVERS = """
version: 1
name: bank
cas: {root: {}}
servers:
  accounts: {template: python, listen: "127.0.0.1:8443", names: [localhost]}
  base: {template: postgresql, listen: "127.0.0.1:5432", names: [localhost]}
"""
UNPLANNABLE = """
version: 1
name: bank
cas: {root: {}}
servers: {accounts: {template: files, listen: "127.0.0.1:8443", names: [localhost]}}
clients: {teller: {template: python, calls: [accounts]}, uninvited: {template: python}}
"""


@contextlib.contextmanager
def greeting() -> Iterator[HostPort]:
    """A listener that speaks first, and without TLS, until it is closed."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    connection.sendall(b"220 ready\r\n")
                    connection.recv(4096)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield HostPort("127.0.0.1", listener.getsockname()[1])
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_another_program_is_suspected_where_tls_comes_first_alone(household: Household) -> None:
    household.text = SERVERS
    project = household.open()
    servers = project.topology.servers
    with greeting() as at:
        said = another_program(project, servers["accounts"], at)
        assert (said or "").startswith(
            f"what answers at {at} speaks no TLS: is it another program than server.accounts?"
        )
        assert another_program(project, servers["base"], at) is None


def test_what_plan_says_is_no_error_while_an_up_applies(household: Household) -> None:
    household.text = UNPLANNABLE
    project = household.open()
    with told(project.layout):
        _check_can_be_planned(project)
    with pytest.raises(TopologyError, match=r"would let in client\.uninvited"):
        _check_can_be_planned(project)
