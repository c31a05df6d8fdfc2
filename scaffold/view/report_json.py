"""The inventory as JSON for programs: field names and values are a contract."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from scaffold.inventory.model import CaEntry, Call, Certificate, Inventory, PartyEntry, Verified
from scaffold.plan.status import CrlStatus, RevokedStatus
from scaffold.topology.model import NameConstraints
from scaffold.view import inventory as words
from scaffold.view.programs import dump
from scaffold.view.reach import peers_value
from scaffold.view.reasons import sentence


def report_json(inventory: Inventory) -> str:
    """`{"topology", "at", "applied", "pending", "cas", "servers", "clients", "calls", "owners", "revoked", …}`."""
    return dump(report_value(inventory))


def report_value(inventory: Inventory) -> Mapping[str, Any]:
    """The same as a value."""
    return {
        "topology": inventory.topology,
        "at": _iso(inventory.at),
        "applied": inventory.applied.value,
        "pending": dict(inventory.pending),
        "cas": [_ca(one) for one in inventory.cas],
        "servers": [_party(one) for one in inventory.servers],
        "clients": [_party(one) for one in inventory.clients],
        "calls": [_call(one) for one in inventory.calls],
        "owners": [
            {"owner": owner, "addresses": [str(entry.address) for entry in entries]}
            for owner, entries in inventory.owners.items()
        ],
        "revoked": [_revoked(one) for one in inventory.revoked],
        "verified": _verified(inventory.verified) if inventory.verified is not None else None,
        "ends": [
            {"at": _iso(end.at), "address": str(end.address), "state": end.state.value, "crl": end.is_crl}
            for end in inventory.ends
        ],
        "attention": [
            {"address": one.about, "state": one.state.value if one.state else None, "message": one.said}
            for one in words.remarks(inventory)
        ],
        "notes": list(inventory.notes),
    }


def _ca(ca: CaEntry) -> dict[str, Any]:
    return {
        "address": str(ca.address),
        "owner": ca.owner,
        "source": ca.source.value,
        "issuer": str(ca.issuer) if ca.issuer is not None else None,
        "generation": ca.generation.value,
        "certificate": _certificate(ca.certificate),
        "crl": _crl(ca.crl) if ca.crl is not None else None,
        "path_length": ca.path_length,
        "name_constraints": _constraints(ca.constraints),
        "signs": {"cas": ca.signs[0], "leaves": ca.signs[1]},
    }


def _constraints(constraints: NameConstraints | None) -> Mapping[str, Any] | None:
    if constraints is None:
        return None
    both = {"permitted": constraints.permitted, "excluded": constraints.excluded}
    return {
        word: {kind.value: list(each) for kind, each in subtrees.items()} for word, subtrees in both.items() if subtrees
    }


def _party(party: PartyEntry) -> dict[str, Any]:
    checking = party.checking
    return {
        "address": str(party.address),
        "owner": party.owner,
        "source": party.source.value,
        "template": party.template or None,
        "issuers": list(map(str, party.issuers)),
        "identity": party.identity,
        "listens": party.place,
        "passes_on": str(party.passes_on) if party.passes_on is not None else None,
        "fault": party.fault.value if party.fault is not None else None,
        "certificates": [_certificate(one) for one in party.certificates],
        "check_revocation": checking.asked.value if checking is not None else None,
        "check_in_force": checking.in_force.value if checking is not None and checking.in_force is not None else None,
        "on_unavailable": checking.on_unavailable.value if checking is not None else None,
        "crl": _crl(checking.crl) if checking is not None and checking.crl is not None else None,
        "accepts": list(map(str, party.accepts)),
    }


def _certificate(one: Certificate) -> dict[str, Any]:
    status = one.status
    return {
        "address": str(status.address),
        "state": status.state.value,
        "detail": status.detail or "; ".join(map(sentence, status.reasons)),
        "serial": status.serial,
        "fingerprint_sha256": status.fingerprint_sha256,
        "subject": one.subject or None,
        "issuer": one.issuer or None,
        "names": list(one.names),
        "key": one.key or None,
        "not_before": _iso(status.not_before),
        "not_after": _iso(status.not_after),
    }


def _crl(crl: CrlStatus) -> dict[str, Any]:
    return {
        "address": str(crl.address),
        "state": crl.state.value,
        "number": crl.number,
        "entries": crl.entries,
        "this_update": _iso(crl.this_update),
        "next_update": _iso(crl.next_update),
    }


def _call(call: Call) -> dict[str, Any]:
    return {
        "caller": str(call.caller),
        "server": str(call.server),
        "identity": call.identity,
        "roles": list(call.roles),
        "expected": "refused" if call.faults else "allowed",
    }


def _revoked(one: RevokedStatus) -> dict[str, Any]:
    issued = one.issued
    reach = peers_value(one.reach) if one.reach is not None else {"refused_by": [], "accepted_by": [], "unknown": []}
    return {
        "address": str(issued.address) if issued is not None else None,
        "ca": one.ca,
        "serial": one.serial,
        "subject": issued.subject if issued is not None else None,
        "reason": one.reason,
        "at": _iso(one.at),
        "on_crl_until": _iso(issued.not_after) if issued is not None else None,
        **reach,
    }


def _verified(verified: Verified) -> dict[str, Any]:
    return {
        "at": _iso(verified.latest),
        "earliest": _iso(verified.earliest),
        "summary": {result.value: count for result, count in words.results(verified).items()},
        "changed": list(map(str, verified.changed)),
        "unknown": list(map(str, verified.unknown)),
        "checks": [
            {
                "server": seen.check.server,
                "client": seen.check.client,
                "probe": seen.check.probe.value,
                "expected": seen.check.expected.value,
                "observed": seen.check.observed.value,
                "layer": seen.check.layer,
                "detail": seen.check.detail,
                "result": seen.check.result.value,
                "at": _iso(seen.at),
            }
            for seen in verified.seen
        ],
    }


def _iso(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC: `2030-01-02T03:04:05Z`."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment else None
