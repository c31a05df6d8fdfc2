"""What an outcome means. Every reading that passes a probe stands beside one that is much like it and does not."""

from __future__ import annotations

import json

import pytest

from scaffold.verify import http, judge
from scaffold.verify.http import HTTP, Answer, Answered, Http, meaning
from scaffold.verify.judge import Name, Welcome
from scaffold.verify.model import Layer, Observed
from scaffold.verify.protocol import Closed, Stuck, Unreachable

TELLER = "spiffe://bank/client/teller"
GATEWAY = "spiffe://bank/server/gateway"


def answer(
    server: str = "accounts", caller: str = TELLER, behalf: object = None, roles: object = (), **more: object
) -> bytes:
    return json.dumps({"server": server, "caller": caller, "roles": roles, "on_behalf_of": behalf, **more}).encode()


@pytest.mark.parametrize(
    ("outcome", "observed", "layer"),
    [
        (Answered(200, b""), Observed.ALLOWED, HTTP),
        (Answered(403, b'{"error": "not drawn"}'), Observed.REFUSED, HTTP),
        (Answered(400, b"<html>No required SSL certificate was sent</html>"), Observed.REFUSED, HTTP),
        (Answered(500, b""), Observed.BROKEN, HTTP),
        (Answered(502, b'{"error": "upstream"}'), Observed.BROKEN, HTTP),
        (Answered(503, b""), Observed.BROKEN, HTTP),
        (Answered(404, b""), Observed.BROKEN, HTTP),
        (Closed("unknown ca", False), Observed.REFUSED, Layer.TLS),
        (Closed("certificate required", True), Observed.REFUSED, Layer.TLS),
        (Closed(None, True), Observed.REFUSED, Layer.TLS),
        (Closed("internal error", False), Observed.BROKEN, Layer.TLS),
        (Closed("protocol version", False), Observed.BROKEN, Layer.TLS),
        (Unreachable("Connection refused"), Observed.UNREACHABLE, Layer.TCP),
        (Stuck(HTTP, "no answer"), Observed.BROKEN, HTTP),
    ],
)
def test_admission(outcome: Answer, observed: Observed, layer: str) -> None:
    finding = judge.admission(meaning(outcome))
    assert (finding.observed, finding.layer) == (observed, layer)
    assert finding.detail


def test_an_answer_must_name_the_caller() -> None:
    welcome = Welcome("accounts", TELLER)
    assert judge.admission(meaning(Answered(200, answer())), welcome).observed is Observed.ALLOWED
    assert judge.admission(meaning(Answered(200, answer(greeting="hello"))), welcome).observed is Observed.ALLOWED
    for wrong in (
        answer(caller=GATEWAY),
        answer(server="payments"),
        answer(behalf={"subject": "CN=forged", "issuer": "CN=forged"}),
        answer(roles=["reader"]),
        answer(roles=None),
        json.dumps({"server": "accounts", "caller": TELLER, "on_behalf_of": None}).encode(),
        b"hello",
        b"[]",
        b"[" * 100_000,
        b"",
    ):
        assert judge.admission(meaning(Answered(200, wrong)), welcome).observed is Observed.BROKEN


def test_through_a_gateway_the_answer_must_name_whoever_called_the_gateway() -> None:
    welcome = Welcome("accounts", GATEWAY, Name("CN=teller", "CN=issuing"))
    right = answer(caller=GATEWAY, behalf={"subject": "CN=teller", "issuer": "CN=issuing"})
    assert judge.admission(meaning(Answered(200, right)), welcome).observed is Observed.ALLOWED
    for behalf in (None, {"subject": "CN=forged", "issuer": "CN=issuing"}, {"subject": "CN=teller"}, "CN=teller"):
        wrong = answer(caller=GATEWAY, behalf=behalf)
        assert judge.admission(meaning(Answered(200, wrong)), welcome).observed is Observed.BROKEN


def test_a_caller_has_its_roles_and_no_other() -> None:
    welcome = Welcome("accounts", TELLER, roles=("reader", "approver"))
    right = judge.admission(meaning(Answered(200, answer(roles=["reader", "approver"]))), welcome)
    assert (right.observed, right.detail) == (Observed.ALLOWED, f"as {TELLER} (reader, approver)")
    for roles in ([], ["reader"], ["reader", "approver", "admin"], ["approver", "reader"], "reader,approver", None):
        finding = judge.admission(meaning(Answered(200, answer(roles=roles))), welcome)
        assert finding.observed is Observed.BROKEN
        assert "roles" in finding.detail


def test_through_a_gateway_both_have_their_own_roles() -> None:
    welcome = Welcome("accounts", GATEWAY, Name("CN=teller", "CN=issuing", ("reader",)), ("front",))
    behalf = {"subject": "CN=teller", "issuer": "CN=issuing"}

    def observed(roles: list[str], of_caller: dict[str, object]) -> Observed:
        said = answer(caller=GATEWAY, roles=roles, behalf=behalf | of_caller)
        return judge.admission(meaning(Answered(200, said)), welcome).observed

    assert observed(["front"], {"roles": ["reader"]}) is Observed.ALLOWED
    assert observed(["front"], {"roles": ["reader", "front"]}) is Observed.BROKEN
    assert observed(["front", "reader"], {"roles": ["reader"]}) is Observed.BROKEN
    assert observed(["reader"], {"roles": ["front"]}) is Observed.BROKEN
    assert observed(["front"], {"roles": []}) is Observed.BROKEN
    assert observed(["front"], {}) is Observed.BROKEN


