"""The settings an operator may change: settings.json, and over it the environment."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger("settings")


@dataclass(frozen=True)
class Address:
    """A TCP address."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """`127.0.0.1:8443`, `localhost:8443` or `[::1]:8443`. Raises ValueError."""
        host, colon, port = text.rpartition(":")
        if not (colon and host and port.isascii() and port.isdigit()):
            raise ValueError(f"{text!r} is not host:port")
        return cls(host.removeprefix("[").removesuffix("]"), int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Settings:
    """Everything in settings.json. `health` is None where there is no plain port."""

    name: str
    greeting: str
    listen: Address
    health: Address | None
    calls: Mapping[str, Address]


def load(file: Path, environment: Mapping[str, str] = os.environ) -> Settings:
    """Reads the file; the environment wins for addresses. Raises OSError, ValueError, KeyError and TypeError."""
    values = json.loads(file.read_text(encoding="utf-8"))
    for name in values.keys() & {"tls", "revocation"}:
        log.warning("%s: %s is not read any more: what is demanded of callers is in tls/policy.json", file.name, name)
    health = environment.get("HEALTH") or values["health"] if "health" in values else None
    return Settings(
        name=values["name"],
        greeting=values["greeting"],
        listen=Address.parse(environment.get("LISTEN") or values["listen"]),
        health=Address.parse(health) if health else None,
        calls={name: _call(name, call, environment) for name, call in values.get("calls", {}).items()},
    )


def _call(name: str, values: Mapping[str, str | int], environment: Mapping[str, str]) -> Address:
    """Where a server is dialled that this one may call."""
    moved = environment.get("CALL_" + name.upper().replace("-", "_"))
    return Address.parse(moved) if moved else Address(str(values["host"]), int(values["port"]))
