"""The JSON Schema: a valid one, which takes what the loader takes and refuses what it refuses for its form."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from scaffold.errors import TopologyError
from scaffold.topology.schema import json_schema
from tests.unit.topology.written import GOOD, changed, read

EXAMPLES = Path(__file__).parents[3] / "examples"
CLI = "  cli:\n    template: python\n"
API = "    listen: 127.0.0.1:8443\n"

WHOLE_LANGUAGE = """\
version: 1
name: banking
trust_domain: banking.internal
publish: http://127.0.0.1:9080
defaults:
  key: ec-p256
  subject: {organization: Contoso Bank, country: NL}
  lifetime: 90d
  renew_before: 33%
  tls: intermediate
cas:
  root:
    subject: {common_name: Contoso Root CA}
    lifetime: 10y
    key_password: {env: ROOT_KEY_PASSWORD}
  issuing:
    issuer: root
    lifetime: 5y
    path_length: 0
    revocation: {crl: 1d, ocsp: 1h}
    name_constraints:
      permitted: {dns: [banking.internal, localhost], ip: [127.0.0.0/8]}
  partner:
    existing: {certificate: partner-ca.pem, chain: partner-chain.pem, crl: partner.crl}
servers:
  accounts:
    template: kestrel
    issuer: issuing
    listen: 127.0.0.1:8443
    address: 127.0.0.1:8443
    names: [accounts.banking.internal, localhost, 127.0.0.1]
    check_revocation: crl
    staple: true
    health: 127.0.0.1:8081
    pfx: {password: {generate: true}}
    vars: {greeting: hello}
  gateway:
    template: nginx
    listen: 127.0.0.1:9443
    names: [localhost]
    upstream: accounts
    calls: [accounts]
clients:
  teller: {template: dotnet, calls: [accounts, gateway], lifetime: 24h}
  mallory: {template: python, calls: [accounts], fault: expired}
  auditor:
    external: {issuer: partner, identity: "spiffe://partner.example/auditor"}
    calls: [accounts]
"""


@functools.cache
def validator() -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    return jsonschema.Draft202012Validator(json_schema())


def valid(text: str) -> bool:
    return validator().is_valid(yaml.safe_load(text))


def test_the_whole_language_has_the_right_form() -> None:
    assert valid(WHOLE_LANGUAGE)
    read(WHOLE_LANGUAGE)


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*/topology.yaml")), ids=lambda path: path.parent.name)
def test_the_examples_have_the_right_form(example: Path) -> None:
    assert valid(example.read_text())


LINES = {
    CLI: [
        "lifetime: 24h",
        "lifetime: 0d",
        "lifetime: ninety",
        "renew_before: 33%",
        "renew_before: 0%",
        "renew_before: 1d",
        "key: ml-dsa-65",
        "key: dsa",
        "tls: modern",
        "tls: old",
        "names: []",
        "names: [a.shop.internal]",
        "names: localhost",
        "fault: no-eku",
        "fault: none",
        "vars: {greeting: hi, ports: [1, 2]}",
        "vars: {a-b: 1}",
        "vars: [a]",
        "listen: a:1",
        "subject: {country: NL}",
        "subject: {country: nl}",
        "subject: {surname: X}",
        "subject: []",
        "issuer: issuing",
        "pfx: {password: {env: A}}",
        "pfx: {password: {env: 1A}}",
        "pfx: {}",
        "pfx: {password: {env: A, file: b}}",
        "pfx: {password: {generate: true}, legacy: false}",
        "pfx: {password: {generate: false}}",
        "pfx: true",
        "unknown: 1",
    ],
    API: [
        "post_quantum: true",
        "post_quantum: 1",
        "post_quantum: 'true'",
        "check_revocation: crl",
        "check_revocation: all",
        "trusts: [issuing, partner]",
        "trusts: []",
        "health: 127.0.0.1:8081",
        "external: {}",
        "staple: false",
        "calls: []",
        "calls: {}",
        "calls: {gateway: ['a b']}",
        "calls: {gateway: reader}",
        "calls: {gateway: [reader, reader]}",
        "calls: {Gateway: []}",
        "calls: [gateway: []]",
        "calls: gateway",
    ],
    "name: shop\n": [
        "trust_domain: shop.example",
        "trust_domain: shop",
        "trust_domain: Shop",
        "trust_domain: ''",
        "trust_domain: [shop]",
    ],
    "  issuing:\n    issuer: root\n": [
        "lifetime: 1y",
        "key_password: {generate: true}",
        "revocation: {crl: 1d}",
        "revocation: {}",
        "revocation: {crl: 0d}",
        "revocation: {delta: 1d}",
        "template: python",
        "subject: {locality: Delft, state: ZH}",
    ],
}


@pytest.mark.parametrize(("after", "line"), [(after, line) for after, lines in LINES.items() for line in lines])
def test_schema_and_loader_agree(after: str, line: str) -> None:
    indent = "" if after.startswith("name:") else "    "
    text = changed(after, f"{after}{indent}{line}\n")
    try:
        read(text)
    except TopologyError:
        loads = False
    else:
        loads = True
    assert valid(text) is loads


def test_every_key_is_described_and_no_other_is_taken() -> None:
    schema = json_schema()
    assert schema["additionalProperties"] is False
    for table in (schema, *schema["$defs"].values()):
        assert table["additionalProperties"] is False
        for name, field in table["properties"].items():
            assert re.fullmatch(r"[A-Z].{5,}\.", field["description"]), name


def test_the_twin_is_good() -> None:
    assert valid(GOOD)
    read(GOOD)
