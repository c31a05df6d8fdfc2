"""Who listens on a port: found by a real socket, and not known where nobody does or nothing can be seen."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from scaffold.errors import VerifyError
from scaffold.running.listeners import who_listens
from scaffold.running.ports import check_free, free_addresses
from scaffold.topology.model import HostPort

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_this_process_is_found_while_it_listens(family: socket.AddressFamily, host: str) -> None:
    with socket.socket(family) as listener:
        try:
            listener.bind((host, 0))
        except OSError:
            pytest.skip(f"no {host} here")
        address = HostPort(host, listener.getsockname()[1])
        assert who_listens(address) is None
        listener.listen()
        assert (who_listens(address) or "").endswith(f"(process {os.getpid()})")
    assert who_listens(address) is None


def test_where_nothing_can_be_seen_nobody_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = HostPort("127.0.0.1", listener.getsockname()[1])
        assert who_listens(address, tmp_path) is None
        (tmp_path / "net").mkdir()
        (tmp_path / "net" / "tcp").write_bytes(Path("/proc/net/tcp").read_bytes())
        assert who_listens(address, tmp_path) is None
        assert who_listens(address) is not None


def test_a_taken_port_names_who_holds_it_and_a_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = HostPort("127.0.0.1", listener.getsockname()[1])
        with pytest.raises(VerifyError) as caught:
            check_free({"server.api": address})
    assert f"(process {os.getpid()}) listens there" in caught.value.message
    assert f"(process {os.getpid()}), or let `--ports auto`" in (caught.value.hint or "")
    check_free({"server.api": free_addresses(1)[0]})
