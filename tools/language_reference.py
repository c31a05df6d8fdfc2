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

One YAML file says which certification authorities, servers and clients there are, and who calls whom. Entity names
are DNS labels. Unknown keys, duplicate keys, and null where a value is meant are errors with their place. `scaffold
schema` prints the JSON Schema; an editor with a YAML language server takes it from the first line of the file:

```yaml
# yaml-language-server: $schema=topology.schema.json
```

Durations are a whole number and a unit: `s m h d w y`. `at` is a moment in UTC, `2026-01-01T00:00:00Z` or
`2026-01-01`. A secret is never written in the topology: `{env: NAME}`,
`{file: PATH}` or `{generate: true}` says where it is.
"""

CLOSING = """\
## Passwords

A password is text in UTF-8 (a file may also be UTF-16 with its byte order mark). The mark and the end of the line are
no part of it, spaces are; what is no text, or holds a control character, is refused.

Where the file of a PFX's password changes, `plan` says so and `apply` makes the bundle anew. A variable of the
environment is read only when an action needs it, so that plan does not see it change: `scaffold apply --overwrite
server.NAME.bundle` makes the bundle anew with the password of today. The password of a CA's key is not changed that
way: `openssl pkey` writes the key under another one.

## Identity and authorisation

Every leaf carries exactly one URI SAN, its identity: the `spiffe://` or `uri:` among its `names`, else
`spiffe://TRUST_DOMAIN/server/NAME` or `spiffe://TRUST_DOMAIN/client/NAME`. The trust domain is `trust_domain`, or
else the topology's name. A `uri` name constraint, and linters, want a full domain name there, such as `bank.example`.
Changing it gives every default identity, and with it every certificate and allow list, another name.

The edges (`calls`) are the authorisation. An entry of a server's allow list is issuer and identity together, and
the issuer is a key, not a name: a sibling CA under the same root that signs the same identity gets nobody in. nginx
sees names alone, so plan refuses what it could mistake. PostgreSQL sees the caller's name and no issuer: plan demands
that one CA alone issues certificates under the root that it trusts. A name that changes hands is refused while a valid
certificate of its former holder's [says it](onboarding.md#renaming).

A server that `calls` has a second certificate, for clientAuth alone; `GET /call/NAME` on it makes that call, to
`/.mtls/caller`. `client` says what that certificate is, where it differs from the first: another `issuer`, `subject`,
`key`, or `names` beside the identity. With `client: same` there is one leaf for both purposes, serverAuth and
clientAuth, for programs that take no two (etcd, NATS, Consul).

## Certificates only

The template `files` renders `tls/` and a README that says which file goes where in the usual programs; it starts
nothing ([how](certificates-only.md)). Such a program decides by the chain alone: whoever has a client's certificate
below what `tls/ca.pem` holds gets in, under whatever name. So plan works out who that is, over all certificates of the
topology, and refuses

- a client, or a server that calls, which is not listed under `calls` and would get in;
- a CA below the same root that issues to nobody who is listed, since it might tomorrow;
- somebody who left the topology, until the certificate has ended or is revoked and looked up.

`accepts: [issuing]` lets in everybody with a client's certificate that this CA has issued itself, listed or not.
`files: {anchor: issuer}` puts the issuing CAs into `tls/ca.pem` in the place of their root, for programs that take an
intermediate for an anchor (Go, Java and Envoy do; plain OpenSSL does not).

`names` gives a file of `tls/` another name beside its own, and `combined` and `truststore` make further ones; all
follow what they are made of. `combined`, `truststore` and `pfx` are of the certificate with which a server serves,
`client_combined` and `client_truststore` of the one with which it calls. `chown` and `mode` are compared like
everything else; who is not root is told the command. `verify` counts what it could not try, and `up` passes over such a
server.

## Roles

`calls` may be a mapping, and then it says what a caller may be at each server; a list is the same without roles:

```yaml
clients:
  teller:
    template: curl
    calls: {accounts: [reader, approver], gateway: []}
```

A role has letters, digits, `.`, `-` and `_`, at most 64 of them, and an edge at most 32 roles; they mean what you make
of them. They stand in the server's allow list and nowhere else: no certificate says them, so a change of roles reissues
nothing, and counts from the reload (or, where a server looks for itself, the second) after the list has arrived. What
answers gets them as it expects: role claims in Kestrel (`[Authorize(Roles = "reader")]`), `caller.roles` in
Python and ASGI, the header `X-Client-Roles` behind nginx. `verify` demands of each edge exactly the roles that it has.
Where a template cannot tell them (`postgresql`: grant there what a caller may do), plan refuses them.

## Variables

`vars` gives a template's own variables other values: `vars: {greeting: welcome}`. A variable that the template does not
have is an error that names those it has.

| template | variables and their defaults |
|---|---|
VARIABLES

## Behind a gateway

A server with an `upstream` passes requests on with `X-Client-Subject` and `X-Client-Issuer` set from the caller's
certificate and `X-Client-Roles` from the allow list (separated by commas), and removes what came from outside under
these names and the other usual ones. A server believes them only from a caller whose `upstream` it is.

