"""A machine whose stores of roots are a test's own: a mount namespace in which they may be changed and then vanish."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.requirements import which

SHADOWED = (
    "/etc/ssl/certs", "/usr/local/share/ca-certificates", "/var/lib/dpkg", "/var/lib/ca-certificates-java",
)  # fmt: skip
"""What installing a root changes: the store, its folder, and what Debian's hook for Java writes down."""

MOUNTS = """\
set -eu
mount -t tmpfs tmpfs {scratch}
for folder in {folders}; do
    mkdir -p {scratch}/over$folder {scratch}/work$folder
    mount -t overlay overlay -o "lowerdir=$folder,upperdir={scratch}/over$folder,workdir={scratch}/work$folder" $folder
done
echo mounted
exec cat
"""


@dataclass(frozen=True)
class Machine:
    """The namespace of a process that only waits; `home` is that of whoever runs there."""

    pid: int
    home: Path

    def run(
        self, *command: str | Path, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """A command in it, with nothing of the environment in which variables name other stores."""
        return subprocess.run(
            ["nsenter", "--target", str(self.pid), "--mount", f"--wd={self.home}", *map(str, command)],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.home), **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def scaffold(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "scaffold", *arguments, environment={"PYTHONUTF8": "1"})

    def stores(self) -> tuple[str, str]:
        """Every file and link of the system's store, and the aliases and fingerprints of Java's."""
        script = "cd /etc/ssl/certs && find . -path ./java -prune -o -printf '%p %l %m\\n' | sort && cat *.crt"
        local = "cd /usr/local/share/ca-certificates && find . -printf '%p\\n' | sort"
        system = self.run("sh", "-c", f"{script} && {local}")
        assert system.returncode == 0, system.stderr
        listed = self.run("sh", "-c", "keytool -list -cacerts -storepass changeit -J-Duser.language=en | sort")
        return system.stdout, listed.stdout


@contextlib.contextmanager
def machine(folder: Path) -> Iterator[Machine]:
    """Skips the test in plain sight where no namespace can be had: that takes root and is for the machine to allow."""
    folders = [path for path in SHADOWED if Path(path).is_dir()]
    scratch = folder / "scratch"
    scratch.mkdir()
    if which("unshare") is None or which("nsenter") is None:
        pytest.skip("needs unshare and nsenter on PATH")
    script = MOUNTS.format(scratch=shlex.quote(str(scratch)), folders=shlex.join(folders))
    with subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", script],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        if process.stdout.readline() != "mounted\n":
            _, said = process.communicate()
            pytest.skip(f"needs root and overlays in a mount namespace: {said.strip()}")
        home = folder / "home"
        home.mkdir()
        yield Machine(process.pid, home)
        process.communicate()
