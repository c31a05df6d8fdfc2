"""What a machine lacks, as a person and a program read it."""

from __future__ import annotations

import io
import json

from scaffold.running.doctor import Need, State
from scaffold.topology.address import Address
from scaffold.view.doctor import doctor_json, doctor_lines, is_lacking
from scaffold.view.terminal import show

API, WEB = Address.server("api"), Address.client("web")

NEEDS = (
    Need("oddd", State.PRESENT, "/usr/sbin/oddd", "odd", (API,)),
    Need("OddTLS", State.PRESENT, "4.5.6", "odd", (API,)),
    Need("webby", State.MISSING, "not installed", "web", (WEB,), "zget install webby"),
    Need("127.0.0.1:8443 for server.api", State.NOTE, "taken", of=(API,), install="stop it"),
)

TEXT = """\
template odd (server)
  ✓ oddd    /usr/sbin/oddd
  ✓ OddTLS  4.5.6

template web (client)
  ✗ webby  not installed
    → zget install webby

This machine
  ! 127.0.0.1:8443 for server.api  taken
    → stop it

Doctor: 2 present, 1 missing, 1 note.
"""


def text(*needs: Need, columns: int | None = None) -> str:
    stream = io.StringIO()
    show(doctor_lines(needs, columns), stream)
    return stream.getvalue()


def test_needs_stand_under_their_template_with_what_helps() -> None:
    assert text(*NEEDS) == TEXT


def test_of_many_free_ports_the_first_are_shown_and_each_that_is_taken() -> None:
    free = [
        Need(f"127.0.0.1:{port} for server.s{port}", State.PRESENT, "free", of=(API,)) for port in range(9001, 9021)
    ]
    assert text(*free).splitlines()[:5] == [
        "This machine", *(f"  ✓ 127.0.0.1:{port} for server.s{port}  free" for port in (9001, 9002, 9003)),
        "    … and 17 more, free",
    ]  # fmt: skip
    assert "more" not in text(*free[:12])
    taken = [Need(f"127.0.0.1:{port}", State.NOTE, "taken", of=(API,)) for port in range(9001, 9021)]
    assert text(*taken).count("taken") == 20


def test_a_note_lacks_nothing() -> None:
    assert is_lacking(NEEDS)
    assert not is_lacking((NEEDS[0], NEEDS[3]))


def test_what_helps_is_wrapped_and_what_was_found_cannot_move_the_cursor() -> None:
    long = Need("x", State.MISSING, "\x1b[2J", "odd", (API,), "install " * 30)
    shown = text(long, columns=60)
    assert "\x1b" not in shown
    assert max(map(len, shown.splitlines())) <= 60


def test_what_was_found_is_wrapped_beside_what_is_needed_or_below_it() -> None:
    why, folder = "Address already in use (listener (process 4711) listens there)", "to write in /home/" + "x" * 40
    needs = (
        Need("127.0.0.1:8443 for server.api", State.NOTE, why, of=(API,)), Need(folder, State.PRESENT, "allowed"),
    )  # fmt: skip
    assert text(*needs, columns=80).splitlines()[1:5] == [
        f"  ! {'127.0.0.1:8443 for server.api':<40}  Address already in use (listener",
        f"{'':46}(process 4711) listens there)",
        f"  ✓ {folder}",
        f"{'':46}allowed",
    ]
    assert why in text(*needs), "a pipe gets whole lines"


def test_what_helps_several_is_said_once() -> None:
    taken = [Need(f"127.0.0.1:{port}", State.NOTE, "taken", of=(API,), install="stop it") for port in (9001, 9002)]
    other = Need("127.0.0.1:9003", State.NOTE, "taken", of=(API,), install="stop the other")
    assert text(*taken, other).splitlines()[1:6] == [
        "  ! 127.0.0.1:9001  taken", "  ! 127.0.0.1:9002  taken", "    → stop it", "  ! 127.0.0.1:9003  taken",
        "    → stop the other",
    ]  # fmt: skip


def test_json_has_each_need() -> None:
    value = json.loads(doctor_json(NEEDS))
    assert value["summary"] == {"present": 2, "missing": 1, "note": 1}
    assert value["needs"][2] == {
        "need": "webby", "template": "web", "of": ["client.web"], "state": "missing", "found": "not installed",
        "install": "zget install webby",
    }  # fmt: skip
    assert value["needs"][3]["template"] is None
