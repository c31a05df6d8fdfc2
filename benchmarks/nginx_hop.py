"""What the second nginx costs: requests that it answers against some that the first answers itself.

    python benchmarks/nginx_hop.py

Both are asked in turn over kept connections to one rendered server, and their answers are of about the same length.
CPU is that of all nginx processes; the client shares the machine with them: trust the ratios, not the numbers.
"""

from __future__ import annotations

import os
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from scaffold.running.ports import free_addresses
from scaffold.running.services import Launch, Services

SCAFFOLD = [sys.executable, "-c", "from scaffold.cli import main; main()"]
REQUESTS = 1_000
"""Over one connection: nginx ends it then (keepalive_requests)."""

AT_ONCE = 20
"""Requests that are sent together, so that the client costs little beside the server."""

CLIENTS = 2
CONNECTIONS = 10
ROUNDS = 5
DIRECT, HOP = "/.mtls/caller", "/"

TOPOLOGY = """
version: 1
name: bench
cas: {{root: {{}}}}
servers: {{web: {{template: nginx, issuer: root, listen: "{listen}", names: [localhost]}}}}
clients: {{cli: {{template: curl, issuer: root, calls: [web]}}}}
"""


def ask(tls: Path, port: int, path: str) -> None:
    """Many requests over one connection, some at a time."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(tls / "ca.pem")
    context.load_cert_chain(tls / "cert.pem", tls / "key.pem")
    together = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * AT_ONCE
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        for _ in range(REQUESTS // AT_ONCE):
            connection.sendall(together)
            seen, rest = 0, b""
            while seen < AT_ONCE:
                if not (piece := connection.recv(1 << 16)):
                    raise ConnectionError(f"{path}: the connection ended early")
                text = rest + piece
                seen += text.count(b"HTTP/1.1 200 OK\r\n")
                rest = text[text.rfind(b"\n") + 1 :]


def cpu_of_nginx(master: int) -> float:
    """Seconds that the processes below run.sh have taken."""
    ticks, parents = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        number = int(stat.parent.name)
        parents[number], ticks[number] = int(fields[1]), int(fields[11]) + int(fields[12])
    below = {master}
    while more := {number for number, parent in parents.items() if parent in below} - below:
        below |= more
    return sum(ticks[number] for number in below) / os.sysconf("SC_CLK_TCK")


def measure(pool: ProcessPoolExecutor, tls: Path, port: int, path: str, master: int) -> tuple[float, float]:
    """Seconds and CPU seconds of one round."""
    before, start = cpu_of_nginx(master), time.perf_counter()
    for done in [pool.submit(ask, tls, port, path) for _ in range(CONNECTIONS)]:
        done.result()
    return time.perf_counter() - start, cpu_of_nginx(master) - before


def main() -> None:
    (listen,) = free_addresses(1)
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(CLIENTS) as pool:
        (Path(folder) / "topology.yaml").write_text(TOPOLOGY.format(listen=listen))
        subprocess.run([*SCAFFOLD, "apply", "--yes"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        web, tls = Path(folder) / "bench/servers/web", Path(folder) / "bench/clients/cli/tls"
        with Services(on_line=lambda *_: None) as services:
            (service,) = services.start([Launch("web", web, "^ready: ", {})], within=20)
            rounds: dict[str, list[tuple[float, float]]] = {DIRECT: [], HOP: []}
            for _ in range(ROUNDS):
                for path, seen in rounds.items():
                    seen.append(measure(pool, tls, listen.port, path, service.pid))
    report(rounds)


def report(rounds: dict[str, list[tuple[float, float]]]) -> None:
    asked = REQUESTS * CONNECTIONS
    seconds = {path: statistics.median(each for each, _ in seen) for path, seen in rounds.items()}
    cpu = {path: statistics.median(each for _, each in seen) for path, seen in rounds.items()}
    print("| answered by | requests a second | ratio | CPU, µs a request | ratio |")
    print("|---|---:|---:|---:|---:|")
    for path, who in ((DIRECT, "the first nginx"), (HOP, "the second, `app.conf`")):
        speed, spent = seconds[DIRECT] / seconds[path], cpu[path] / cpu[DIRECT]
        print(f"| {who} | {asked / seconds[path]:,.0f} | {speed:.2f} | {cpu[path] / asked * 1e6:.0f} | {spent:.2f} |")


if __name__ == "__main__":
    main()
