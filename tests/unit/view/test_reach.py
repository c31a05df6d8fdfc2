"""How far a revocation reaches, in words: what goes on first, and nothing said twice."""

from __future__ import annotations

from datetime import UTC, datetime

from scaffold.plan.reach import By, Reach, Refusal
from scaffold.topology.address import Address
from scaffold.view.reach import accepted_lines, peers_value, reach_lines, reach_words

WEB = Address.parse("client.web.certificate")
API, SHOP, PARTNER = Address.parse("server.api"), Address.parse("server.shop"), Address.parse("client.partner")
EARLY, LATE = datetime(2030, 1, 1, tzinfo=UTC), datetime(2030, 2, 1, tzinfo=UTC)


def text(lines) -> str:
    return "\n".join("".join(part for part, _ in line) for line in lines)


def test_what_goes_on_is_said_with_its_end_and_its_reason() -> None:
    reach = Reach(WEB, "a1", LATE, (Refusal(API, By.CRL, EARLY),), (SHOP,), (PARTNER,))
    assert text(reach_lines([reach])) == (
        "client.web.certificate (serial a1), once it is revoked:\n"
        "  still accepted by server.shop until 2030-02-01 00:00 UTC: it does not check revocation (check_revocation: "
        "none)\n"
        "  refused by server.api as soon as it has the new CRL, at the latest from 2030-01-01 00:00 UTC\n"
        "  not known for client.partner: external\n"
        "  The files here are updated at once; those on other hosts when you copy them or they are fetched.\n"
    )
    assert reach_words(reach).endswith("; refused by server.api (crl)")


def test_certificates_of_one_address_are_one_paragraph_with_the_last_end() -> None:
    both = [Reach(WEB, "a1", LATE, (), (SHOP,)), Reach(WEB, "b2", EARLY, (), (SHOP,))]
    assert text(reach_lines(both)).startswith("client.web.certificate (serial a1, b2), once")
    assert text(accepted_lines(both)).count("2030-02-01") == 1
    assert "2030-01-01" not in text(accepted_lines(both))


def test_the_twin_that_everybody_refuses_goes_on_nowhere() -> None:
    refused = Reach(WEB, "a1", LATE, (Refusal(API, By.OCSP, None),))
    assert text(accepted_lines([refused])) == ""
    assert "accepted" not in text(reach_lines([refused]))
    assert "as soon as it has the new OCSP response\n" in text(reach_lines([refused]))
    assert reach_words(Reach(WEB, "a1", LATE)) == "no server or client of the topology accepts it"
    assert text(reach_lines([])) == ""


def test_who_accepts_while_there_is_no_answer_is_said_to() -> None:
    refusals = (Refusal(API, By.OCSP, EARLY, fails_open=True), Refusal(SHOP, By.OCSP, EARLY))
    reach = Reach(WEB, "a1", LATE, refusals)
    assert text(reach_lines([reach])) == (
        "client.web.certificate (serial a1), once it is revoked:\n"
        "  accepted by server.api while it can get no valid OCSP response, until 2030-02-01 00:00 UTC at most "
        "(on_unavailable: allow)\n"
        "  refused by server.api as soon as it has the new OCSP response\n"
        "  refused by server.shop as soon as it has the new OCSP response, at the latest from 2030-01-01 00:00 "
        "UTC\n"
        "  The files here are updated at once; those on other hosts when you copy them or they are fetched.\n"
    )
    assert text(accepted_lines([reach])).startswith(
        "client.web.certificate is revoked, and accepted by server.api while"
    )
    assert reach_words(reach).startswith("accepted by server.api while it can get no valid OCSP response")
    value = peers_value(reach)["refused_by"]
    assert [one["on_unavailable"] for one in value] == ["allow", "refuse"]


def test_who_looks_up_callers_alone_is_told_apart() -> None:
    reach = Reach(WEB, "a1", LATE, (), (SHOP, API), callers_only=(API,))
    said = text(reach_lines([reach]))
    assert "still accepted by server.shop until 2030-02-01 00:00 UTC: it does not check revocation" in said
    assert (
        "still accepted by server.api until 2030-02-01 00:00 UTC: its template checks the revocation of callers" in said
    )
    assert peers_value(reach)["callers_only"] == ["server.api"]
