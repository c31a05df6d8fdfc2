"""Writes docs/topology.md: the prose here, the tables from the descriptions in the JSON Schema.

python tools/language_reference.py            # a test fails where the file is not what this writes
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scaffold.kinds.catalogue import builtins
from scaffold.topology.schema import json_schema

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "topology.md"

OPENING = """\
# The topology language

<!-- Written by tools/language_reference.py from the JSON Schema; change the descriptions there. -->

For people who write a topology: all keys of the file, and the rules behind them. One YAML file lists the CAs, servers
and clients, and which of them may call which server. `scaffold init --example banking` writes a whole example with
comments.

- Names of CAs, servers and clients are DNS labels.
- Unknown keys, duplicate keys, and null in place of a value are errors; each error names its place.
- Durations are a whole number and a unit: `s m h d w y`. `at` is a time in UTC: `2026-01-01T00:00:00Z` or `2026-01-01`.
- Secrets are never in the topology: use `{env: NAME}`, `{file: PATH}` or `{generate: true}`.
- `scaffold schema` prints the JSON Schema. An editor with a YAML language server finds it by the first line of the
  file:

```yaml
# yaml-language-server: $schema=topology.schema.json
```
"""

CLOSING = """\
## Passwords

A password is text in UTF-8; a file may also be UTF-16 with its byte order mark. The byte order mark and the line ending
are not part of the password, spaces are. A password that is not text, or has a control character, is an error.

If the file with a PFX password changes, `plan` shows it, and `apply` makes the bundle again. An environment variable is
read only when it is needed, so `plan` does not notice a change: run `scaffold apply --overwrite server.NAME.bundle` to
make the bundle again with the new password. To change the password of a CA key, use `openssl pkey`.

## Identity and authorisation

Every leaf has exactly one URI SAN, its identity: the `spiffe://` or `uri:` in its `names`, or else
`spiffe://TRUST_DOMAIN/server/NAME` or `spiffe://TRUST_DOMAIN/client/NAME`. The trust domain is `trust_domain`, or else
the topology's name. A `uri` name constraint, and certificate linters, require a full domain name there, such as
`bank.example`. If you change the trust domain, every default identity changes, and so does every certificate and allow
list.

`calls` is the authorisation. Each entry of a server's allow list is an issuer together with an identity. The issuer is
known by its key, not by its name: if a sibling CA under the same root signs the same identity, that certificate does
not get in. Three special cases:

- nginx and HAProxy know issuers by name only. `plan` refuses a topology in which they could confuse two issuers.
- PostgreSQL checks the caller's name and no issuer. `plan` demands that only one CA issues certificates under the root
  that it trusts.
