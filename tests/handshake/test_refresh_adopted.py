"""The CRLs of a CA that came with its chain are published and fetched: those of the CAs above it too."""

from __future__ import annotations

import os
import subprocess
from datetime import timedelta

import pytest

from scaffold.pki import crl as crls
from scaffold.publish import server
from scaffold.publish.state import State
from scaffold.running.ports import free_addresses
from tests.requirements import require_command
from tests.unit.adopting import NOW, Adopting, Spec, crl, make
from tests.unit.conftest import Household

ROOT = make(Spec("Partner Root", index=1))
MIDDLE = make(Spec("Partner Middle", index=2), ROOT)
CA = make(Spec(), MIDDLE)


@pytest.mark.parametrize(("kind", "field"), [("nginx", "crl"), ("python", "crl"), ("python", "chain_crl")])
def test_refresh_takes_the_renewed_list_of_every_ca_of_the_chain(tmp_path, kind, field):
    require_command("dash", "curl", "openssl")
    household = Household(tmp_path, now=NOW)
    adopting = Adopting(household)
    listen = free_addresses(1)[0]
    adopting.ask(server=kind, check=", check_revocation: crl", cas=f"publish: http://{listen}")
    own = [crl(CA, 1)] if field == "crl" else []
    adopting.bring(CA, [ROOT, MIDDLE], [crl(ROOT, 1), crl(MIDDLE, 1), *own], field=field)
    adopting.apply()
    folder = household.out / "servers/accounts"

    def numbers() -> dict[str, int | None]:
        there = crls.load_all((folder / "tls/crl.pem").read_bytes())
        return {one.issuer.rdns[0].rfc4514_string(): crls.number(one) for one in there}

    project = household.open()
    state = State(project.topology, project.layout)
    state.open(household.now)
    with server.running(state, lambda: household.now, listen, state):
        adopting.bring(CA, [ROOT, MIDDLE], [crl(ROOT, 7, begins=timedelta()), crl(MIDDLE, 2), *own], field=field)
        state.refresh(household.now)
        done = subprocess.run(
            [require_command("dash"), folder / "refresh.sh"],
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert numbers() == {"CN=Partner Root": 7, "CN=Partner Middle": 2, "CN=Partner CA": 1}
    assert adopting.judged() == []
