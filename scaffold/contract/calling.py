"""What is checked of a client beyond its calls, which verify makes: how its run.sh ends."""

from __future__ import annotations

from scaffold.contract.model import Failed
from scaffold.contract.room import Room
from scaffold.contract.topologies import SUBJECT
from scaffold.running.clients import Clients
from scaffold.running.ports import free_addresses
from scaffold.topology.address import Address
from scaffold.verify.judge import NOT_REACHABLE


def says_that_nobody_is_there(room: Room) -> str:
    """`run.sh SERVER URL` exits with 5 where nothing listens."""
    room.check_can_run()
    (nobody,) = free_addresses(1)
    can = room.kind.capabilities
    script = room.applied.folder(Address.client(SUBJECT)) / "run.sh"
    ran = Clients().run(script, ["vault", f"{can.scheme}://{nobody}/"], can.environment)
    if ran.status != NOT_REACHABLE:
        raise Failed(f"exit status {ran.status} instead of {NOT_REACHABLE}: {ran.complaint.strip()[-200:]}")
    return f"exit status {NOT_REACHABLE}"


def ends_well_without_edges(room: Room) -> str:
    """`run.sh` of a client that calls nobody exits with 0."""
    room.check_can_run()
    ran = Clients().run(room.applied.folder(Address.client("idle")) / "run.sh", [], room.kind.capabilities.environment)
    if ran.status != 0:
        raise Failed(f"exit status {ran.status} instead of 0: {ran.complaint.strip()[-200:]}")
    return "exit status 0"
