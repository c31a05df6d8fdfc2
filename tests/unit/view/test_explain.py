"""A call as a person reads it, as a program does, and as a sequence diagram."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import yaml

from scaffold.errors import Place
from scaffold.explain.model import About, Check, Doing, Edge, Handshake, Overview, Shown, Step
from scaffold.kinds.lines import Line
from scaffold.topology.address import Address
from scaffold.verify.last_run import Seen
from scaffold.verify.model import Expected, Observed, Probe
from scaffold.view.explain import handshake_lines, overview_lines, verdict
from scaffold.view.explained import handshake_json, overview_json
from scaffold.view.sequence import sequence
from scaffold.view.terminal import show
from tests.unit.view.reports import check, gone_wrong

WEB, API = Address.client("web"), Address.server("api")
AT = datetime(2030, 1, 2, 3, 4, tzinfo=UTC)

LEAF = Shown("CN=web", "CN=issuing", ("spiffe://shop/client/web",), "5f0c", AT, datetime(2030, 4, 2, 3, 4, tzinfo=UTC))
SERVER = replace(LEAF, subject="CN=api", names=("localhost",))


def seen(probe: Probe, detail: str, client: str = "web") -> Seen:
    return Seen(replace(check("api", client, probe), detail=detail), AT)


CHAIN = Check(
    About.CHAIN, True, "servers/api/tls/ca.pem", "CN=root ← CN=issuing",
    (Line("servers/api/nginx.conf", 12, "ssl_client_certificate tls/ca.pem;"),), declared=True,
    seen=(seen(Probe.FOREIGN_CA, "alert unknown ca"), seen(Probe.SELF_SIGNED, "alert unknown ca")),
)  # fmt: skip

ALLOWED = Check(
    About.ALLOWED, True, "spiffe://shop/client/web, issued by issuing", "spiffe://shop/client/web",
    (Line("servers/api/tls/allowed.conf", 3, '"spiffe://shop/client/web";'),), declared=True,
    seen=(seen(Probe.NOT_ALLOWED, "HTTP 403: not among the callers", "ops"),),
)  # fmt: skip

TOLD = Handshake(
    WEB, API, "127.0.0.1:8443", listed=True,
    steps=(
        Step(Doing.CONNECTS, WEB, checks=(Check(About.TLS_VERSION, None, "TLS 1.3", "TLS 1.3"),)),
        Step(Doing.SHOWS_SERVER, API, "servers/api/tls/cert.pem", (SERVER,)),
        Step(Doing.CHECKS_SERVER, WEB, checks=(Check(About.NAME, True, "localhost", "localhost", CHAIN.lines),)),
        Step(Doing.SHOWS_CLIENT, WEB, "clients/web/tls/cert.pem", (LEAF,)),
        Step(Doing.CHECKS_CLIENT, API, checks=(CHAIN,)),
        Step(Doing.DECIDES, API, checks=(ALLOWED,)),
    ),
    called=seen(Probe.EDGE, "as spiffe://shop/client/web"),
)  # fmt: skip

TEXT = """\
client.web is allowed to call server.api, and gets in.

1. web connects to api at 127.0.0.1:8443.
   • TLS 1.3 is spoken, nothing older
     the template does not declare the line of this check

2. api shows its certificate, and asks for one.
   servers/api/tls/cert.pem
     CN=api, serial 5f0c, until 2030-04-02 03:04 UTC

3. web checks api.
   ✓ it has the name localhost
     servers/api/nginx.conf:12  ssl_client_certificate tls/ca.pem;

4. web shows its certificate.
   clients/web/tls/cert.pem
     CN=web, serial 5f0c, until 2030-04-02 03:04 UTC

