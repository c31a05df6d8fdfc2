"""The topologies in which a template is tried: one to run, and one that asks for all that it declares.

Values are awkward: whatever a template does not quote for its own syntax shows.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Final, cast

from scaffold.kinds.catalogue import Kind
from scaffold.topology.model import IdentityForm, KeyType, OnUnavailable, RevocationCheck, TlsProfile

GREETING: Final = 'it\'s 100% "sure" $HOME ${PATH} \\n `id` {{ x }} {# y #} </b>&amp; %[src]\n\t<!--# --> ünï日😀 # ; }'
"""Means something in shells, Jinja, JSON, XML, C#, and the configurations of most servers."""

_CALLER: Final = {"common_name": 'Ana | O\'Neil, #1 "x" $1 %41 ~^.*', "organization": "Ünï & Co\\E / A  B+C=D;"}
_ISSUER: Final = {"common_name": 'Issuing, "CA" $1 100% \\Q | ß', "organization": "O'Hara & Sons"}

SUBJECT: Final = "desk"
"""The server, or the client, that is looked at most closely."""

_ROLES: Final = {SUBJECT: ["reader", "Reader", "x.Y_z-1"], "gateway": ["cashier"]}

_BACKEND: Final = "http://127.0.0.1:5000"
"""Nobody need listen there: verify puts its own app in its place."""

_NAMES: Final = {"dns": "xn--dn-yka.internal", "ip": "127.0.0.1"}
"""The first name of a server that is called, by its type."""

_IDENTITIES: Final = {
    IdentityForm.URI: "https://partner.example/desk?x=%25&y='1'",
    IdentityForm.DNS: "dns:xn--gte-0na.partner.example",
    IdentityForm.SUBJECT: 'subject:CN=\\#1 \\"x\\" $1 ~^.*,O=Ünï & Co\\, Ltd.',
}
"""Of callers with certificates from elsewhere."""

Entity = dict[str, object]
Topology = dict[str, object]


def of_server(kind: Kind, template: str, client: str, gateway: str | None, ports: Iterator[str]) -> Topology:
    """A topology of servers of one template, to run. `client` and `gateway` are templates that call it.

    `ports` gives addresses that nobody listens on. `gateway` is the template itself where it forwards.
    """
    can = kind.capabilities
    publish, listen, health = next(ports), next(ports), next(ports)
    servers: dict[str, Entity] = {SUBJECT: _server(kind, template, listen)}
    desk = servers[SUBJECT]
    desk["check_revocation"] = _strongest(kind)
    if "health" in can.supports:
        desk["health"] = health
    if "pfx" in can.supports:
        desk["pfx"] = {"password": {"generate": True}}
    if can.staples:
        desk["staple"] = True
    modern: Entity = {"tls": "modern"} if TlsProfile.MODERN in can.tls else {}
    if RevocationCheck.OCSP in can.check_revocation:
        servers["desk-2"] = {**_server(kind, template, next(ports)), **modern, "check_revocation": "ocsp"}
    if "calls" in can.supports and "upstream" not in can.supports:
        lenient = OnUnavailable.ALLOW in can.on_unavailable
        check = {"check_revocation": _strongest(kind), "on_unavailable": "allow"} if lenient else {}
        servers["caller"] = {**_server(kind, template, next(ports)), **modern, **check, "calls": [SUBJECT]}
    if "backend" in can.supports:
        servers["behind"] = {
            **_server(kind, template, next(ports)),
            **modern,
            "backend": _BACKEND,
            "forward": sorted(can.forward),
        }
    if gateway is not None:
        servers["gateway"] = {
            "template": gateway,
            "issuer": "issuing",
            "listen": next(ports),
            "names": ["gateway.internal", "localhost"],
            "upstream": SUBJECT,
            "calls": [SUBJECT],
            **(modern if gateway == template else {}),
        }
    clients = _callers(client, servers)
    if "roles" in can.supports:
        _give_roles(clients["teller"])
    return _topology(publish, servers, {**clients, "stranger": _client(client)})


def _give_roles(teller: Entity) -> None:
    """At the server that is looked at and at its gateway; whoever else calls these has none."""
    teller["calls"] = {name: _ROLES.get(name, []) for name in cast("list[str]", teller["calls"])}


