"""A call told on the certificates of both ends: each check fails where its subject is wrong, and nowhere else."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from scaffold.errors import VerifyError
from scaffold.explain import ends
from scaffold.explain.ends import World
from scaffold.explain.handshake import handshake
from scaffold.explain.model import About, Check, Doing, Handshake
from scaffold.explain.overview import overview
from scaffold.plan.drift import changed_files, drift_in_tls
from scaffold.plan.intents import Revoke, reason_of
from scaffold.plan.plan_subset import plan_intents
from scaffold.store import files, ledger
from scaffold.topology import graph
from scaffold.topology.address import Address
from scaffold.verify import last_run
from scaffold.verify.last_run import LastRun
from scaffold.verify.model import Observed, Probe, Report
from tests.unit.conftest import Household
from tests.unit.view.reports import check, gone_wrong

TOPOLOGY = """
version: 1
name: bank
publish: http://127.0.0.1:9080
cas:
  root: {}
  other: {}
  issuing: {issuer: root, revocation: {crl: 1d}}
  apart: {issuer: other}
servers:
  api: {template: python, issuer: issuing, listen: "127.0.0.1:8443", names: [localhost], check_revocation: crl, calls: [store]}
  store: {template: nginx, issuer: issuing, listen: "127.0.0.1:8444", names: [store.internal, localhost]}
  misnamed: {template: python, issuer: issuing, listen: "127.0.0.1:8445", names: [localhost], fault: wrong-name}
  far: {template: python, issuer: apart, listen: "127.0.0.1:8446", names: [localhost]}
clients:
  both: {template: python, issuer: issuing, calls: [store, far]}
  web: {template: python, issuer: issuing, calls: {api: [reader], misnamed: []}, lifetime: 24h}
  ops: {template: curl, issuer: issuing, calls: [store]}
  foreign: {template: curl, issuer: apart, calls: []}
  expired: {template: python, issuer: issuing, calls: [api], fault: expired}
  purpose: {template: python, issuer: issuing, calls: [api], fault: wrong-eku}
  other-name: {template: python, issuer: issuing, calls: [api], fault: wrong-name}
  odd: {template: python, issuer: issuing, calls: [api], fault: unknown-critical}
  unknown: {template: python, issuer: issuing, calls: [api], fault: wrong-ca}
  partner: {external: {issuer: apart, identity: "spiffe://partner/x"}, calls: [misnamed]}
