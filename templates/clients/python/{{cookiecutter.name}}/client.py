"""{{ cookiecutter.name }}: calls the servers of settings.json, and reports which side refused."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from calling import Call, Caller, Failed

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Makes the calls. Exits 0 where each was answered 200, else with the highest code among the failures."""
    settings = json.loads((HERE / "settings.json").read_text(encoding="utf-8"))
    calls = {name: Call(call["host"], call["port"]) for name, call in settings["calls"].items()}
    parser = argparse.ArgumentParser(prog="run.sh", description=f"Calls servers as {settings['name']}.")
    parser.add_argument("server", nargs="?", help="without it, every server")
    parser.add_argument("url", nargs="?", help="where the server is, if not where settings.json says")
    arguments = parser.parse_args()
    if arguments.server is not None and arguments.server not in calls:
        known = f"calls {', '.join(sorted(calls))}" if calls else "calls nobody"
        print(f"{arguments.server}: {settings['name']} calls no such server: it {known}", file=sys.stderr)
        return 1
    if not calls:
        name = settings["name"]
        print(f"{name} calls nobody: no server is listed under its `calls` in the topology", file=sys.stderr)
        return 0
    if arguments.server is not None:
        calls = {arguments.server: calls[arguments.server]}
    try:
        if arguments.url:
            calls = dict.fromkeys(calls, Call.at(arguments.url))
        caller = Caller(HERE / "tls", calls)
    except (OSError, ValueError, LookupError, TypeError) as error:
        print(f"{settings['name']}: {error}", file=sys.stderr)
        return 1
    return max([_try(caller, name, call) for name, call in calls.items()], default=0)


def _try(caller: Caller, name: str, call: Call) -> int:
    try:
        print(caller.get(name, call), end="", flush=True)
    except Failed as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.code
    return 0