def of_client(kind: Kind, template: str, server: str, ports: Iterator[str], *, staples: bool) -> Topology:
    """A topology of clients of one template, to run. `server` is the template that they call."""
    can = kind.capabilities
    publish = next(ports)
    clients: dict[str, Entity] = {}
    for number, check in enumerate(sorted(can.check_revocation)):
        clients[SUBJECT if number == 0 else f"{SUBJECT}-{number}"] = {
            **_party(kind, template),
            "subject": {**_CALLER, "common_name": f"{_CALLER['common_name']} {number}"},
            "calls": ["vault-2" if check is RevocationCheck.OCSP else "vault"],
            "check_revocation": check.value,
        }
    if "pfx" in can.supports:
        clients[SUBJECT]["pfx"] = {"password": {"generate": True}}
    clients["idle"] = _party(kind, template)
    _open_doors(kind, clients, ports)
    return _topology(publish, _vaults(server, ports, clients, staples=staples), clients)


def _open_doors(kind: Kind, clients: Mapping[str, Entity], ports: Iterator[str]) -> None:
    """One to each server that is called, where the template has them."""
    if kind.capabilities.has_doors:
        for client in clients.values():
            client["doors"] = {name: next(ports) for name in cast("list[str]", client.get("calls", []))}


def of_all_declared(kind: Kind, template: str, other: str, ports: Iterator[str], *, staples: bool) -> Topology:
    """A topology with one server or client for each thing that the template declares, to render.

    `other` is a template of the other role; `staples`: whether it can staple, where it is a server's.
    """
    publish = next(ports)
    asked = dict(_declared(kind))
    if kind.role == "client":
        clients = {
            name: {**_party(kind, template), "calls": ["vault-2" if _asks(fields) else "vault"], **fields}
            for name, fields in asked.items()
        }
        _open_doors(kind, clients, ports)
        return _topology(publish, _vaults(other, ports, clients, staples=staples), clients)
    servers = {name: {**_server(kind, template, next(ports)), **fields} for name, fields in asked.items()}
    if "upstream" in kind.capabilities.supports:
        servers["upstream"] |= {"upstream": "plain", "calls": ["plain"]}
    if "health" in kind.capabilities.supports:
        servers["health"]["health"] = next(ports)
    if "backend" in kind.capabilities.supports:
        servers["backend"]["backend"] = "unix:/run/app/app.sock"
    callers = _callers(other, servers)
    if "roles" in kind.capabilities.supports:
        callers["teller"]["calls"] = {
            name: _ROLES[SUBJECT] if name == "roles" else [] for name in cast("list[str]", callers["teller"]["calls"])
        }
    return _topology(publish, servers, {**callers, **_partners(kind)})


def _partners(kind: Kind) -> dict[str, Entity]:
    """A caller with a certificate from elsewhere for each form of identity by which the template can know one."""
    return {
        f"partner-{form}": {"external": {"issuer": "issuing", "identity": _IDENTITIES[form]}, "calls": ["partners"]}
        for form in sorted(kind.capabilities.sees_callers_by)
    }


def _declared(kind: Kind) -> Iterator[tuple[str, Entity]]:
    can = kind.capabilities
    yield "plain", {}
    for profile in sorted(can.tls):
        yield f"tls-{profile}", {"tls": profile.value}
    for check, otherwise in itertools.product(sorted(can.check_revocation), sorted(can.on_unavailable)):
        if check is not RevocationCheck.NONE:
            yield (
                f"revocation-{check}-{otherwise}",
                {"check_revocation": check.value, "on_unavailable": otherwise.value},
            )
    modern: Entity = {"tls": "modern"} if TlsProfile.MODERN in can.tls else {}
    for key in sorted(can.keys, key=list(KeyType).index):
        yield f"key-{key}", {"key": key.value, **modern}
    if "pfx" in can.supports:
        yield "pfx", {"pfx": {"password": {"generate": True}}}
    if "files" in can.supports:
        yield "files", {"files": {"combined": True, "truststore": True, "names": {"cert.pem": "server.crt"}}}
    if kind.role == "server":
        yield from _declared_of_servers(kind)
    else:
        for name in _names(kind):
            yield f"knows-{name}", {"calls": [f"vault-{name}"]}


def _declared_of_servers(kind: Kind) -> Iterator[tuple[str, Entity]]:
    can = kind.capabilities
    if can.staples:
        yield "staple", {"staple": True}
    if "must_staple" in can.supports:
        yield "must-staple", {"staple": True, "must_staple": True}
    if can.groups:
        yield "post-quantum", {"post_quantum": True}
    for feature in ("health", "upstream", "backend", "roles"):
        if feature in can.supports:
            yield feature, {}
    if "backend" in can.supports:
        for forward in sorted(can.forward):
            yield f"forward-{forward}", {"backend": _BACKEND, "forward": [forward.value]}
        yield "forward-nothing", {"backend": _BACKEND, "forward": []}
    if can.sees_callers_by:
        yield "partners", {}
    if "calls" in can.supports:
        yield from _declared_of_callers(kind)


