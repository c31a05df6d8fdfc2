"""What an app behind a front must be told, each way right once and wrong in every way that matters."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from scaffold.pki import bundles, issue
from scaffold.pki.profiles import CertificateProfile
from scaffold.topology.model import Forward, KeyType, Subject
from scaffold.verify.forwarded import Headers, Shown, Told, forged
from tests.fresh import new_key, new_serial

NOW = datetime(2026, 11, 26, tzinfo=UTC)
TELLER = "spiffe://bank/client/teller"


def certificate(name: str, signer: issue.Issuer | None = None) -> issue.Issuer:
    key = new_key(KeyType.EC_P256)
    profile = CertificateProfile(Subject(name, organization='A "B", C'), "ca" if signer is None else "client")
    dates = {"not_before": NOW, "not_after": NOW + timedelta(days=1)}
    if signer is None:
        return issue.Issuer(issue.self_signed(profile, key, serial=new_serial(), **dates), key)
    return issue.Issuer(issue.sign(profile, key.public_key(), signer, serial=new_serial(), **dates), key)


CA = certificate("issuing")
LEAF = certificate("teller", CA).certificate
OTHER = certificate("other", CA).certificate
SHOWN = Shown(TELLER, ("reader", "x.y"), LEAF, CA.certificate, (CA.certificate, OTHER))
NAMES = ('CN=teller,O=A \\"B\\"\\, C', 'CN=issuing,O=A \\"B\\"\\, C')


def b64(one: object) -> str:
    return base64.b64encode(bundles.der(one)).decode()  # type: ignore[arg-type]


X_CLIENT = (
    ("X-Client-Identity", TELLER),
    ("X-Client-Subject", NAMES[0]),
    ("X-Client-Issuer", NAMES[1]),
    ("X-Client-Roles", "reader,x.y"),
)
RFC9440 = (("Client-Cert", f":{b64(LEAF)}:"), ("Client-Cert-Chain", f":{b64(CA.certificate)}:, :{b64(OTHER)}:"))
ARR = (("X-ARR-ClientCert", b64(LEAF)),)
HASH = f"Hash={hashlib.sha256(bundles.der(LEAF)).hexdigest()}"
PEM = 'Cert="' + quote(bundles.chain_pem([LEAF]).decode(), safe="") + '"'
SUBJECT = f'Subject="{NAMES[0]}"'


def xfcc(*elements: str) -> Headers:
    return (("X-Forwarded-Client-Cert", ";".join(elements)),)


def wrong(headers: Headers, *forward: Forward, shown: Shown = SHOWN) -> str | None:
    return Told(shown, forward).wrong((("Host", "shop"), *headers))


@pytest.mark.parametrize(
    ("headers", "forward"),
    [
        (X_CLIENT, Forward.X_CLIENT),
        (tuple((name.lower(), value) for name, value in X_CLIENT), Forward.X_CLIENT),
        (RFC9440, Forward.RFC9440),
        (ARR, Forward.ARR),
        (xfcc(HASH, SUBJECT, f"URI={TELLER}"), Forward.XFCC),
        (xfcc(PEM, SUBJECT, f'URI="{TELLER}"'), Forward.XFCC),
        (xfcc(PEM, HASH, SUBJECT), Forward.XFCC),
    ],
)
def test_each_way_is_right_as_it_is_asked_for_and_wrong_where_it_is_not(headers: Headers, forward: Forward) -> None:
    assert wrong(headers, forward) is None
    assert wrong(headers) == f"received {headers[0][1][:100]} in {headers[0][0].lower()}"
    assert wrong((), forward) == f"received nothing in {headers[0][0].lower()}"


def test_several_ways_stand_beside_each_other() -> None:
    assert wrong((*ARR, *X_CLIENT, *RFC9440), Forward.X_CLIENT, Forward.RFC9440, Forward.ARR) is None
    assert wrong(()) is None


def test_who_has_no_role_is_told_none_and_a_root_signs_without_a_chain() -> None:
    plain = Shown(TELLER, (), LEAF, CA.certificate, ())
    assert wrong(X_CLIENT[:3], Forward.X_CLIENT, shown=plain) is None
    assert wrong(X_CLIENT, Forward.X_CLIENT, shown=plain) == "received reader,x.y in x-client-roles"
    assert wrong(RFC9440[:1], Forward.RFC9440, shown=plain) is None
    assert wrong(RFC9440, Forward.RFC9440, shown=plain) is not None


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("change", [lambda value: value + "x", lambda value: value.upper(), lambda value: ""])
def test_another_name_is_wrong(number: int, change: object) -> None:
    headers = list(X_CLIENT)
    headers[number] = (headers[number][0], change(headers[number][1]))  # type: ignore[operator]
    assert (wrong(headers, Forward.X_CLIENT) or "").endswith(headers[number][0].lower())


@pytest.mark.parametrize(
    "headers",
    [
        (("Client-Cert", b64(LEAF)), RFC9440[1]),
        (("Client-Cert", f":{b64(OTHER)}:"), RFC9440[1]),
        (RFC9440[0],),
        (RFC9440[0], ("Client-Cert-Chain", f":{b64(OTHER)}:, :{b64(CA.certificate)}:")),
        (*RFC9440, RFC9440[0]),
    ],
)
def test_another_certificate_or_chain_is_wrong(headers: Headers) -> None:
    assert wrong(headers, Forward.RFC9440) is not None


@pytest.mark.parametrize(
    "value",
    [
        f"{SUBJECT};URI={TELLER}",
        f"{HASH};URI={TELLER}",
        f"{HASH};{SUBJECT};URI=spiffe://bank/client/other",
        f"{HASH};{SUBJECT};DNS=bank.example",
        f"Hash=00;{SUBJECT}",
        f'Cert="no";{SUBJECT}',
        f"{HASH};{SUBJECT},{HASH};{SUBJECT}",
        f"{HASH};{SUBJECT} and more",
        "",
    ],
)
def test_what_envoy_would_not_write_or_proves_nothing_is_wrong(value: str) -> None:
    assert wrong((("X-Forwarded-Client-Cert", value),), Forward.XFCC) is not None


@pytest.mark.parametrize(
    "extra",
    [
        ("X-Client-Subject", NAMES[0]),
        ("x_client_subject", NAMES[0]),
        ("X-On-Behalf-Of-Subject", "CN=other"),
        ("Client-Cert", "x"),
        ("X-SSL-Client-Verify", "SUCCESS"),
        ("REMOTE_USER", "root"),
        ("Anything", "forged-1"),
        ("Connection", "close, X-Client-Subject"),
        ("connection", "x_client_roles"),
    ],
)
def test_one_more_way_is_wrong(extra: tuple[str, str]) -> None:
    assert wrong(X_CLIENT, Forward.X_CLIENT) is None
    assert wrong((*X_CLIENT, extra), Forward.X_CLIENT) is not None


def test_what_says_nothing_of_a_caller_is_not_looked_at() -> None:
    headers = (*X_CLIENT, ("Connection", "close, Upgrade"), ("X-Forwarded-For", "1.2.3.4"), ("Cookie", "a=b"))
    assert wrong(headers, Forward.X_CLIENT) is None


def test_forgeries_come_in_every_spelling() -> None:
    spelled = [name for name, _ in forged()]
    for name in ("X-Client-Identity", "x-client-identity", "X-CLIENT-IDENTITY", "X_Client_Identity"):
        assert name in spelled
    assert spelled.count("Client-Cert") > 1
    assert dict(forged())["Connection"].startswith("close, X-Client-Identity, ")
    assert (
        wrong((*X_CLIENT, *forged()[:1]), Forward.X_CLIENT)
        == "received headers that the caller forged: X-Client-Identity"
    )
    assert wrong(forged()) == (
        "received headers that the caller forged: X-Client-Identity, x-client-identity, X-CLIENT-IDENTITY, "
        f"X_Client_Identity and {len({name for name, value in forged() if 'forged' in value}) - 4} more"
    )