5. api checks web.
   ✓ it leads to a root in servers/api/tls/ca.pem: CN=root ← CN=issuing
     servers/api/nginx.conf:12  ssl_client_certificate tls/ca.pem;
     otherwise: alert unknown ca  (foreign CA with the issuer's name; self-signed copy)

6. api checks whether web is allowed.
   ✓ it is on the allow list: spiffe://shop/client/web, issued by issuing
     servers/api/tls/allowed.conf:3  "spiffe://shop/client/web";
     otherwise: HTTP 403: not among the callers  (not allowed, real certificate)

7. Both sides accept each other: the request is answered.
   verify saw it on 2030-01-02 03:04 UTC: as spiffe://shop/client/web

The answers after `otherwise:` are those that `scaffold verify` saw, last on 2030-01-02 03:04 UTC.
"""


def text(told: Handshake, columns: int | None = None) -> str:
    stream = io.StringIO()
    show(handshake_lines(told, columns), stream)
    return stream.getvalue()


def with_step(told: Handshake, doing: Doing, *checks: Check) -> Handshake:
    steps = tuple(replace(step, checks=checks) if step.doing is doing else step for step in told.steps)
    return replace(told, steps=steps)


UNLISTED = replace(
    with_step(
        TOLD, Doing.DECIDES,
        replace(ALLOWED, holds=False, lines=(), absent=(("servers/api/tls/allowed.conf", "spiffe://shop/client/web"),)),
    ),
    listed=False,
    called=seen(Probe.NOT_ALLOWED, "HTTP 403: web is not among the callers"),
)  # fmt: skip


def test_a_call_is_told_step_by_step() -> None:
    assert text(TOLD) == TEXT
    assert [next(iter(handshake_lines(told)))[0][1] for told in (TOLD, UNLISTED)] == ["bold green", "bold red"]


def test_it_ends_where_a_check_does_not_hold_with_what_that_call_was_answered() -> None:
    shown = text(UNLISTED)
    assert shown.startswith("client.web is not allowed to call server.api: server.api refuses it.\n")
    assert shown.endswith(
        "   ✗ the caller is not on the allow list: spiffe://shop/client/web\n"
        "     servers/api/tls/allowed.conf has no line with spiffe://shop/client/web\n\n"
        "The call fails here: the caller is not on the allow list: spiffe://shop/client/web. server.api answers: HTTP "
        "403: web is not among the callers.\n\n"
        "The answers after `otherwise:` are those that `scaffold verify` saw, last on 2030-01-02 03:04 UTC.\n"
    )


def test_without_that_very_call_the_answer_is_that_to_others_like_it() -> None:
    assert "server.api answers: HTTP 403: not among the callers." in text(replace(UNLISTED, called=None))
    unseen = with_step(replace(UNLISTED, called=None), Doing.DECIDES, replace(ALLOWED, holds=False, seen=()))
    assert "What server.api answers is not known: `scaffold verify` has not been run for this call yet." in text(unseen)


def test_an_answer_is_told_without_what_verify_expected_of_it() -> None:
    one = seen(Probe.NOT_ALLOWED, "broken on purpose: HTTP 403: not you")
    refused = replace(one, check=replace(one.check, why="broken on purpose"))
    assert "server.api answers: HTTP 403: not you." in text(replace(UNLISTED, called=refused))


def test_of_a_certificate_that_is_not_here_is_told_what_it_must_be() -> None:
    asked = (replace(CHAIN, holds=None, found=""), Check(About.REVOCATION, None, "crl", ""))
    shown = text(with_step(TOLD, Doing.CHECKS_CLIENT, *asked))
    assert "   • it must lead to a root in servers/api/tls/ca.pem\n" in shown
    assert "   • it must not be revoked, by crl\n" in shown
    assert "nothing\n" not in shown


def test_before_verify_nothing_is_known_of_answers() -> None:
    unseen = tuple(replace(step, checks=tuple(replace(one, seen=()) for one in step.checks)) for step in TOLD.steps)
    shown = text(replace(TOLD, steps=unseen, called=None))
    assert "otherwise:" not in shown
    assert shown.endswith(
        "\nAfter `scaffold verify`, each check above also shows the answer to a caller that fails it.\n"
    )


def test_what_fails_early_hides_what_does_not_come_to_pass() -> None:
    early = with_step(UNLISTED, Doing.CHECKS_SERVER, Check(About.NAME, False, "localhost", "other"))
    shown = text(replace(early, listed=True))
    assert "client.web is allowed to call server.api, but client.web refuses it today." in shown
    assert "4. " not in shown


def test_where_a_file_was_changed_the_headline_says_that_it_cannot_be_said() -> None:
    path = "servers/api/tls/allowed.json"
    for told, listed in ((TOLD, "has it on"), (UNLISTED, "does not have it on")):
        allowed = replace(told.steps[5].checks[0], changed=(path,))
        changed = replace(with_step(told, Doing.DECIDES, allowed), changed=(path,))
        shown = text(changed)
        who = f"It is not known whether {told.caller} gets in at server.api: {path} differs from the topology."
        assert shown.startswith(f"{who}\n`scaffold plan --diff` shows what differs")
        assert f"   • the topology {listed} the allow list: " in shown
        assert "7. It is not known whether the request is answered." in shown
        assert not re.search("gets in[.]$|The call fails here|✗", shown, re.M)
        value = json.loads(handshake_json(changed))
        assert (value["succeeds"], value["refused_by"], value["changed"]) == (None, None, [path])
        assert value["steps"][5]["checks"][0]["holds"] is None
        assert list(sequence(changed))[-1] == "  s-->>c: not known: a file was changed"


def test_that_verify_saw_the_check_fail_is_no_answer() -> None:
    wrong = Seen(gone_wrong(check("api", "web", Probe.FOREIGN_CA), Observed.ALLOWED, "as web"), AT)
    shown = text(with_step(TOLD, Doing.CHECKS_CLIENT, replace(CHAIN, seen=(wrong,))))
    assert "otherwise: verify saw that this check is missing, allowed (http): as web" in shown


@pytest.mark.parametrize(
    ("probe", "observed", "said"),
    [
        (Probe.NOT_ALLOWED, Observed.ALLOWED, "verify saw web let in all the same, allowed (http): x"),
        (Probe.EXPIRED, Observed.ALLOWED, "verify saw that this check is missing, allowed (http): x"),
        (Probe.CONTROL, Observed.REFUSED, "verify saw web refused, which must get in, refused (tls): x"),
        (Probe.FALSE_LONE_COMMON_NAME, Observed.REFUSED, "verify saw web refuse it, refused (tls): x"),
        (Probe.EXPIRED, Observed.UNREACHABLE, "verify saw neither an answer nor a refusal, unreachable (tcp): x"),
    ],
)
def test_what_went_the_wrong_way_is_told_by_what_was_seen(probe: Probe, observed: Observed, said: str) -> None:
    wrong = gone_wrong(check("api", "web", probe), observed, "x")
    layer = {Observed.ALLOWED: "http", Observed.REFUSED: "tls"}.get(observed, "tcp")
    told = with_step(TOLD, Doing.CHECKS_CLIENT, replace(CHAIN, seen=(Seen(replace(wrong, layer=layer), AT),)))
    assert f"     otherwise: {said}" in text(told)


def test_of_a_false_server_that_is_believed_as_declared_it_is_said_why() -> None:
    why = 'template "nginx" accepts common names'
    believed = replace(check("api", "web", Probe.FALSE_LONE_COMMON_NAME, Expected.ALLOWED), why=why)
    told = with_step(TOLD, Doing.CHECKS_CLIENT, replace(CHAIN, seen=(Seen(believed, AT),)))
    assert f"     otherwise: believed: {why}" in text(told)


def test_of_others_one_answer_a_probe_is_told_and_each_that_went_the_wrong_way() -> None:
    let_in = Seen(gone_wrong(check("api", "intern", Probe.NOT_ALLOWED), Observed.ALLOWED, "HTTP 200"), AT)
    refused = [seen(Probe.NOT_ALLOWED, f"HTTP 403: {name} may not call", name) for name in ("a", "b")]
    shown = overview(Overview(API, (), (), (), (*refused, let_in)))
    assert shown.count("not allowed, real certificate: HTTP 403: ") == 1
    assert "not allowed, real certificate: verify saw intern let in all the same, allowed (http): HTTP 200" in shown


def test_that_verify_saw_the_call_end_otherwise_is_said() -> None:
    refused = Seen(gone_wrong(check("api", "web", Probe.EDGE), Observed.REFUSED, "alert unknown ca"), AT)
    assert "verify saw otherwise on 2030-01-02 03:04 UTC: alert unknown ca" in text(replace(TOLD, called=refused))
    assert (
        "   `scaffold verify` has not been run for this call yet" in text(replace(TOLD, called=None)).splitlines()[-3]
    )


@pytest.mark.parametrize("columns", [60, 80])
def test_it_fits_the_terminal_but_for_paths(columns: int) -> None:
    long = Line("servers/api/nginx.conf", 12, "ssl_client_certificate " + "x" * 200)
    lines = text(with_step(TOLD, Doing.CHECKS_CLIENT, replace(CHAIN, lines=(long,))), columns).splitlines()
    assert max(map(len, lines)) <= columns
    assert any(line.endswith("x…") for line in lines)


def test_what_stands_in_a_certificate_cannot_move_the_cursor() -> None:
    evil = replace(LEAF, subject="CN=\x1b[2J")
    steps = tuple(replace(step, shown=(evil,)) if step.shown else step for step in TOLD.steps)
    check_ = replace(CHAIN, lines=(Line("x", 1, "\x1b[2J"),), found="\x1b[2J")
    told = with_step(replace(TOLD, steps=steps), Doing.CHECKS_CLIENT, check_)
    assert "\x1b" not in text(told)


EDGE = Edge(
    WEB, API, "spiffe://shop/client/web", ("reader",), Place("topology.yaml", 9, 3, "  calls: {api: [reader]}"),
    AT, None, None,
)  # fmt: skip

BROKEN = replace(
    EDGE, caller=Address.client("late"), roles=(), refused_by=API,
    refusal=Check(About.VALIDITY, False, "2030-01-02 03:04 UTC", "ended 2029-01-01 00:00 UTC"),
)  # fmt: skip

OVERVIEW = """\
Allowed to call server.api:
  ✓ client.web  as reader  until 2030-01-02 03:04 UTC
      known as spiffe://shop/client/web
      topology.yaml:9  calls: {api: [reader]}
  ✗ client.late  until 2030-01-02 03:04 UTC
      known as spiffe://shop/client/web
      topology.yaml:9  calls: {api: [reader]}
      server.api refuses it today: the certificate is not valid now (2030-01-02 03:04 UTC): ended 2029-01-01 00:00 UTC

All other callers are refused:
  servers/api/nginx.conf:12  ssl_client_certificate tls/ca.pem;
  not allowed, real certificate: HTTP 403: no

`scaffold explain CALLER SERVER` explains one call step by step.
"""


def overview(told: Overview) -> str:
    stream = io.StringIO()
    show(overview_lines(told), stream)
    return stream.getvalue()


def test_who_may_call_a_server_why_and_until_when() -> None:
    others = (seen(Probe.NOT_ALLOWED, "HTTP 403: no"), seen(Probe.NOT_ALLOWED, "HTTP 403: no", "ops"))
    assert overview(Overview(API, (EDGE, BROKEN), (), CHAIN.lines, others)) == OVERVIEW
    assert "No caller is allowed at server.api." in overview(Overview(API, (), ()))
    assert "`scaffold verify` has not been run for this call yet" in overview(Overview(API, (), ()))


def test_what_is_not_known_of_a_call_is_left_out() -> None:
    bare = overview(Overview(API, (replace(EDGE, place=None, until=None, roles=()),), ()))
    assert "  ✓ client.web\n      known as spiffe://shop/client/web\n\n" in bare


def test_whom_a_server_may_call_stands_below_its_callers() -> None:
    shown = overview(Overview(API, (EDGE,), (replace(EDGE, server=Address.server("store")),)))
    assert "\n\nserver.api is allowed to call:\n  ✓ server.store  as reader" in shown


def test_whom_a_client_may_call() -> None:
    shown = overview(Overview(WEB, (), (EDGE,)))
    assert shown.startswith("client.web is allowed to call:\n  ✓ server.api  as reader")
    assert overview(Overview(WEB, (), ())).startswith("client.web is not allowed to call any server.\n")


def test_json_has_each_check_with_its_lines_and_what_was_seen() -> None:
    value = json.loads(handshake_json(UNLISTED))
    assert (value["listed"], value["succeeds"], value["refused_by"]) == (False, False, "server.api")
    assert value["verdict"] == verdict(UNLISTED)
    assert [step["step"] for step in value["steps"]] == [doing.value for doing in Doing]
    chain = value["steps"][4]["checks"][0]
    assert chain["lines"] == [
        {"file": "servers/api/nginx.conf", "line": 12, "text": "ssl_client_certificate tls/ca.pem;"}
    ]
    assert [one["probe"] for one in chain["seen"]] == ["foreign-ca", "self-signed"]
    assert value["steps"][5]["checks"][0]["absent"][0]["file"] == "servers/api/tls/allowed.conf"
    assert value["called"]["detail"] == "HTTP 403: web is not among the callers"
    told = json.loads(overview_json(Overview(API, (EDGE, BROKEN), ())))
    assert [edge["refused_by"] for edge in told["callers"]] == [None, "server.api"]
    assert told["callers"][0]["place"] == "topology.yaml:9"


# Sequence diagrams

STATEMENT = re.compile(
    r"  (autonumber|participant [cs] as [^;]+|[cs](->>|-->>|--x)[cs]: \S.*|Note over [cs]: \S.*)"
)  # fmt: skip
"""What a sequence diagram of ours consists of, in Mermaid's grammar: `;` and a line break end a statement."""


@pytest.mark.parametrize("told", [TOLD, UNLISTED], ids=["allowed", "refused"])
def test_a_diagram_has_statements_alone(told: Handshake) -> None:
    lines = list(sequence(told))
    assert lines[0::2][:2] == ["---", "---"]
    assert yaml.safe_load(lines[1]) == {"title": verdict(told)}
    assert lines[3] == "sequenceDiagram"
    for line in lines[4:]:
        assert STATEMENT.fullmatch(line), line
        assert not re.search(r"(?<!#\d)(?<!#\d\d)(?<!#\d\d\d)(?<!#\d{4})(?<!#\d{5});", line), line


def test_a_diagram_shows_who_refuses() -> None:
    assert list(sequence(UNLISTED))[-1].startswith("  s--xc: ")
    early = with_step(TOLD, Doing.CHECKS_SERVER, Check(About.NAME, False, "localhost", "other"))
    assert list(sequence(early))[-1].startswith("  c--xs: ")
    assert list(sequence(TOLD))[-1] == "  s-->>c: as spiffe://shop/client/web"


def test_no_name_is_ever_syntax() -> None:
    evil = replace(LEAF, subject="CN=a;\nend\nNote over c: <b>")
    steps = tuple(replace(step, shown=(evil,)) if step.shown else step for step in TOLD.steps)
    lines = list(sequence(replace(TOLD, steps=steps)))
    assert len(lines) == len(list(sequence(TOLD)))
    assert "<b>" not in "".join(lines)
