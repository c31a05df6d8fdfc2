"""Topologies of any size for the benchmarks."""

from __future__ import annotations


def many(servers: int, clients: int) -> str:
    """A root, an issuing CA, `servers` Python servers and `clients` Python clients that call one server each."""
    lines = ["version: 1", "name: many", "cas:", "  root: {}", "  issuing: {issuer: root, path_length: 0}", "servers:"]
    lines += [
        f"  s{n}: {{template: python, issuer: issuing, listen: 127.0.0.1:{10_000 + n}, names: [localhost]}}"
        for n in range(servers)
    ]
    lines.append("clients:")
    lines += [f"  c{n}: {{template: python, issuer: issuing, calls: [s{n % servers}]}}" for n in range(clients)]
    return "\n".join(lines) + "\n"
