"""Inventories of what never was, for the tests of how they are shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from scaffold.inventory.model import (
    Applied,
    CaEntry,
    Call,
    Certificate,
    Checking,
    Inventory,
    PartyEntry,
    Source,
    Verified,
)
from scaffold.plan.reach import By, Reach, Refusal
from scaffold.plan.status import CertificateStatus, CrlStatus, RevokedStatus, State
from scaffold.store.ledger import Issued
from scaffold.topology.address import Address, Part
from scaffold.topology.generations import GenerationState
from scaffold.topology.model import Fault, NameConstraints, OnUnavailable, Revocation, RevocationCheck, SanType
from scaffold.verify.last_run import Seen
from scaffold.verify.model import Check, Observed, Probe
from scaffold.view.layout import DENSEST
from tests.unit.view.reports import check, gone_wrong, shop

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
DAY = timedelta(days=1)

HOSTILE = '"><script>alert(1)</script>\u202e{{ 7*7 }}\x1b[2J'
"""What a name may be that somebody else chose: of markup, of a template, of a terminal."""


def certificate(address: Address, state: State = State.VALID, days: float = 60, *names: str) -> Certificate:
    part = address if address.part is not None else address.with_part(Part.CERTIFICATE)
    status = CertificateStatus(part, state, "5d4f", NOW - DAY, NOW + days * DAY, "ab" * 32)
    return Certificate(status, f"CN={address.name}", "CN=issuing", names, "ec-p256")


def crl(address: Address, days: float = 1, state: State = State.VALID) -> CrlStatus:
    return CrlStatus(address, state, 7, 1, NOW - DAY, NOW + days * DAY)


def ca(name: str, issuer: str | None = None, **fields: object) -> CaEntry:
    address = Address.ca(name)
    made = CaEntry(
        address, None, Source.HERE, Address.ca(issuer) if issuer else None, GenerationState.ISSUING,
        certificate(address, State.VALID, 900), crl(address.with_part(Part.CRL)), 0 if issuer else None, None,
        Revocation(crl=DAY), (0, 3) if issuer else (1, 0),
    )  # fmt: skip
    return replace(made, **fields)


def party(address: Address, **fields: object) -> PartyEntry:
    is_server = str(address).startswith("server.")
    made = PartyEntry(
        address, None, Source.HERE, "python", (Address.ca("issuing"),), f"spiffe://shop/{address.name}",
        "127.0.0.1:8443" if is_server else None, (certificate(address, State.VALID, 60, "localhost"),),
        Checking(RevocationCheck.NONE, RevocationCheck.NONE, OnUnavailable.REFUSE, None), (), (), (), None,
    )  # fmt: skip
    return replace(made, **fields)


def call(caller: Address, server: Address, *roles: str, faults: tuple[Fault, ...] = ()) -> Call:
    return Call(caller, server, f"spiffe://shop/{caller.name}", roles, faults)


API, STORE = Address.server("api"), Address.server("store")
WEB, LATE, OPS = Address.client("web"), Address.client("late"), Address.client("ops")


def inventory(*extra: Check) -> Inventory:
    """A shop in which something of everything is the case: due, broken, revoked, accepted by chain, changed since."""
    web, late = call(WEB, API, "reader"), call(LATE, API, faults=(Fault.EXPIRED,))
    ops, api = call(OPS, STORE), call(API, STORE)
    trust = crl(API.with_part(Part.TRUST))
    parties = (
        party(
            API, owner="Payments <team>", callers=(web, late), callees=(api,),
            checking=Checking(RevocationCheck.CRL, RevocationCheck.CRL, OnUnavailable.REFUSE, trust),
            certificates=(certificate(API, State.VALID, 60, "localhost", "api.shop.internal"),
                          certificate(API.with_part(Part.CLIENT_CERTIFICATE))),
        ),
        party(STORE, template="files", passes_on="127.0.0.1:5000", callers=(ops, api), accepts=(Address.ca("issuing"),),
              checking=Checking(RevocationCheck.OCSP, RevocationCheck.NONE, OnUnavailable.ALLOW, None)),
        party(WEB, callees=(web,), owner="Payments <team>", certificates=(certificate(WEB, State.DUE, 3),)),
        party(LATE, callees=(late,), fault=Fault.EXPIRED, certificates=(certificate(LATE, State.FAULT, -1),)),
        party(OPS, callees=(ops,), source=Source.EXTERNAL, template="", certificates=(), checking=None,
              issuers=(Address.ca("partner"),)),
    )  # fmt: skip
    constraints = NameConstraints({SanType.DNS: ("shop.internal",)}, {SanType.IP: ("10.0.0.0/8",)})
    cas = (
        ca("root", owner="PKI"),
        ca("issuing", "root", constraints=constraints),
        ca("partner", source=Source.ELSEWHERE, crl=None, certificate=certificate(Address.ca("partner"), days=400)),
    )
    issued = Issued(
        WEB.with_part(Part.CERTIFICATE), "issuing", "beef", "CN=web", "CN=issuing", NOW - DAY, NOW + 9 * DAY, "cd" * 32
    )
    reach = Reach(issued.address, "beef", issued.not_after, (Refusal(API, By.CRL),), (STORE,))
    revoked = (RevokedStatus("issuing", "beef", "keyCompromise", NOW - DAY, issued, reach),)
    checks = (*shop(), gone_wrong(check("store", "web", Probe.EXPIRED), Observed.ALLOWED, "as web"), *extra)
    seen = tuple(Seen(one, NOW - 2 * DAY) for one in checks)
    verified = Verified(seen, (API,), (OPS,))
    return Inventory("shop", NOW, Applied.WHOLE, {}, cas, parties, revoked, verified, ())


def hostile() -> Inventory:
    """The same with names that somebody else chose."""
    shop_ = inventory(gone_wrong(check("api", "web", Probe.NO_EKU), Observed.ALLOWED, HOSTILE))
    evil = replace(
        shop_.parties[0], owner=HOSTILE, identity=HOSTILE, template=HOSTILE,
        certificates=(replace(certificate(API), names=(HOSTILE,), subject=HOSTILE),),
    )  # fmt: skip
    bad_ca = replace(shop_.cas[2], certificate=replace(shop_.cas[2].certificate, subject=HOSTILE, issuer=HOSTILE))
    return replace(shop_, topology="shop", parties=(evil, *shop_.parties[1:]), cas=(*shop_.cas[:2], bad_ca),
                   notes=(HOSTILE,))  # fmt: skip


def crowded() -> Inventory:
    """Few who are all alike, and more calls than can be drawn."""
    shown = inventory()
    first = shown.parties[0]
    alike = [replace(one, owner="us", template="x", issuers=first.issuers) for one in shown.parties]
    calls = first.callees * (DENSEST + 1)
    return replace(shown, parties=(replace(alike[0], callees=calls), *alike[1:]))


def estate(servers: int = 40, clients: int = 40) -> Inventory:
    """So many that a page begins with groups; each client calls one server, and some servers the one before."""
    callees = {Address.server(f"s{number:03}"): number for number in range(servers)}
    calls = [call(address, Address.server(f"s{number - 1:03}")) for address, number in callees.items() if number % 3]
    calls += [call(Address.client(f"c{number:03}"), Address.server(f"s{number % servers:03}"))
              for number in range(clients)]  # fmt: skip
    addresses = [*callees, *(Address.client(f"c{number:03}") for number in range(clients))]
    parties = tuple(
        party(
            address, owner=f"team-{int(address.name[1:]) // 8}",
            callers=tuple(one for one in calls if one.server == address),
            callees=tuple(one for one in calls if one.caller == address),
        )
        for address in addresses
    )  # fmt: skip
    return Inventory("estate", NOW, Applied.WHOLE, {}, (ca("root"), ca("issuing", "root")), parties, (), None, ())