def _declared_of_callers(kind: Kind) -> Iterator[tuple[str, Entity]]:
    """Whom they call: servers that they know by each type of name, and look up in each way that they can."""
    yield "calls", {"calls": ["plain"]}
    if "one_leaf" in kind.capabilities.supports:
        yield "one-leaf", {"calls": ["plain"], "client": "same"}
    for name in _names(kind):
        yield f"named-{name}", {"names": [_NAMES[name]]}
        yield f"knows-{name}", {"calls": [f"named-{name}"]}
    for check in sorted(kind.capabilities.checks_callees - {RevocationCheck.NONE}):
        by_ocsp = check is RevocationCheck.OCSP
        if by_ocsp:
            yield "asked-about", {"issuer": "asked"}
        yield f"looks-up-{check}", {"check_revocation": check.value, "calls": ["asked-about" if by_ocsp else "plain"]}


def _names(kind: Kind) -> list[str]:
    return [name for name in _NAMES if name in kind.capabilities.checks_names]


def _strongest(kind: Kind) -> str:
    """From a file where it can: what asks by OCSP is beside it."""
    return "crl" if RevocationCheck.CRL in kind.capabilities.check_revocation else "none"


def _server(kind: Kind, template: str, listen: str) -> Entity:
    accepts: Entity = {"accepts": ["issuing"]} if kind.capabilities.decides_by_chain else {}
    names = ["desk.internal", "localhost", "127.0.0.1"]
    return {**_party(kind, template), "listen": listen, "names": names, **accepts}


def _asks(party: Entity) -> bool:
    return party.get("check_revocation") == RevocationCheck.OCSP.value


def _client(template: str, issuer: str = "issuing") -> Entity:
    return {"template": template, "issuer": issuer}


def _callers(template: str, servers: Mapping[str, Entity]) -> dict[str, Entity]:
    """Those who are asked about by OCSP have a CA of their own, whose certificates point to no CRL (`asked`)."""
    asking = [name for name, server in servers.items() if _asks(server)]
    others = [name for name in servers if name not in asking]
    return {
        "teller": {**_client(template), "subject": _CALLER, "calls": others},
        **({"asker": {**_client(template, "asked"), "calls": asking}} if asking else {}),
    }


def _vaults(template: str, ports: Iterator[str], clients: Mapping[str, Entity], *, staples: bool) -> dict[str, Entity]:
    """Likewise servers for clients to call, as far as they do."""
    vaults = {
        "vault": ("issuing", ["vault.internal", "localhost"]),
        "vault-2": ("asked", ["vault-2.internal", "localhost"]),
        **{f"vault-{name}": ("issuing", [value]) for name, value in _NAMES.items()},
    }
    called = {name for client in clients.values() for name in cast("list[str]", client.get("calls", []))}
    return {
        name: {
            "template": template,
            "issuer": issuer,
            "listen": next(ports),
            "names": names,
            "staple": staples,
        }
        for name, (issuer, names) in vaults.items()
        if name in called
    }


def _party(kind: Kind, template: str) -> Entity:
    greeting = {"vars": {"greeting": GREETING}} if kind.defaults.get("greeting") else {}
    tls = TlsProfile.INTERMEDIATE if TlsProfile.INTERMEDIATE in kind.capabilities.tls else TlsProfile.MODERN
    return {"template": template, "issuer": "issuing", "tls": tls.value, **greeting}


def _topology(publish: str, servers: Mapping[str, Entity], clients: Mapping[str, Entity]) -> Topology:
    asked = any(party.get("issuer") == "asked" for party in (*servers.values(), *clients.values()))
    return {
        "version": 1,
        "name": "contract",
        "publish": f"http://{publish}",
        "cas": {
            "root": {"subject": {"common_name": "Root of ${HOME} 'n' \"all\""}},
            "issuing": {"issuer": "root", "subject": _ISSUER},
            **({"asked": {"issuer": "root", "revocation": {"ocsp": "1h"}}} if asked else {}),
            "other": {},
        },
        "servers": servers,
        "clients": clients,
    }
