"""How long a test session takes to have its certificates: the fixture's part against trustme's, for as many of them.

python benchmarks/testing.py            # each in processes of their own, in turn; medians of CPU time, and the ratio
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent

OURS = """
import sys
from pathlib import Path
from scaffold.testing.environment import Environment
with Environment.of(Path(sys.argv[1]), Path(sys.argv[2]), unavailable=sys.exit):
    pass
"""

TRUSTME = """
import sys
import trustme
root = trustme.CA()
issuing = root.create_child_ca()
for number in range(int(sys.argv[1])):
    leaf = issuing.issue_cert(f"host-{number}.example")
    leaf.private_key_and_cert_chain_pem.write_to_path(f"{sys.argv[2]}/{number}.pem")
root.cert_pem.write_to_path(f"{sys.argv[2]}/ca.pem")
"""


def topology(leaves: int) -> str:
    """One server, and clients enough."""
    clients = "".join(f"  client-{number}: {{template: curl, calls: [api]}}\n" for number in range(leaves - 1))
    return f"""
version: 1
name: session
cas:
  root: {{}}
  issuing: {{issuer: root}}
servers:
  api: {{template: nginx, listen: "127.0.0.1:8443", names: [localhost]}}
clients:
{clients}"""


def cpu(code: str, *arguments: str) -> float:
    """The CPU seconds of a process of its own."""
    before = os.times()
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    after = os.times()
    return (after.children_user + after.children_system) - (before.children_user + before.children_system)


def measure(leaves: int, rounds: int) -> tuple[float, float]:
    """The medians of ours and of trustme's, in seconds."""
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "topology.yaml"
        file.write_text(topology(leaves))
        for turn in range(rounds + 1):
            (folder := Path(temporary) / f"{turn}").mkdir()
            (other := Path(temporary) / f"{turn}-trustme").mkdir()
            ours.append(cpu(OURS, str(file), str(folder)))
            theirs.append(cpu(TRUSTME, str(leaves), str(other)))
    # The first of each fills the caches of the file system.
    return statistics.median(ours[1:]), statistics.median(theirs[1:])


def main() -> None:
    """Prints a line for each size."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--leaves", type=int, nargs="*", default=[3, 20, 200])
    asked = options.parse_args()
    print("certificates   scaffold_env      trustme   ratio")
    for leaves in asked.leaves:
        ours, theirs = measure(leaves, asked.rounds)
        print(f"{leaves:>12}   {ours * 1000:>9.0f} ms   {theirs * 1000:>7.0f} ms   {ours / theirs:>5.2f}")


if __name__ == "__main__":
    main()