@pytest.mark.parametrize(
    ("outcome", "observed"),
    [
        (Closed("protocol version", False), Observed.REFUSED),
        (Closed("handshake failure", False), Observed.REFUSED),
        (Closed(None, False), Observed.REFUSED),
        (Closed("unknown ca", False), Observed.BROKEN),
        (Closed("certificate required", True), Observed.ALLOWED),
        (Answered(200, b""), Observed.ALLOWED),
        (Answered(403, b""), Observed.ALLOWED),
        (Unreachable("Connection refused"), Observed.UNREACHABLE),
    ],
)
def test_an_old_protocol_is_refused_before_anything_else_is(outcome: Answer, observed: Observed) -> None:
    assert judge.protocol_refusal(meaning(outcome)).observed is observed


def test_health_answers_one_page_alone() -> None:
    assert http.health(Answered(200, b"ok\n"), Answered(404, b"")).observed is Observed.ALLOWED
    assert http.health(Answered(200, b"ok"), Answered(200, b"")).observed is Observed.BROKEN
    assert http.health(Answered(200, b"well"), Answered(404, b"")).observed is Observed.BROKEN
    assert http.health(Unreachable("refused"), Answered(404, b"")).observed is Observed.UNREACHABLE


@pytest.mark.parametrize(
    ("status", "output", "observed", "layer"),
    [
        (0, answer().decode(), Observed.ALLOWED, HTTP),
        (0, answer(caller=GATEWAY).decode(), Observed.BROKEN, HTTP),
        (0, "", Observed.BROKEN, HTTP),
        (3, "", Observed.REFUSED, Layer.TLS),
        (4, "", Observed.REFUSED, Layer.TLS),
        (5, "", Observed.UNREACHABLE, Layer.TCP),
        (1, "", Observed.BROKEN, None),
        (-9, "", Observed.BROKEN, None),
    ],
)
def test_a_rendered_client_says_by_its_exit_status(
    status: int, output: str, observed: Observed, layer: str | None
) -> None:
    finding = judge.client_run(Http(), status, output, "words\nthe last line\n", Welcome("accounts", TELLER))
    assert (finding.observed, finding.layer) == (observed, layer)
    if status:
        assert "the last line" in finding.detail


def test_a_declared_fault_is_refused_by_the_side_that_sees_it() -> None:
    assert judge.declared_refusal(Http(), 4, "", "the server refused me", {judge.REFUSED}).observed is Observed.REFUSED
    assert judge.declared_refusal(Http(), 3, "", "I do not trust it", {judge.REFUSED}).observed is Observed.BROKEN
    assert judge.declared_refusal(Http(), 3, "", "I do not trust it", {judge.CANNOT_TRUST}).observed is Observed.REFUSED
    assert judge.declared_refusal(Http(), 0, "hello", "", {judge.REFUSED}).observed is Observed.ALLOWED
    assert judge.declared_refusal(Http(), 5, "", "", {judge.REFUSED}).observed is Observed.UNREACHABLE
    assert judge.declared_refusal(Http(), 1, "", "Traceback", {judge.REFUSED}).observed is Observed.BROKEN


def test_a_refusal_with_a_status_was_made_in_http() -> None:
    assert judge.declared_refusal(Http(), 4, "", "it refused me: 403 {}", {4}).layer is HTTP
    assert judge.declared_refusal(Http(), 4, "", "it refused me: alert expired", {4}).layer is Layer.TLS


@pytest.mark.parametrize(
    ("status", "connections", "requests", "observed"),
    [
        (0, 1, 1, Observed.ALLOWED),
        (3, 1, 0, Observed.REFUSED),
        (3, 1, 1, Observed.ALLOWED),  # it spoke first and complained afterwards
        (3, 0, 0, Observed.UNREACHABLE),  # it complained about something else
        (5, 0, 0, Observed.UNREACHABLE),
        (4, 1, 0, Observed.BROKEN),
        (1, 1, 0, Observed.BROKEN),
        (0, 1, 0, Observed.BROKEN),
    ],
)
def test_whom_a_client_trusts_is_seen_by_whether_it_spoke(
    status: int, connections: int, requests: int, observed: Observed
) -> None:
    assert judge.trust(Http(), status, "words", connections, requests).observed is observed


@pytest.mark.parametrize(
    ("outcome", "connections", "requests", "observed"),
    [
        (Answered(200, b""), 1, 1, Observed.ALLOWED),
        (Answered(502, b'{"error": "untrusted"}'), 1, 0, Observed.REFUSED),
        (Answered(502, b""), 1, 1, Observed.ALLOWED),
        (Answered(502, b""), 0, 0, Observed.UNREACHABLE),
        (Answered(200, b""), 0, 0, Observed.UNREACHABLE),  # it called somebody else
        (Answered(500, b""), 1, 0, Observed.BROKEN),
        (Answered(403, b""), 0, 0, Observed.UNREACHABLE),
        (Closed("unknown ca", False), 0, 0, Observed.BROKEN),  # it refused us: nothing was learnt
        (Unreachable("refused"), 0, 0, Observed.UNREACHABLE),
    ],
)
def test_whom_a_calling_server_trusts(outcome: Answer, connections: int, requests: int, observed: Observed) -> None:
    assert judge.trust_of_server(meaning(outcome), connections, requests).observed is observed
