"""What a template's program says of a caller by its exit code, and what it is told."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from scaffold.running.clients import Clients
from scaffold.topology.model import HostPort
from scaffold.verify import judge
from scaffold.verify.conversation import Conversation
from scaffold.verify.judge import Welcome
from scaffold.verify.model import Layer, Observed
from scaffold.verify.protocol import Admitted, Closed, Denied, Failed, Outcome, Target, Unreachable
from scaffold.verify.tls import CannotOffer
from tests.unit.verify.test_http import GOOD

TARGET = Target(HostPort("::1", 389), "desk.internal")


@pytest.fixture
def clients() -> Iterator[Clients]:
    made = Clients()
    yield made
    made.stop()


def speaking(folder: Path, clients: Clients, *lines: str) -> Conversation:
    program = folder / "ask.sh"
    program.write_text("\n".join(("#!/bin/sh", *lines)) + "\n")
    program.chmod(0o755)
    return Conversation("ldap", program, clients)


@pytest.mark.parametrize(
    ("code", "complaint", "outcome"),
    [
        (0, "", Admitted("ldap", "let in", b"{}\n")),
        (4, "SSL error: tlsv1 alert unknown ca", Closed("unknown ca", after_handshake=False)),
        (4, "Connection reset by peer", Closed(None, after_handshake=False)),
        (5, "Connection refused", Unreachable("Connection refused")),
        (6, "no such entry", Denied("ldap", "no such entry")),
        (7, "alert protocol version", Closed("protocol version", after_handshake=False)),
        (1, "it crashed", Failed("ldap", "exit status 1: it crashed")),
        (3, "I do not trust it", Failed("ldap", "exit status 3: I do not trust it")),
        (126, "x", Failed("ldap", "exit status 126: x")),
    ],
)
def test_an_exit_code_is_an_outcome(
    code: int, complaint: str, outcome: Outcome, tmp_path: Path, clients: Clients
) -> None:
    program = speaking(tmp_path, clients, "echo '{}'", f"printf '%s\\n' 'before' '{complaint}' '' >&2", f"exit {code}")
    assert program.call(TARGET, GOOD) == outcome


def test_what_cannot_be_tried_here_is_no_outcome(tmp_path: Path, clients: Clients) -> None:
    with pytest.raises(CannotOffer, match="no such version"):
        speaking(tmp_path, clients, "echo no such version >&2; exit 8").call(TARGET, None)


def test_only_the_right_exit_codes_refuse(tmp_path: Path, clients: Clients) -> None:
    refusing = {
        code
        for code in range(10)
        if code != 8
        and judge.admission(speaking(tmp_path, clients, f"exit {code}").call(TARGET, None)).observed is Observed.REFUSED
    }
    assert refusing == {4, 6}


def test_who_is_let_in_must_be_named(tmp_path: Path, clients: Clients) -> None:
    answer = '{"server": "desk", "caller": "spiffe://bank/teller", "roles": [], "on_behalf_of": null}'
    outcome = speaking(tmp_path, clients, f"echo '{answer}'").call(TARGET, GOOD)
    finding = judge.admission(outcome, Welcome("desk", "spiffe://bank/teller"))
    assert (finding.observed, finding.layer) == (Observed.ALLOWED, "ldap")
    assert judge.admission(outcome, Welcome("desk", "spiffe://bank/other")).observed is Observed.BROKEN


def test_an_old_version_is_refused_by_its_own_exit_code_alone(tmp_path: Path, clients: Clients) -> None:
    observed = {
        code: judge.protocol_refusal(speaking(tmp_path, clients, words, f"exit {code}").call(TARGET, GOOD)).observed
        for code, words in ((0, ":"), (6, ":"), (7, ":"), (4, "echo tlsv1 alert unknown ca >&2"))
    }
    assert observed == {0: Observed.ALLOWED, 6: Observed.ALLOWED, 7: Observed.REFUSED, 4: Observed.BROKEN}


TELL = 'echo "$HOST $PORT $SERVER_NAME $CLAIMED ${NEWEST:-any} ${CERTIFICATE:+shown} ${KEY:+keyed} $#"'


def test_the_program_is_told_where_who_and_how(tmp_path: Path, clients: Clients) -> None:
    told = speaking(tmp_path, clients, TELL)
    assert told.call(TARGET, GOOD, claimed="teller") == Admitted(
        "ldap", "let in", b"::1 389 desk.internal teller any shown keyed 0\n"
    )
    newest = ssl.TLSVersion.TLSv1_2
    assert told.call(TARGET, None, newest=newest) == Admitted("ldap", "let in", b"::1 389 desk.internal  TLSv1.2   0\n")


def test_keys_lie_in_a_closed_folder_and_are_gone_afterwards(tmp_path: Path, clients: Clients) -> None:
    program = speaking(
        tmp_path,
        clients,
        'echo "$KEY"; stat -c %a "$KEY" "${KEY%/*}"; grep -c KEY "$KEY"; grep -c BEGIN "$CERTIFICATE"',
    )
    outcome = program.call(TARGET, GOOD)
    assert isinstance(outcome, Admitted)
    key, *said = outcome.answer.decode().split()
    assert said == ["600", "700", "2", "1"]
    assert not Path(key).parent.exists()


def test_nothing_of_our_environment_is_handed_on(
    tmp_path: Path, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROOT_KEY_PASSWORD", "secret")
    assert speaking(tmp_path, clients, 'echo "${ROOT_KEY_PASSWORD:-}"').call(TARGET, None) == Admitted(
        "ldap", "let in", b"\n"
    )


def test_clients_are_sent_to_the_protocol_and_refused_in_it(tmp_path: Path, clients: Clients) -> None:
    ldap = speaking(tmp_path, clients)
    assert ldap.url(HostPort("127.0.0.1", 389)) == "ldap://127.0.0.1:389/"
    assert ldap.url(HostPort("::1", 389)) == "ldap://[::1]:389/"
    assert ldap.refused_in("no such entry") == "ldap"
    assert ldap.refused_in("SSL error: tlsv1 alert unknown ca") is Layer.TLS
