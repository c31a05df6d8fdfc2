"""Asks a running server to call another, with the certificate of somebody who may call it and trusting it by name."""

from __future__ import annotations

import http.client
import socket
import ssl
from dataclasses import dataclass

from scaffold.errors import VerifyError
from scaffold.running.ports import reachable
from scaffold.settings.peers import server_name, trust_in, trusts_each_apart
from scaffold.store.layout import Layout, party_paths
from scaffold.topology import graph
from scaffold.topology.model import Client, HostPort, Party, Server, Topology

PATIENCE = 30.0
"""Seconds for the whole chain of calls."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the asked server answered: 200 with its callee's answer, or 502 and why it does not trust its callee."""

    status: int
    body: str


def ask_to_call(
    t: Topology,
    layout: Layout,
    caller: Server,
    callee: Server,
    address: HostPort | None = None,
    hint: str = "`scaffold up` starts the servers",
) -> Answer:
    """GET `/call/CALLEE` of the server `caller`, which must be running at `address`, or else where the topology says.

    `hint` is what helps where nobody listens there.

    Raises VerifyError where nobody is allowed who could ask, where nobody listens, and where either side refuses.
    """
    asker = _asker(t, caller)
    context = _context(t, layout, asker, caller)
    address = address or reachable(caller.listen)
    try:
        plain = socket.create_connection((address.host, address.port), PATIENCE)
    except OSError as error:
        raise VerifyError(f"{caller.address} is not reachable at {address}: {error.strerror}", hint=hint) from error
    connection = http.client.HTTPConnection(address.host, address.port, timeout=PATIENCE)
    try:
        # HTTPSConnection would check the certificate against the address that is dialled, not the server's name.
        connection.sock = context.wrap_socket(plain, server_hostname=server_name(caller))
        connection.request("GET", f"/call/{callee.name}")
        response = connection.getresponse()
        return Answer(response.status, response.read().decode("utf-8", "replace"))
    except ssl.SSLCertVerificationError as error:
        raise VerifyError(f"{asker.address} does not trust {caller.address}: {error.verify_message}") from error
    except (OSError, http.client.HTTPException) as error:
        raise VerifyError(f"{caller.address} refused {asker.address}: {error}") from error
    finally:
        connection.close()
        plain.close()


def _asker(t: Topology, server: Server) -> Party:
    """Somebody who may call the server, and whose sound certificate is here."""
    for party in graph.callers(t, server.name):
        if isinstance(party, Server) or (party.external is None and party.fault is None):
            return party
    raise VerifyError(
        f"no allowed caller of {server.address} has a valid certificate here, so it cannot be asked to call"
    )


def _context(t: Topology, layout: Layout, asker: Party, asked: Server) -> ssl.SSLContext:
    paths = party_paths(asker.address.role, asker.name)
    files = paths.client_side if asker.has_second else paths.own
    common = paths.trust if isinstance(asker, Client) else paths.client_trust
    trust = trust_in(common, asked.name) if trusts_each_apart(t, asker) else common
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(layout.path(trust))
        context.load_cert_chain(layout.path(files.certificate), layout.path(files.key))
    except OSError as error:
        folder = layout.path(paths.tls)
        raise VerifyError(f"{asker.address} cannot call: {folder} cannot be used: {error}") from error
    return context
