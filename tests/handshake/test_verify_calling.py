"""A running server is asked to call another, by somebody who may ask it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from scaffold.errors import VerifyError
from scaffold.running.calling import ask_to_call
from scaffold.running.ports import free_addresses
from scaffold.running.services import Launch, Services
from scaffold.topology.address import Address
from tests.handshake.verify_lab import Lab, applied

TOPOLOGY = """
version: 1
name: chain
cas: {{root: {{}}}}
servers:
  front: {{template: python, listen: "{front}", names: [front.internal], calls: [back]}}
  back: {{template: python, listen: "{back}", names: [back.internal], calls: [front]}}
  alone: {{template: python, listen: "{alone}", names: [alone.internal], calls: [back]}}
clients:
  teller: {{template: python, calls: [front]}}
"""


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    front, back, alone = free_addresses(3)
    return applied(TOPOLOGY.format(front=front, back=back, alone=alone), tmp_path)


def launches(lab: Lab, *names: str) -> list[Launch]:
    ready = lab.kinds[Address.server("front")].capabilities.ready or ""
    return [Launch(name, lab.path(f"servers/{name}"), ready) for name in names]


def test_the_callee_answers_the_server_that_called_it(lab: Lab) -> None:
    servers = lab.topology.servers
    with Services() as services:
        services.start(launches(lab, "front", "back"))
        for caller, callee in (("front", "back"), ("back", "front")):
            answer = ask_to_call(lab.topology, lab.layout, servers[caller], servers[callee])
            assert answer.status == 200
            said = json.loads(answer.body)
            assert (said["server"], said["caller"]) == (callee, f"spiffe://chain/server/{caller}")


def test_a_callee_that_is_not_trusted_is_told(lab: Lab) -> None:
    for name in ("cert.pem", "key.pem"):
        shutil.copy(lab.path(f"servers/alone/tls/{name}"), lab.path(f"servers/back/tls/{name}"))
    servers = lab.topology.servers
    with Services() as services:
        services.start(launches(lab, "front", "back"))
        answer = ask_to_call(lab.topology, lab.layout, servers["front"], servers["back"])
        assert answer.status == 502
        assert "trust" in json.loads(answer.body)["error"]
        with pytest.raises(VerifyError, match=r"does not trust server\.back"):
            ask_to_call(lab.topology, lab.layout, servers["back"], servers["front"])


def test_who_cannot_be_asked_is_told(lab: Lab) -> None:
    servers = lab.topology.servers
    with pytest.raises(VerifyError, match=r"server\.front is not reachable") as raised:
        ask_to_call(lab.topology, lab.layout, servers["front"], servers["back"])
    assert "scaffold up" in str(raised.value.hint)
    with pytest.raises(VerifyError, match=r"no allowed caller of server\.alone has a valid certificate here"):
        ask_to_call(lab.topology, lab.layout, servers["alone"], servers["back"])