- A name cannot go to another server or client while a valid certificate of its former holder [contains
  it](onboarding.md#renaming).

A server that `calls` others has a second certificate, for clientAuth only; `GET /call/NAME` on it makes such a call, to
`/.mtls/caller`. `client` says how that certificate differs from the first: another `issuer`, `subject`, `key`, or
`names` beside the identity. With `client: same` one leaf has both purposes, for programs that cannot use two (etcd,
NATS, Consul).

## Certificates only

The template `files` writes `tls/` and a README for a program of your own, and starts nothing. Such a program checks the
chain only, so `plan` refuses a topology in which a client that is not listed would get in. [Certificates
only](certificates-only.md) explains this, and the keys `files`, `accepts` and `client`.

## Roles

`calls` may be a mapping with the roles of the caller at each server. A list is the same without roles:

```yaml
clients:
  teller:
    template: curl
    calls: {accounts: [reader, approver], gateway: []}
```

A role has at most 64 letters, digits, `.`, `-` and `_`; a caller has at most 32 roles at one server. You decide what
they mean. Roles are in the server's allow list and in no certificate. So a change of roles issues no certificate; it
takes effect when the server has loaded the new allow list.

Apps get the roles in their usual form: role claims in Kestrel (`[Authorize(Roles = "reader")]`), `caller.roles` in
Python and ASGI, the header `X-Client-Roles` behind nginx and HAProxy. `verify` checks that each caller has exactly its
roles. `plan` refuses roles if a template cannot pass them on (in `postgresql`, grant rights in the database instead).

## Variables

`vars` sets variables of a template: `vars: {greeting: welcome}`. For a variable that the template does not have, the
error lists those that it has.

| template | variables and their defaults |
|---|---|
VARIABLES

## Behind a gateway

A gateway is a server with an `upstream`, another server of the topology. It passes requests on with `X-Client-Subject`
and `X-Client-Issuer` from the caller's certificate and `X-Client-Roles` from the allow list (separated by commas), and
removes these and similar headers that a caller sends. A server believes these headers only from a caller that has it as
`upstream`.

So the upstream sees two sets of roles: `roles` are those of the gateway at its upstream. `on_behalf_of` has the
`subject`, `issuer` and `roles` of the gateway's own caller, with its roles at the gateway.

`GET /.mtls/caller` of every server that speaks HTTP answers `{"server", "caller", "roles", "on_behalf_of"}`; through a
gateway it is the answer of the upstream. `verify` only asks there. `GET /` is yours; at first it answers the same, and
`greeting`.

## A backend

A server with a `backend` is a front, a reverse proxy for an app of your own that speaks plain HTTP. `forward` selects
the headers by which it tells the app who called; [Your own service](your-own-service.md#what-the-app-reads) lists them.
`app` names the cookiecutter template of the app, and how `up` starts it; `scaffold` renders it once into `app/`, in the
folder of the front, and from then on it is yours ([how](apps.md)).

`plan` refuses headers that a template cannot set (`scaffold templates show` lists those that it can), and notes a
backend that other users of the host, or others on the network, can reach without the front. `localhost` means
127.0.0.1. `verify` puts an app of its own behind the front (`BACKEND` in the environment of `run.sh` sets its address),
and checks for each probe what reached that app: nothing of a refused request may.

## Doors

A client with doors (template `connector`) listens on its own machine for programs that speak no TLS, and calls the
servers for them ([how](doors.md)):

```yaml
clients:
  legacy:
    template: connector
    calls: [shop]
    doors: {shop: 127.0.0.1:7001}      # or unix:/run/legacy/shop
```

Each server under `calls` has a door, on loopback or at a Unix socket (an absolute path of at most 107 bytes). Two doors
cannot have the same address, and a door cannot have the address of a server. `localhost` means 127.0.0.1. Another
address is an error, because every program that reaches a door calls as this client ([more](doors.md#who-may-use-it)).

## Lifetimes

A certificate with a longer lifetime than its issuer's is an error. A leaf that would expire after its issuer is
shortened to the issuer's expiry, and `plan` says so. A CA is renewed early enough, with the same key, that its leaves
get their whole lifetime. If you change `renew_before`, only certificates that are then due are issued again.

## Reproducible

With `reproducible` every key, serial, date and signature follows from `seed` and `at`: the same files on every machine
and on every day, for tests only ([how](reproducible.md)).

## Faults

A `fault` is one thing that is wrong with a certificate on purpose ([all of them](faults.md)). `apply` issues the
certificate with the fault and keeps it so; `verify` expects that it is refused.

## Files on disk

```
banking/
  pki/root/            ca.crt  ca.cer (DER)  ca.key  crl.pem
  pki/issuing/         ca.crt  ca.cer  ca.key  chain.pem  crl.pem
  servers/accounts/    tls/…  run.sh  README.md  …
  clients/teller/      the same
  .scaffold/           the state and its archive, the lock, bases/ for merging, and what a plan need not examine again
```

The folders with secrets have a `.gitignore` by `scaffold`. From `tls/`, `pki/NAME/` and `.scaffold/`, git takes only
certificates, CRLs, allow lists, the state and the other records, also if a project is a repository of its own. You can
extend the `.gitignore` of the output folder.

All of `tls/` belongs to `scaffold`, and so do the files that decide which callers get in. What the service answers is
in a file that is yours: `app.conf` (nginx), `routes.py` (Python), `app.py` (ASGI), `App.cs` and `App.props` (Kestrel).
A gateway has none, since its upstream answers. No setting in such a file lets anybody in. [Your edits](edits.md) says
what happens to a change of each file.

You can copy a whole project folder to its host and run it there ([how](deploying.md)).
"""

SECTIONS = {
    "ca": ("## CAs", "Under `cas:`, by name."),
    "server": ("## Servers", "Under `servers:`, by name."),
    "client": ("## Clients", "Under `clients:`, by name."),
    "subject": ("## Subjects", "A distinguished name. Fields that you leave out are not in it."),
    "generalNames": ("## Name constraints", "Under `permitted` and `excluded` (RFC 5280 4.2.1.10)."),
    "pfx": (
        "## PFX",
        "Makes `tls/bundle.pfx` and `tls/pfx-password`. In `defaults` it counts only for templates that use a bundle.",
    ),
    "clientSide": (
        "## Second certificates",
        "Under `client` of a server that calls others; or `client: same` ([below](#identity-and-authorisation)).",
    ),
    "files": ("## Files", "Under `files`, for the template `files` ([how](certificates-only.md))."),
    "app": ("## Apps", "Under `app` of a server with a `backend`: the app behind it ([how](apps.md))."),
    "secret": ("## Secrets", "Wherever a password or seed is needed: exactly one of these."),
}


def page() -> str:
    """The whole page."""
    schema = json_schema()
    parts = [OPENING, "## The file\n", *_table(schema)]
    for name, (heading, sentence) in SECTIONS.items():
        parts += [f"\n{heading}\n\n{sentence}\n", *_table(schema["$defs"][name])]
    return "\n".join(parts) + "\n\n" + CLOSING.replace("VARIABLES", "\n".join(_variables()))


def _variables() -> Iterator[str]:
    """Of each built-in template; a template of somebody's own declares others."""
    for role in ("server", "client"):
        for kind in builtins(role):
            said = ", ".join(
                f"`{each}` ({_code(value) if value else 'empty'})" for each, value in kind.defaults.items()
            )
            yield f"| `{kind.name}`, a {role} | {said or 'none'} |"


def _table(entity: Mapping[str, Any]) -> Iterator[str]:
    yield "| key | what it says | values | default |\n|---|---|---|---|"
    required = entity.get("required", ())
    for key, value in entity["properties"].items():
        default = "required" if key in required else _code(value["default"]) if "default" in value else ""
        yield f"| `{key}` | {_cell(value.get('description', ''))} | {_cell(_values(value))} | {default} |"


def _values(value: Mapping[str, Any]) -> str:
    if value.get("properties", {}).keys() >= {"template", "key"}:
        return "any field of a CA, server or client"
    if "enum" in value:
        return " ".join(_code(item) for item in value["enum"])
    if "$ref" in value:
        name = value["$ref"].rsplit("/", 1)[-1]
        return f"see {SECTIONS[name][0].lstrip('# ')}" if name in SECTIONS else ""
    match value.get("type"):
        case None if "anyOf" in value:
            word, *_ = (one.get("const") for one in value["anyOf"])
            if value["anyOf"][0].get("type") == "string":
                return f"a text, or {_values(value['anyOf'][1])}"
            return f"{_code(word)}, or see Second certificates" if word else "a list, or a mapping"
        case "array":
            return "a list"
        case "boolean":
            return "`true` `false`"
        case "object" if "properties" in value:
            return ", ".join(f"`{key}`" for key in value["properties"])
        case _:
            return ""


def _code(value: object) -> str:
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
