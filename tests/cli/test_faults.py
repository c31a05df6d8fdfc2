"""`scaffold faults`, and the private badssl as its readers start it."""

from __future__ import annotations

from pathlib import Path

from scaffold.topology.faults import ABOUT
from tests.cli.harness import in_process as scaffold


def test_every_fault_is_listed_with_what_is_wrong_who_notices_and_the_rule(tmp_path: Path) -> None:
    done = scaffold("faults", cwd=tmp_path)
    assert done.code == 0, done.err
    for fault, about in ABOUT.items():
        for text in (fault, about.wrong, about.noticed_by, about.rule, about.only_a_file or ""):
            assert text in done.out
    assert done.out.index("revoked") < done.out.index("Only as files") < done.out.index("weak-key")


def test_programs_read_the_same(tmp_path: Path) -> None:
    found = scaffold("faults", "--json", cwd=tmp_path).json["faults"]
    assert [one["fault"] for one in found] == list(ABOUT)
    assert set(found[0]) == {"fault", "wrong", "noticed_by", "rule", "only_a_file"}
    assert {one["fault"] for one in found if one["only_a_file"] is None} > {"expired", "revoked"}


def test_badssl_is_one_topology_that_plans(tmp_path: Path) -> None:
    assert scaffold("init", "--example", "badssl", cwd=tmp_path).code == 0
    planned = scaffold("plan", "--all", cwd=tmp_path)
    assert planned.code == 0, planned.err
    assert "broken on purpose: path-length" in planned.out
