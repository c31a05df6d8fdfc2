"""Pictures in text."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from scaffold.topology.model import (
    Ca,
    Client,
    Fault,
    HostPort,
    KeyType,
    RenewBefore,
    San,
    SanType,
    Server,
    Subject,
    TlsProfile,
    Topology,
)  # fmt: skip
from scaffold.view.graph import dot, mermaid

NASTY = 'A "quoted" <b>&#59; ]--> \\ name; end'


@pytest.fixture
def topology() -> Topology:
    ca = Ca("root", None, Subject(NASTY), KeyType.EC_P256, timedelta(days=1), RenewBefore())
    shared = (Subject("x"), KeyType.EC_P256, timedelta(days=1), RenewBefore(), TlsProfile.INTERMEDIATE)
    at = HostPort("127.0.0.1", 8443)
    server = Server("api", "python", "root", *shared, at, at, (San(SanType.DNS, "localhost"),), "spiffe://t/server/api")
    good = Client("ann", "curl", "root", *shared, "spiffe://t/client/ann", calls=("api",))
    bad = Client("eve", "curl", "root", *shared, "spiffe://t/client/eve", calls=("api",), fault=Fault.EXPIRED)
    return Topology("t", Path("t.yaml"), {"root": ca}, {"api": server}, {"ann": good, "eve": bad})


def test_mermaid_draws_issuing_calls_and_the_refused_call(topology: Topology) -> None:
    lines = list(mermaid(topology))
    assert "  n0 -.-> n1" in lines
    assert "  n2 ==> n1" in lines
    assert "  n3 --x n1" in lines


def test_an_edge_bears_its_roles(topology: Topology) -> None:
    ann = replace(topology.clients["ann"], roles={"api": ("reader", "x.y")})
    eve = replace(topology.clients["eve"], roles={"api": ("reader",)})
    drawn = replace(topology, clients={"ann": ann, "eve": eve})
    assert '  n2 ==>|"reader, x.y"| n1' in list(mermaid(drawn))
    assert '  n3 --x|"reader"| n1' in list(mermaid(drawn))
    assert '  n2 -> n1 [penwidth=2, label="reader, x.y"];' in list(dot(drawn))


def test_no_name_is_ever_syntax(topology: Topology) -> None:
    (label,) = [line for line in mermaid(topology) if line.lstrip().startswith("n0(")]
    assert label.count('"') == 2
    assert "-->" not in label
    assert "<b>" not in label


def test_graphviz_reads_the_dot_file(topology: Topology) -> None:
    text = "\n".join(dot(topology))
    assert '"root\\nA \\"quoted\\" <b>&#59; ]--> \\\\ name; end\\nec-p256"' in text
    if (graphviz := shutil.which("dot")) is not None:
        subprocess.run([graphviz, "-Tsvg"], input=text, text=True, check=True, capture_output=True, timeout=60)