Two edges have roles there, and they are kept apart: `roles` are what the gateway may be at its upstream, and
`on_behalf_of` has the `subject`, `issuer` and `roles` of who called the gateway, with the roles of that edge.

`GET /.mtls/caller` of every server that speaks HTTP answers `{"server", "caller", "roles", "on_behalf_of"}`; through a
gateway it is the upstream's answer. `verify` asks there and nowhere else. `GET /` is yours; as rendered it answers the
same, and `greeting`.

## A backend

A server with a `backend` is a front for an app of your own, which speaks plain HTTP ([how](your-own-service.md)).
`forward` says by which headers the app is told who called, and no caller can set them, or any other that says so:

| `forward` | headers |
|---|---|
| `x-client`, the default | `X-Client-Identity`, `-Subject`, `-Issuer`, `-Roles`; `X-On-Behalf-Of-…` behind a gateway |
| `rfc9440` | `Client-Cert`, `Client-Cert-Chain` |
| `xfcc` | `X-Forwarded-Client-Cert`, as Envoy has it |
| `arr` | `X-ARR-ClientCert`, as IIS and Azure have it |

`app` says of which cookiecutter template that app is made, and how `up` starts it. It is rendered into `app/`, in the
folder of its front, once; from then on it is yours ([how](apps.md)).

What a template cannot tell, plan refuses (`scaffold templates show` lists it). `localhost` is read as 127.0.0.1. `plan`
notes a backend that other users of the host, or others on the network, can reach without the front. `verify` puts an
app of its own there (`BACKEND` in the environment of `run.sh` moves it), and demands of each probe what must have
reached that: of whoever is refused, nothing.

## Doors

A client of a template with doors (`connector`) listens on its own machine, for programs that speak no TLS, and calls in
their stead:

```yaml
clients:
  legacy:
    template: connector
    calls: [shop]
    doors: {shop: 127.0.0.1:7001}      # or unix:/run/legacy/shop
```

Each server under `calls` has one, on loopback or at a Unix socket (an absolute path of 107 bytes at most); no two are
at one place, and none is where a server listens. `localhost` is read as 127.0.0.1, and another address is an error:
whoever reaches a door calls as this client ([who that is](doors.md#who-may-use-it)).

## Lifetimes

A certificate whose lifetime is longer than its issuer's is an error. A leaf that would end after its issuer does
today is cut to the issuer's end, and plan says so. A CA is renewed, over the same key, early enough that its leaves
get their whole lifetime. Changing `renew_before` reissues nothing that is not inside it.

## Reproducible

With `reproducible` every key, serial, date and signature follows from `seed` and `at`: the same files on every machine
and on every day, for tests alone ([how, and what is refused](reproducible.md)).

## Faults

A `fault` is one thing that is wrong with a certificate on purpose. It is issued so, kept so by later applies, and
`verify` expects the refusal.

## What stands on disk

```
banking/
  pki/root/            ca.crt  ca.cer (DER)  ca.key  crl.pem
  pki/issuing/         ca.crt  ca.cer  ca.key  chain.pem  crl.pem
  servers/accounts/    tls/…  run.sh  README.md  …
  clients/teller/      the same
  .scaffold/           the ledger, its archive, the lock, bases/ for merging, and what a plan need not examine again
```

Each folder that holds secrets has a `.gitignore` of scaffold's own: of `tls/`, `pki/NAME/` and `.scaffold/` git takes
up certificates, CRLs, allow lists, the ledger, the records and the bases, and nothing else, also where a project is a
repository of its own. The outer `.gitignore` is yours to extend.

`tls/` is scaffold's alone, and so are the files that decide who gets in: what differs there is drift, and apply puts it
right. What a service answers is yours, in a file that is written once: `app.conf` (nginx), `routes.py` (Python),
`app.py` (ASGI), `App.cs` and `App.props` (Kestrel). A gateway has none: its upstream answers. Nothing in such a file
lets anybody in.
The others are merged: your edit and a template's change are both kept where they fit, and where they do not, it is a
conflict (`apply` exits with 4), which `scaffold resolve` ends ([your edits](edits.md)). A project that is copied to
its host whole, runs.

A project is updated whole or not at all. While one of its files is in conflict none of the others changes, and the
plan says what is not in force until then: a check of revocation, a new caller, a new role. Certificates, CRLs, trust
and callers and roles that left the topology go on: these are taken off the allow list, `tls/allowed.…`.
"""

SECTIONS = {
    "ca": ("## CAs", "Under `cas:`, by name."),
    "server": ("## Servers", "Under `servers:`, by name."),
    "client": ("## Clients", "Under `clients:`, by name."),
    "subject": ("## Subjects", "A distinguished name; what is left out is not in it."),
    "generalNames": ("## Name constraints", "Under `permitted` and `excluded` (RFC 5280 4.2.1.10)."),
    "pfx": ("## PFX", "`tls/bundle.pfx` beside `tls/pfx-password`. A default is for those whose template reads one."),
    "clientSide": ("## Second certificates", "Under `client` of a server that calls; or `client: same`: see below."),
    "files": ("## Files", "For templates that leave the program to you, such as `files`."),
    "app": ("## Apps", "Of a server with a `backend`: the app behind it ([how](apps.md))."),
    "secret": ("## Secrets", "Exactly one of these."),
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
