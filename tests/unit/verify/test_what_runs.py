"""Where the health port of a server that runs elsewhere is looked for, and when it cannot be."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from scaffold.topology.model import HostPort
from scaffold.verify.what_runs import _health_of, _of_health


@dataclass(frozen=True)
class OnItsHost:
    """What is looked at of a server."""

    dial: HostPort
    health: HostPort | None


LOCAL, REMOTE = HostPort("127.0.0.2", 8443), HostPort("192.0.2.7", 8443)


@pytest.mark.parametrize(
    ("dial", "health", "found"),
    [
        (LOCAL, HostPort("127.0.0.1", 8081), HostPort("127.0.0.1", 8081)),
        (REMOTE, HostPort("192.0.2.7", 8081), HostPort("192.0.2.7", 8081)),
        (REMOTE, HostPort("0.0.0.0", 8081), HostPort("192.0.2.7", 8081)),
        (HostPort("api.shop.internal", 8443), HostPort("::", 8081), HostPort("api.shop.internal", 8081)),
    ],
)
def test_a_health_port_is_where_it_listens(dial: HostPort, health: HostPort, found: HostPort) -> None:
    server = OnItsHost(dial, health)
    assert _health_of(server) == found  # type: ignore[arg-type]
    assert _of_health(server) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_one_on_the_loopback_of_another_host_is_not_looked_for_here(host: str) -> None:
    reason = _of_health(OnItsHost(REMOTE, HostPort(host, 8081)))  # type: ignore[arg-type]
    assert reason is not None
    assert "192.0.2.7:8443 is another" in reason
