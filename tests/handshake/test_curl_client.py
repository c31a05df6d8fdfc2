"""The curl client before real servers: whom it trusts, and how it says who refused whom."""

from __future__ import annotations

import os
import shutil

from scaffold.topology.model import KeyType
from tests.handshake.client_cases import (  # noqa: F401
    NOT_TRUSTED,
    ClientCases,
    a_server,
    desk_port,
)
from tests.handshake.nginx_lab import authority, server
from tests.handshake.python_lab import call, client_folder
from tests.requirements import require_command

require_command("curl")


class TestCurl(ClientCases):
    kind = "curl"

    def test_a_curlrc_loosens_nothing(self, tmp_path, root, ca, teller):
        false = server(authority("Lab Issuing", authority("Lab Root")), "desk", "desk.internal", key=KeyType.EC_P256)
        with a_server(tmp_path / "desk", false, root, ca) as port:
            folder = self.folder(tmp_path, teller, root, port)
            (folder / ".curlrc").write_text("insecure\n")  # HOME is the folder
            assert call(folder).returncode == NOT_TRUSTED
            script = folder / "run.sh"
            script.write_text(script.read_text().replace("curl -q ", "curl "))
            assert call(folder).returncode != NOT_TRUSTED

    def test_the_systems_roots_are_not_trusted(self, tmp_path, root, teller, desk_port, monkeypatch):  # noqa: F811
        trace, real = tmp_path / "trace", shutil.which("curl")
        wrapper = tmp_path / "bin/curl"
        wrapper.parent.mkdir()
        wrapper.write_text(f'#!/bin/sh\nexec {real} "$@" --trace-ascii {trace}\n')
        wrapper.chmod(0o755)
        monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
        assert call(self.folder(tmp_path, teller, root, desk_port)).returncode == 0
        told = [line.split() for line in trace.read_text().splitlines()]
        assert ["CApath:", "/dev/null"] in [line[-2:] for line in told]


def test_a_client_that_calls_nobody_says_so(tmp_path, root, teller):
    done = call(client_folder("curl", tmp_path / "teller", teller, root))
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "teller calls nobody: no server is listed under its `calls` in the topology\n"