"""  # noqa: E501


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Household:
    """What no test changes."""
    household = Household(tmp_path_factory.mktemp("explained"), TOPOLOGY)
    household.apply()
    return household


def world(household: Household, *seen: object, **changed: object) -> World:
    project = household.open()
    layout = project.layout
    run = last_run.updated(LastRun(), Report(tuple(seen)), household.now)  # type: ignore[arg-type]
    made = World(project.topology, project.kinds, layout, household.look().ledger, run, household.now)
    return replace(made, **changed)  # type: ignore[arg-type]


def told(known: World, caller: str, server: str) -> Handshake:
    parties = {party.name: party for party in graph.parties(known.topology)}
    return handshake(known, parties[caller], known.topology.servers[server])


def of(call: Handshake, doing: Doing) -> dict[About, Check]:
    (step,) = [step for step in call.steps if step.doing is doing]
    return {check.about: check for check in step.checks}


def failing(call: Handshake) -> list[tuple[Doing, About]]:
    return [(step.doing, check.about) for step in call.steps for check in step.checks if check.holds is False]


def test_an_allowed_call_holds_at_every_step(applied: Household) -> None:
    call = told(world(applied), "web", "api")
    assert [step.doing for step in call.steps] == list(Doing)
    assert failing(call) == []
    assert (call.listed, call.ends_at) == (True, None)
    by_server = of(call, Doing.CHECKS_CLIENT)
    assert by_server[About.CHAIN].found == "CN=root ← CN=issuing"
    assert by_server[About.CHAIN].wanted == "servers/api/tls/ca.pem"
    assert by_server[About.REVOCATION].wanted == "crl"
    assert of(call, Doing.DECIDES)[About.ALLOWED].found == "spiffe://bank/client/web (reader)"
    assert of(call, Doing.CHECKS_SERVER)[About.NAME].wanted == "localhost"
    assert About.REVOCATION not in of(call, Doing.CHECKS_SERVER)  # web looks up nobody


def test_what_is_sent_is_the_file_of_each_end(applied: Household) -> None:
    call = told(world(applied), "api", "store")
    sent = {step.doing: (step.sends, step.shown[0].subject) for step in call.steps if step.sends}
    assert sent == {
        Doing.SHOWS_SERVER: ("servers/store/tls/cert.pem", "CN=store"),
        Doing.SHOWS_CLIENT: ("servers/api/tls/client-cert.pem", "CN=api"),
    }
    assert of(call, Doing.CHECKS_SERVER)[About.CHAIN].wanted == "servers/api/tls/client-ca.pem"
    assert of(call, Doing.CHECKS_SERVER)[About.NAME].wanted == "store.internal"
    assert About.REVOCATION in of(call, Doing.CHECKS_SERVER)


def test_where_callees_lead_to_several_roots_each_is_checked_by_its_own(applied: Household) -> None:
    chain = of(told(world(applied), "both", "far"), Doing.CHECKS_SERVER)[About.CHAIN]
    assert (chain.holds, chain.wanted) == (True, "clients/both/tls/ca.far.pem")
    assert chain.found == "CN=other ← CN=apart"
    assert any('"far": "ca.far.pem"' in line.text for line in chain.lines)
    assert chain.absent == ()


@pytest.mark.parametrize(
    ("caller", "server", "doing", "about"),
    [
        ("expired", "api", Doing.CHECKS_CLIENT, About.VALIDITY),
        ("purpose", "api", Doing.CHECKS_CLIENT, About.PURPOSE),
        ("other-name", "api", Doing.DECIDES, About.ALLOWED),
        ("odd", "api", Doing.CHECKS_CLIENT, About.FAULT),
        ("unknown", "api", Doing.CHECKS_CLIENT, About.CHAIN),
        ("ops", "api", Doing.DECIDES, About.ALLOWED),
        ("web", "misnamed", Doing.CHECKS_SERVER, About.NAME),
    ],
)
def test_each_fault_is_found_by_the_check_that_sees_it(
    applied: Household, caller: str, server: str, doing: Doing, about: About
) -> None:
    assert failing(told(world(applied), caller, server)) == [(doing, about)]


def test_a_caller_below_another_root_is_refused_by_its_chain_before_the_list(applied: Household) -> None:
    call = told(world(applied), "foreign", "store")
    assert (Doing.CHECKS_CLIENT, About.CHAIN) in failing(call)
    assert call.ends_at is not None
    assert call.ends_at.doing is Doing.CHECKS_SERVER  # it does not trust the server's root either
    assert not call.listed


def test_an_identity_that_is_not_on_the_list_has_no_line_there(applied: Household) -> None:
    allowed = of(told(world(applied), "ops", "api"), Doing.DECIDES)[About.ALLOWED]
    assert [line.file for line in allowed.lines] == ["servers/api/guard.py"]
    assert allowed.absent == (("servers/api/tls/allowed.json", '"identity": "spiffe://bank/client/ops"'),)
    listed = of(told(world(applied), "web", "api"), Doing.DECIDES)[About.ALLOWED]
    assert {line.file for line in listed.lines} == {"servers/api/guard.py", "servers/api/tls/allowed.json"}


def test_a_line_that_was_edited_away_is_missed(applied: Household, tmp_path: Path) -> None:
    known = world(applied)
    shutil.copytree(applied.out, tmp_path / "bank")
    file = tmp_path / "bank/servers/store/nginx.conf"
    file.write_text(file.read_text().replace("ssl_verify_client on;", "ssl_verify_client optional;"))
    known = replace(known, layout=replace(known.layout, out=tmp_path / "bank"))
    demanded = of(told(known, "ops", "store"), Doing.CHECKS_CLIENT)[About.DEMANDED]
    assert (demanded.lines, demanded.absent) == ((), (("servers/store/nginx.conf", "ssl_verify_client on;"),))


def changed(household: Household, folder: Path, path: str, old: str, new: str) -> World:
    """What is known of a copy in which a person has changed a file."""
    shutil.copytree(household.out, folder / "bank")
    file = folder / "bank" / path
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    copy = Household(folder, TOPOLOGY, household.now)
    return world(copy, changed=changed_files(drift_in_tls(copy.plan())))


@pytest.mark.parametrize("caller", ["web", "ops"])
@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("servers/api/tls/allowed.json", "spiffe://bank/client/web", "spiffe://bank/client/ops"),
        ("servers/api/guard.py", "if allowed is None:", "if False:"),
    ],
)
def test_where_what_decides_was_changed_neither_is_said(
    applied: Household, tmp_path: Path, caller: str, path: str, old: str, new: str
) -> None:
    known = changed(applied, tmp_path, path, old, new)
    call = told(known, caller, "api")
    assert (call.changed, call.is_open, call.ends_at) == ((path,), True, None)
    assert of(call, Doing.DECIDES)[About.ALLOWED].changed == (path,)
    assert of(call, Doing.CHECKS_CLIENT)[About.CHAIN].changed == ()  # which another file makes
    of_server = overview(known, known.topology.servers["api"])
    assert [edge.changed for edge in of_server.callers if edge.caller.name == "web"] == [(path,)]
    assert of_server.changed == (path,)
    assert told(known, "both", "store").changed == ()


def test_what_another_file_refuses_is_refused_whatever_was_changed(applied: Household, tmp_path: Path) -> None:
    known = changed(applied, tmp_path, "servers/api/tls/allowed.json", "spiffe://bank/client/web", "x")
    call = told(known, "purpose", "api")
    assert failing(call) == [(Doing.CHECKS_CLIENT, About.PURPOSE)]
    assert not call.is_open


def test_a_certificate_that_was_changed_is_judged_by_itself(applied: Household, tmp_path: Path) -> None:
    known = changed(
        applied, tmp_path, "servers/api/tls/ca.pem", "-----END CERTIFICATE-----", "-----END CERTIFICATE-----\n"
    )
    assert told(known, "web", "api").changed == ()


def test_a_caller_has_no_line_about_a_server_that_it_does_not_call(applied: Household) -> None:
    steps = told(world(applied), "both", "api").steps
    assert {file for step in steps for one in step.checks for file, _ in one.absent} == {"servers/api/tls/allowed.json"}


def test_what_has_ended_or_not_begun_is_judged_by_the_time_that_is_given(applied: Household) -> None:
    later = world(applied, now=applied.now + timedelta(days=2))
    assert failing(told(later, "web", "api")) == [(Doing.CHECKS_CLIENT, About.VALIDITY)]
    before = world(applied, now=applied.now - timedelta(days=2))
    assert failing(told(before, "ops", "store")) == [
        (Doing.CHECKS_SERVER, About.VALIDITY), (Doing.CHECKS_CLIENT, About.VALIDITY),
    ]  # fmt: skip


def test_a_revoked_caller_is_found_where_the_server_looks_it_up(tmp_path: Path) -> None:
    household = Household(tmp_path, TOPOLOGY)
    household.apply()
    for name in ("web", "ops"):
        intent = Revoke(Address.client(name), reason_of("superseded"), replace=False)
        household.carry_out(plan_intents(household.look(), [intent]))
    assert failing(told(world(household), "web", "api")) == [(Doing.CHECKS_CLIENT, About.REVOCATION)]
    assert failing(told(world(household), "ops", "store")) == []  # which looks up nobody
    # Of all that is answered where a lookup refuses, its own answer alone.
    seen = [check("api", "web", probe) for probe in (Probe.REVOKED, Probe.REVOKED_CA, Probe.EXPIRED_CRL)]
    refused = of(told(world(household, *seen), "web", "api"), Doing.CHECKS_CLIENT)[About.REVOCATION]
    assert [one.check.probe for one in refused.seen] == [Probe.REVOKED]
    intent = Revoke(Address.ca("issuing"), reason_of("superseded"), replace=False)
    household.carry_out(plan_intents(household.look(), [intent]))
    refused = of(told(world(household, *seen), "both", "api"), Doing.CHECKS_CLIENT)[About.REVOCATION]
    assert refused.found.startswith("CN=issuing was revoked on ")
    assert [one.check.probe for one in refused.seen] == [Probe.REVOKED_CA]


def test_what_the_ledger_has_lost_and_a_crl_lists_is_revoked_all_the_same(tmp_path: Path) -> None:
    household = Household(tmp_path, TOPOLOGY)
    household.apply()
    intent = Revoke(Address.client("web"), reason_of("certificateHold"), replace=False)
    household.carry_out(plan_intents(household.look(), [intent]))
    (household.out / ".scaffold/ledger.jsonl").unlink()
    call = told(world(household), "web", "api")
    assert failing(call) == [(Doing.CHECKS_CLIENT, About.REVOCATION)]
    assert "CN=web was put on hold on " in of(call, Doing.CHECKS_CLIENT)[About.REVOCATION].found
    assert failing(told(world(household, ledger=ledger.Ledger()), "web", "api")) == []


@pytest.mark.parametrize(
    ("caller", "about", "probes", "answers"),
    [
        ("expired", About.VALIDITY, (Probe.EXPIRED, Probe.NOT_YET_VALID), [Probe.EXPIRED]),
        ("purpose", About.PURPOSE, (Probe.SERVER_CERTIFICATE, Probe.NO_EKU), [Probe.SERVER_CERTIFICATE]),
        ("unknown", About.CHAIN, (Probe.FOREIGN_CA, Probe.SELF_SIGNED), [Probe.FOREIGN_CA]),
        ("web", About.CHAIN, (Probe.FOREIGN_CA, Probe.SELF_SIGNED), [Probe.FOREIGN_CA, Probe.SELF_SIGNED]),
    ],
)
def test_of_what_fails_no_answer_to_something_else_is_told(
    applied: Household, caller: str, about: About, probes: tuple[Probe, ...], answers: list[Probe]
) -> None:
    known = world(applied, *(check("api", "ops", probe) for probe in probes))
    assert [one.check.probe for one in of(told(known, caller, "api"), Doing.CHECKS_CLIENT)[about].seen] == answers


@pytest.mark.parametrize(("caller", "answers"), [("ops", [Probe.NOT_ALLOWED]), ("other-name", [Probe.OTHER_SUBJECT])])
def test_who_is_not_listed_is_told_of_as_verify_saw_such_a_one(
    applied: Household, caller: str, answers: list[Probe]
) -> None:
    seen = (check("api", "web", probe) for probe in (Probe.NOT_ALLOWED, Probe.SIBLING_CA, Probe.OTHER_SUBJECT))
    allowed = of(told(world(applied, *seen), caller, "api"), Doing.DECIDES)[About.ALLOWED]
    assert [one.check.probe for one in allowed.seen] == answers


def test_what_went_the_wrong_way_for_another_is_not_told_of_this_one(applied: Household) -> None:
    let_in = gone_wrong(check("api", "ops", Probe.NOT_ALLOWED), Observed.ALLOWED)
    known = world(applied, let_in)
    assert of(told(known, "web", "api"), Doing.DECIDES)[About.ALLOWED].seen == ()
    own = of(told(known, "ops", "api"), Doing.DECIDES)[About.ALLOWED].seen
    assert [one.check for one in own] == [let_in]


def test_of_an_external_caller_nothing_is_known_but_whether_it_is_listed(applied: Household) -> None:
    call = told(world(applied), "partner", "misnamed")
    assert [step.sends for step in call.steps if step.doing is Doing.SHOWS_CLIENT] == [None]
    assert {check.holds for check in of(call, Doing.CHECKS_CLIENT).values()} == {None}
    assert of(call, Doing.DECIDES)[About.ALLOWED].holds is True
    assert of(call, Doing.CHECKS_SERVER) == {}


def test_what_verify_saw_stands_at_the_check_that_would_fail(applied: Household) -> None:
    seen = (
        check("api", "ops", Probe.EXPIRED), check("api", "web", Probe.FOREIGN_CA),
        check("api", "late", Probe.FOREIGN_CA), check("api", "web", Probe.FALSE_NAME),
        check("api", "late", Probe.FALSE_ROOT), check("api", "web", Probe.EDGE),
        check("store", "web", Probe.NO_CERTIFICATE),
    )  # fmt: skip
    call = told(world(applied, *seen), "web", "api")
    by_server, by_caller = of(call, Doing.CHECKS_CLIENT), of(call, Doing.CHECKS_SERVER)
    assert [one.check.client for one in by_server[About.CHAIN].seen] == ["web"]
    assert [one.check.client for one in by_server[About.VALIDITY].seen] == ["ops"]  # the server asks all the same
    assert by_server[About.DEMANDED].seen == ()
    assert [one.check.probe for one in by_caller[About.NAME].seen] == [Probe.FALSE_NAME]
    assert by_caller[About.CHAIN].seen == ()  # another caller's judgement is not this one's
    assert call.called is not None
    assert call.called.check.probe is Probe.EDGE


def test_before_apply_there_is_nothing_to_tell(tmp_path: Path) -> None:
    household = Household(tmp_path, TOPOLOGY)
    with pytest.raises(VerifyError, match="has no project in") as error:
        told(world(household), "web", "api")
    assert error.value.hint == "run `scaffold apply` first"


def test_a_damaged_certificate_is_a_clear_error(applied: Household, tmp_path: Path) -> None:
    known = world(applied)
    shutil.copytree(applied.out, tmp_path / "bank")
    (tmp_path / "bank/clients/web/tls/cert.pem").write_text("-----BEGIN CERTIFICATE-----\nno\n")
    with pytest.raises(VerifyError, match=r"cert\.pem cannot be read"):
        told(replace(known, layout=replace(known.layout, out=tmp_path / "bank")), "web", "api")


def test_certificates_that_are_not_there_are_not_shown(applied: Household, tmp_path: Path) -> None:
    known = world(applied)
    shutil.copytree(applied.out, tmp_path / "bank")
    for path in ("clients/web/tls/cert.pem", "servers/api/tls/cert.pem"):
        (tmp_path / "bank" / path).unlink()
    call = told(replace(known, layout=replace(known.layout, out=tmp_path / "bank")), "web", "api")
    assert failing(call) == [
        (Doing.CHECKS_SERVER, About.CHAIN), (Doing.CHECKS_CLIENT, About.DEMANDED), (Doing.CHECKS_CLIENT, About.CHAIN),
    ]  # fmt: skip
    assert of(call, Doing.CHECKS_CLIENT)[About.REVOCATION].holds is None
    assert {step.shown for step in call.steps} == {()}


def test_who_has_signed_is_said_where_it_leads_to_no_root(applied: Household) -> None:
    call = told(world(applied), "unknown", "api")
    assert of(call, Doing.CHECKS_CLIENT)[About.CHAIN].found == "CN=issuing"
    assert of(call, Doing.DECIDES)[About.ALLOWED].wanted == "spiffe://bank/client/unknown, issued by issuing"


def test_the_callers_of_a_server_with_why_and_until_when(applied: Household) -> None:
    known = world(applied, check("api", "ops", Probe.NOT_ALLOWED))
    found = overview(known, known.topology.servers["api"])
    assert [edge.caller.name for edge in found.callers] == ["web", "expired", "purpose", "other-name", "odd", "unknown"]
    web, expired, *_ = found.callers
    assert (web.roles, web.identity, web.refusal) == (("reader",), "spiffe://bank/client/web", None)
    assert web.until is not None
    assert timedelta(hours=23) < web.until - applied.now <= timedelta(hours=24)
    assert web.place is not None
    assert "web: {template: python" in web.place.text
    assert expired.refused_by == found.address
    assert expired.refusal is not None
    assert expired.refusal.about is About.VALIDITY
    assert [edge.server.name for edge in found.callees] == ["store"]
    assert [one.check.client for one in found.others] == ["ops"]
    assert [line.file for line in found.lines] == ["servers/api/guard.py"]


def test_what_was_revoked_and_the_server_itself_are_read_once_for_all_callers(
    applied: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = world(applied)
    asked: list[str] = []

    def counted(name: str, original: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            asked.append(name)
            return original(*arguments)

        return call

    monkeypatch.setattr(ends, "revoked_ever", counted("revoked", ends.revoked_ever))
    monkeypatch.setattr(ends, "read", lambda path: counted(path, files.read)(path))
    found = overview(known, known.topology.servers["api"])
    assert len(found.callers) > 1
    assert asked.count("revoked") == 1
    assert asked.count(known.layout.at("servers/api/tls/cert.pem")) == 1


def test_whom_a_client_may_call(applied: Household) -> None:
    known = world(applied)
    found = overview(known, known.topology.clients["web"])
    assert [(edge.server.name, edge.refusal is None) for edge in found.callees] == [("api", True), ("misnamed", False)]
    assert found.callees[1].refused_by == found.address
    assert found.callers == ()
    assert overview(known, known.topology.clients["foreign"]).callees == ()
