"""The faults for a person, for a program, and as the table of docs/faults.md."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from scaffold.topology.faults import About, AnyFault
from scaffold.view.terminal import Line, plain

_IN_TOPOLOGY = "`fault: NAME` of a server or client in a topology:"
_FILES_ALONE = "Only as files, by `broken(client, NAME)` of the pytest plugin:"


def fault_lines(about: Mapping[AnyFault, About]) -> Iterator[Line]:
    """Two groups: those that a topology takes, and those that are made as files."""
    width = max(map(len, about))
    wrong = max(len(one.wrong) for one in about.values())
    for heading, files in ((_IN_TOPOLOGY, False), (_FILES_ALONE, True)):
        yield [(heading, "bold")]
        for name, one in about.items():
            if (one.only_a_file is not None) is files:
                yield [(f"  {name:<{width}}", "bold"), (f"  {one.wrong:<{wrong}}  ", ""), (one.rule, "dim")]
                yield plain(f"  {'':<{width}}  noticed by {one.noticed_by}")
                if one.only_a_file is not None:
                    yield [(f"  {'':<{width}}  {one.only_a_file}", "dim")]
        yield plain("")


def faults_json(about: Mapping[AnyFault, About]) -> str:
    """`{"faults": [{"fault", "wrong", "noticed_by", "rule", "only_a_file"}]}`; `only_a_file` is null or says why."""
    found = [
        {
            "fault": str(name),
            "wrong": one.wrong,
            "noticed_by": one.noticed_by,
            "rule": one.rule,
            "only_a_file": one.only_a_file,
        }
        for name, one in about.items()
    ]
    return json.dumps({"faults": found}, indent=2, ensure_ascii=False)


def faults_table(about: Mapping[AnyFault, About]) -> str:
    """A table in Markdown."""
    lines = ["| fault | what is wrong | noticed by | rule | in a topology |", "|---|---|---|---|---|"]
    for name, one in about.items():
        where = "yes" if one.only_a_file is None else f"no: {one.only_a_file}"
        lines.append(f"| `{name}` | {one.wrong} | {one.noticed_by} | {one.rule} | {where} |")
    return "\n".join(lines) + "\n"
