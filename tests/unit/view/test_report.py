"""The inventory as text, as JSON, and as a page."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from scaffold.inventory.model import Applied
from scaffold.plan.model import Action, Change
from scaffold.plan.reasons import Reason, ReasonCode
from scaffold.plan.status import State
from scaffold.topology.address import Address
from scaffold.verify.model import Probe
from scaffold.view.report import report_lines
from scaffold.view.report_json import report_json
from scaffold.view.report_page import MOST_CHECKS, WIDEST_MATRIX, report_page
from scaffold.view.terminal import show
from tests.unit.view import inventories
from tests.unit.view.inventories import HOSTILE, NOW, inventory
from tests.unit.view.reports import check

TEXT = """\
shop: 3 CAs, 2 servers, 3 clients, 4 calls
As of 2030-01-02 03:04 UTC. 8 certificates: 6 valid, 1 fault, 1 due.

Needs attention
  client.web.certificate: due, until 2030-01-05 03:04 UTC (3d)
  client.web.certificate: revoked, and still accepted by server.store
  server.store: lets in every client's certificate of ca.issuing, listed or not
  server.store: in verify, 1 probe failed

"""


def text(shown: inventories.Inventory, columns: int | None = None) -> str:
    stream = io.StringIO()
    show(report_lines(shown, columns), stream)
    return stream.getvalue()


def test_it_begins_with_what_needs_attention() -> None:
    assert text(inventory()).startswith(TEXT)


LIST = Reason(ReasonCode.CONTENT, "servers/api/tls/allowed.json")
DRIFT = Change(Address.parse("server.api.trust"), Action.UPDATE, (LIST,))


def test_what_drifted_needs_attention_in_every_form() -> None:
    shown = replace(inventory(), drift=(DRIFT,))
    said = "differs from the topology: tls/allowed.json differs (see `plan --diff`)"
    assert f"  server.api.trust: {said}" in " ".join(text(shown, 1000).splitlines())
    remark = {"address": "server.api.trust", "state": None, "message": said}
    assert remark in json.loads(report_json(shown))["attention"]
    assert "server.api.trust" in report_page(shown)
    assert remark not in json.loads(report_json(replace(shown, applied=Applied.NEVER)))["attention"]


def test_of_what_was_not_made_yet_its_trust_is_not_told_apart() -> None:
    absent = replace(inventory().parties[0], certificates=(inventories.certificate(inventories.API, State.MISSING),))
    shown = replace(inventory(), drift=(DRIFT,), parties=(absent,))
    assert "server.api.trust: differs from" not in text(shown)
    assert "server.api.trust: differs from" in text(replace(inventory(), drift=(DRIFT,)))


def test_an_identity_is_broken_between_its_parts() -> None:
    assert '<p class="code">spiffe:/<wbr>/<wbr>shop/<wbr>api</p>' in report_page(inventory())
    assert "&lt;script&gt;" in report_page(inventories.hostile())


def test_of_each_ca_what_it_may_sign_and_until_when() -> None:
    shown = text(inventory())
    assert (
        "  ca.issuing  valid  until 2032-06-20 03:04 UTC (900d)\n"
        "    CN=issuing, ec-p256, issued by ca.root\n"
        "    may sign only dns shop.internal; never ip 10.0.0.0/8; no CA below it\n"
        "    signs 3 servers and clients; certificates that it issues name a CRL (1d)\n"
        "    CRL number 7, 1 entry, until 2030-01-03 03:04 UTC (1d)\n"
    ) in shown
    assert "    owner: PKI\n" in shown


def test_of_each_server_who_may_call_it_as_what_and_how_it_checks_revocation() -> None:
    shown = text(inventory())
    assert "    may be called by: client.web (reader), client.late [refused: expired]\n" in shown
    assert "    may call: server.store\n" in shown
    assert "    revocation of peers: by CRL; refuses where none can be had\n" in shown
    assert (
        "    forwards requests to 127.0.0.1:5000 in plain HTTP\n"
        "    lets in every client's certificate of ca.issuing, listed or not\n"
        "    revocation of peers: by OCSP; lets in where none can be had, but not in\n"
        "    force: the project checks none\n"
    ) in shown


def test_whom_a_gateway_passes_requests_on_to() -> None:
    front = replace(inventory().parties[0], passes_on=inventories.STORE)
    shown = text(replace(inventory(), parties=(front,)))
    assert "    forwards requests to server.store\n" in shown
    assert "in plain HTTP" not in shown


def test_what_was_revoked_when_why_and_who_refuses_it() -> None:
    assert (
        "  client.web.certificate, serial beef\n"
        "    2030-01-01 03:04 UTC, keyCompromise; on the CRL until it expires, 2030-01-11\n"
        "    still accepted by server.store until 2030-01-11 03:04 UTC: it does not check\n"
    ) in text(inventory())
    assert "Nothing was revoked.\n" in text(replace(inventory(), revoked=()))


def test_the_last_verify_with_what_has_changed_since() -> None:
    shown = text(inventory())
    assert "  2029-12-31 03:04 UTC: 17 passed, 1 failed.\n" in shown
    assert "  Changed since, and not verified again: server.api.\n" in shown
    assert "  Not verified, or perhaps changed since: client.ops.\n" in shown
    assert "Callers and servers\n" in shown
    fresh = replace(inventory(), verified=replace(inventory().verified, changed=(), unknown=()))
    assert "No project, certificate or trust file has changed since." in text(fresh)
    assert "Never: run `scaffold verify` to test which callers get in." in text(replace(inventory(), verified=None))


def test_the_ends_come_in_their_order_by_day() -> None:
    days = re.findall(r"^  (\d{4}-\d\d-\d\d) ", text(inventory()).partition("Expiry dates\n")[2], re.MULTILINE)
    assert days == sorted(days)
    assert days[0] == "2030-01-01"


@pytest.mark.parametrize(
    ("applied", "said"),
    [
        (Applied.NEVER, "Nothing was applied yet"),
        (Applied.PARTLY, "It is not complete"),
        (Applied.BEHIND, "The folder differs from the topology"),
    ],
)
def test_what_is_not_applied_is_said_first(applied: Applied, said: str) -> None:
    shown = replace(inventory(), applied=applied, pending={"create": 3})
    assert said in text(shown).splitlines()[2]
    assert said in report_page(shown)
    assert said not in text(inventory())


def test_a_lost_state_and_keys_for_tests_are_said() -> None:
    shown = replace(inventory(), notes=("the state was lost",), is_test_only=True)
    assert "The state was lost\n" in text(shown)
    assert "everybody with the seed has every key" in text(shown)
    assert "everybody with the seed has every key" in report_page(shown)


@pytest.mark.parametrize("columns", [None, 80])
def test_it_fits_the_columns(columns: int | None) -> None:
    assert max(map(len, text(inventory(), columns).splitlines())) <= 80


def test_what_somebody_else_wrote_cannot_move_the_cursor() -> None:
    shown = text(inventories.hostile())
    assert "\x1b" not in shown
    assert "\u202e" not in shown


# JSON

SHAPE = {
    "topology", "at", "applied", "pending", "cas", "servers", "clients", "calls", "owners", "revoked", "verified",
    "ends", "attention", "notes",
}  # fmt: skip
CERTIFICATE = {
    "address", "state", "detail", "serial", "fingerprint_sha256", "subject", "issuer", "names", "key", "not_before",
    "not_after",
}  # fmt: skip


def test_json_has_the_documented_fields() -> None:
    from scaffold.cli.manual import MANUALS

    value = json.loads(report_json(inventory()))
    assert set(value) == SHAPE
    assert set(MANUALS["report"].json) == SHAPE
    assert set(value["cas"][0]["certificate"]) == CERTIFICATE
    assert value["at"] == "2030-01-02T03:04:05Z"
    assert value["cas"][1]["name_constraints"] == {
        "permitted": {"dns": ["shop.internal"]}, "excluded": {"ip": ["10.0.0.0/8"]},
    }  # fmt: skip
    assert value["calls"][0] == {
        "caller": "server.api", "server": "server.store", "identity": "spiffe://shop/api", "roles": [],
        "expected": "allowed",
    }  # fmt: skip
    assert [one["expected"] for one in value["calls"]] == ["allowed", "allowed", "refused", "allowed"]
    assert value["owners"][-1]["owner"] is None
    assert value["revoked"][0]["on_crl_until"] == "2030-01-11T03:04:05Z"
    assert value["verified"]["changed"] == ["server.api"]
    assert value["servers"][1]["check_revocation"], value["servers"][1]["check_in_force"] == ("ocsp", "none")
    assert value["ends"] == sorted(value["ends"], key=lambda end: end["at"])


def test_json_of_what_was_never_made_has_the_same_fields() -> None:
    bare = replace(inventory(), verified=None, revoked=(), applied=Applied.NEVER)
    value = json.loads(report_json(bare))
    assert set(value) == SHAPE
    assert value["verified"] is None


# The page


class Read(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_page_needs_nothing_else() -> None:
    page = report_page(inventory())
    read = Read(page)
    assert not [tag for tag, _ in read.elements if tag in {"script", "link", "img", "iframe", "object", "form", "base"}]
    (policy,) = [a["content"] for tag, a in read.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert not re.search(r'(?:src|href)="(?!#)', page)
    assert "url(" not in page
    assert "style=" not in page


def test_no_name_is_ever_markup() -> None:
    page = report_page(inventories.hostile())
    read = Read(page)
    assert "script" not in {tag for tag, _ in read.elements}
    assert "<script" not in page
    assert "\u202e" not in page
    assert "\x1b" not in page
    assert "{{ 7*7 }}" in read.text
    assert r'"><script>alert(1)</script>\u202e{{ 7*7 }}\x1b[2J' in read.text
    assert page.count("<h2") == report_page(inventory()).count("<h2")


def test_every_link_leads_somewhere() -> None:
    elements = Read(report_page(inventory())).elements
    ids = {attributes["id"] for _, attributes in elements if "id" in attributes}
    links = {str(attributes["href"])[1:] for tag, attributes in elements if tag == "a"}
    assert links <= ids
    assert {"server.api", "client.web", "ends"} <= links


def test_a_state_is_told_by_word_and_mark() -> None:
    page = report_page(inventory())
    assert '<span class="state due"><span aria-hidden="true">◆</span> due</span>' in page
    assert '<span class="state good"><span aria-hidden="true">●</span> valid</span>' in page
    ended = inventories.certificate(inventories.WEB, State.EXPIRED, -2)
    expired = inventories.party(inventories.WEB, certificates=(ended,))
    assert '<span aria-hidden="true">✕</span> expired' in report_page(replace(inventory(), parties=(expired,)))


def test_the_matrix_says_each_cell_in_words() -> None:
    page = report_page(inventory())
    assert page.count('<span class="unseen">gets in</span>') == 2
    assert page.count('<span class="unseen">failed</span>') == 1
    assert "Failed checks" in page


def test_of_many_servers_each_is_a_row_and_checks_are_not_listed() -> None:
    many = [check(f"s{number}", "web", Probe.EDGE) for number in range(WIDEST_MATRIX + 1)]
    page = report_page(inventory(*many))
    assert "At each server" in page
    assert 'class="matrix"' not in page
    assert f"Each of the {len(many) + 18} checks" in page
    more = [check("api", f"c{number}", Probe.EDGE) for number in range(MOST_CHECKS)]
    assert "Each of the" not in report_page(inventory(*more))


def test_the_coming_year_is_thirteen_bars() -> None:
    page = report_page(inventory())
    assert "Certificates that end in each of the coming months: 2030 1, Feb 0, Mar 3, Apr 0" in page
    assert page.count("<rect") == 2


def test_no_secret_is_in_any_form() -> None:
    shown = inventory()
    for form in (text(shown), report_json(shown), report_page(shown)):
        assert "PRIVATE KEY" not in form
        assert "password" not in form.replace("It holds no key and no password.", "")


def test_the_same_inventory_is_the_same_page() -> None:
    assert report_page(inventory()) == report_page(inventory())
    assert NOW.isoformat()[:10] in report_page(inventory())
    assert HOSTILE not in report_page(inventories.hostile())
