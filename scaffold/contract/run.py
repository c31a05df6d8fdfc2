"""The whole contract of a template, check by check: one that breaks it keeps none of the others from being tried."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from pathlib import Path

from scaffold.contract import calling, probing, rendering, serving
from scaffold.contract.model import Check, ContractReport, Failed, Untried
from scaffold.contract.room import ENDS_WITHIN, Room
from scaffold.errors import ScaffoldError
from scaffold.kinds.catalogue import Kind
from scaffold.pki.randomness import OPERATING_SYSTEM, Randomness
from scaffold.running.services import READY_WITHIN, termination_as_exception
from scaffold.verify.model import Result

Try = Callable[[Room], str]
"""Tries one thing and says what was seen. Raises Failed, Untried."""

_RENDERING: dict[str, Try] = {
    "renders": rendering.renders_all_that_it_declares,
    "renders-the-same": rendering.renders_the_same_again,
    "run-sh": rendering.has_run_sh,
    "readme": rendering.has_a_readme,
    "allow-list": rendering.guards_what_decides,
    "config-check": rendering.passes_its_config_check,
}
_OF_WHAT_RUNS = frozenset({"run-sh", "allow-list", "config-check"})
"""Of these there is nothing to be checked where nothing is started."""

_SERVING: dict[str, Try] = {
    "ready": serving.becomes_ready,
    "moved": serving.moves,
    "says-who-called": serving.says_who_called,
    "refuses-before-routing": serving.refuses_before_routing,
    "strangers": serving.bears_strangers,
    "hup": serving.reloads,
    "keeps-serving": serving.keeps_serving,
    "term": serving.ends_on_term,
    "keys": serving.keeps_its_keys,
    "hup-under-nohup": serving.reloads_under_nohup,
    "no-home": serving.needs_no_home,
    "copied": serving.runs_when_copied,
}
_CALLING: dict[str, Try] = {
    "nobody-there": calling.says_that_nobody_is_there,
    "no-edges": calling.ends_well_without_edges,
}
_PROBING: dict[str, Try] = {"verify": probing.passes_verify, "mutations": probing.declares_mutations}


def checks_of(kind: Kind) -> dict[str, Try]:
    """Every check of a template's contract by its name, in the order in which they are tried."""
    mutations = {
        f"mutation: {mutation.breaks}": functools.partial(probing.catches, mutation=mutation)
        for mutation in kind.capabilities.mutations
    }
    middle = _SERVING if kind.role == "server" else _CALLING
    if not kind.capabilities.runs:
        return {name: attempt for name, attempt in _RENDERING.items() if name not in _OF_WHAT_RUNS}
    return {**_RENDERING, **middle, **_PROBING, **mutations}


def check(
    kind: Kind,
    template: str,
    now: datetime,
    *,
    only: Collection[str] = (),
    within: float = READY_WITHIN,
    patience: float = ENDS_WITHIN,
    on_check: Callable[[Check, int], None] | None = None,
    randomness: Randomness = OPERATING_SYSTEM,
) -> ContractReport:
    """Tries a template on its real server, in a temporary folder.

    `template` is what a topology would call it, with an absolute path for a folder. `only` names checks; none means
    all. `within`: the seconds in which a server must become ready; `patience`: in which it must load what is new, or
    end. `on_check` is called with each check as it ends, and with how many there are. Call it from the main thread, as
    `verify`.
    """
    chosen = {name: attempt for name, attempt in checks_of(kind).items() if not only or name in only}
    with (
        termination_as_exception(),
        # 0700 by mkdtemp(3), and not in the way of who reads paths in errors.
        tempfile.TemporaryDirectory(prefix="scaffold-check-", ignore_cleanup_errors=True) as place,
        Room(kind, template, now, within, patience, Path(place), randomness) as room,
    ):
        checks = tuple(_tried(room, chosen, on_check))
    return ContractReport(template, kind.role, checks)


def _tried(room: Room, chosen: dict[str, Try], on_check: Callable[[Check, int], None] | None) -> Iterator[Check]:
    for name, attempt in chosen.items():
        found = _one(room, name, attempt)
        if on_check is not None:
            on_check(found, len(chosen))
        yield found


def _one(room: Room, name: str, attempt: Try) -> Check:
    try:
        return Check(name, Result.PASSED, attempt(room))
    except Untried as error:
        return Check(name, Result.SKIPPED, str(error))
    except Failed as error:
        return Check(name, Result.FAILED, _in_one_line(str(error)))
    except ScaffoldError as error:  # the topology is one that this template must take
        return Check(name, Result.FAILED, _in_one_line(error.message))


def _in_one_line(text: str) -> str:
    """What a server printed last is among it."""
    return " | ".join(line.strip() for line in text.splitlines() if line.strip())
