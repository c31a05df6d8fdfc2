"""The commands of docs/doors.md, run in its order: each must end as it says, and print the lines that it shows."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from scaffold.kinds import catalogue
from scaffold.running.availability import ends_well
from scaffold.running.ports import free_addresses
from tests.cli.harness import scaffold
from tests.docs.console import run, steps
from tests.docs.test_tutorial import start
from tests.requirements import require, require_command

PAGE = Path(__file__).parent.parent.parent / "docs" / "doors.md"


def test_the_page_does_what_it_says(tmp_path: Path) -> None:
    require_command("nginx")
    tries = catalogue.builtin("connector", "client").capabilities.tries
    require(all(map(ends_well, tries.values())), " and ".join(tries))
    server, door = (str(address) for address in free_addresses(2))
    assert scaffold("init", "--example", "minimal", cwd=tmp_path).code == 0
    topology = tmp_path / "topology.yaml"
    topology.write_text(topology.read_text("utf-8").replace("127.0.0.1:8443", server), "utf-8")
    assert scaffold("apply", cwd=tmp_path).code == 0
    page = PAGE.read_text("utf-8").replace("127.0.0.1:7001", door).replace("0.0.0.0:7001", f"0.0.0.0:{door[10:]}")
    ran = steps(page)
    assert len(ran) == 7
    running: list[subprocess.Popen[str]] = []
    try:
        for step in ran:
            if step.command.endswith("&"):
                process, said = start(step, tmp_path)
                running.append(process)
                step.assert_shown(said)
            else:
                done = run(step, tmp_path)
                step.assert_shown(done.stdout, done.stderr)
    finally:
        for process in running:
            process.send_signal(signal.SIGINT)
            process.wait(90)
