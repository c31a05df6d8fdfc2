"""Every hint can be followed: what it says is written, and the topology is good, or one mistake better."""

# ruff: noqa: E501 - a row is one mistake

from __future__ import annotations

import pytest

from tests.unit.topology.written import GOOD, changed, mistakes, read

CLI = "  cli:\n    template: python\n"
API = "    listen: 127.0.0.1:8443\n"
NAMES = "    names: [localhost, api.shop.internal, 127.0.0.1]\n"
CALLS = "    calls: [api, gateway]\n"
UNKEPT = GOOD.replace(
    "    name_constraints:\n      permitted: {dns: [shop.internal, localhost], ip: [127.0.0.0/8]}\n", ""
)

FIELDS = [
    # what stands in GOOD, what somebody writes, what the hint says, what they then write
    (CALLS, "    calls: api\n", "[api]", "    calls: [api]\n"),
    (CALLS, "    calls: api, gateway\n", "[api, gateway]", CALLS),
    (CALLS, "    calls: {api: {}}\n", "[…]", CALLS),
    (CLI, CLI + "    pfx: {password: hunter2}\n", "{env: NAME}", CLI + "    pfx: {password: {env: NAME}}\n"),
    (CLI, CLI + "    pfx: {password: hunter2}\n", "{file: PATH}", CLI + "    pfx: {password: {file: PATH}}\n"),
    (CLI, CLI + "    pfx: {password: hunter2}\n", "{generate: true}", CLI + "    pfx: {password: {generate: true}}\n"),
    (CLI, CLI + "    pfx: {password: {env: $PW}}\n", "without $: PW", CLI + "    pfx: {password: {env: PW}}\n"),
    (CLI, CLI + "    pfx: hunter2\n", "{password: …}", CLI + "    pfx: {password: {generate: true}}\n"),
    (NAMES, '    names: ["https://x.internal"]\n', "path: x.internal", "    names: [x.internal]\n"),
    (NAMES, '    names: ["https://x.internal:8443/a"]\n', "path: x.internal", "    names: [x.internal]\n"),
    (NAMES, "    names: [localhost/api]\n", "path: localhost", "    names: [localhost]\n"),
    (NAMES, '    names: ["localhost:8443"]\n', "port: localhost", "    names: [localhost]\n"),
    (NAMES, '    names: ["127.0.0.1:8443"]\n', "port: 127.0.0.1", "    names: [127.0.0.1]\n"),
    (NAMES, '    names: ["[::1]:8443"]\n', "port: ::1", '    names: ["::1"]\n'),
    (NAMES, "    names: localhost\n", "[localhost]", "    names: [localhost]\n"),
    (NAMES, '    names: "localhost 127.0.0.1"\n', "[localhost 127.0.0.1]", "    names: [localhost, 127.0.0.1]\n"),
    (NAMES, "    names: [localhost, ops@shop.internal]\n", "email:ops@shop.internal", '    names: [localhost, "email:ops@shop.internal"]\n'),
    (NAMES, "    names: [localhost, urn://a]\n", "uri:urn://a", '    names: [localhost, "uri:urn://a"]\n'),
    (NAMES, "    names: [api.shop.internal.]\n", "the dot at the end", "    names: [api.shop.internal]\n"),
    (CLI, CLI + "    lifetime: 3M\n", "write 90d", CLI + "    lifetime: 90d\n"),
    (CLI, CLI + "    lifetime: 3mo\n", "write 90d", CLI + "    lifetime: 90d\n"),
    (CLI, CLI + "    lifetime: 3 months\n", "write 90d", CLI + "    lifetime: 90d\n"),
    (CLI, CLI + "    lifetime: 10 days\n", "write 10d", CLI + "    lifetime: 10d\n"),
    (CLI, CLI + "    lifetime: 5min\n", "write 5m", CLI + "    lifetime: 5m\n"),
    (CLI, CLI + "    lifetime: 1D\n", "write 1d", CLI + "    lifetime: 1d\n"),
    (CLI, CLI + "    lifetime: 90\n", "90d", CLI + "    lifetime: 90d\n"),
    (API, "    listen: 8443\n", "127.0.0.1:8443", "    listen: 127.0.0.1:8443\n"),
    (API, "    listen: :8443\n", "127.0.0.1:8443", "    listen: 127.0.0.1:8443\n"),
    (API, "    listen: localhost\n", "localhost:8443", "    listen: localhost:8443\n"),
    (API, "    listen: localhost:99999\n", "1 to 65535, as in localhost:8443", "    listen: localhost:8443\n"),
    (API, "    listen: localhost:0\n", "1 to 65535, as in localhost:8443", "    listen: localhost:8443\n"),
    (API, "    listen: https://localhost:8443\n", "path: localhost:8443", "    listen: localhost:8443\n"),
    (API, '    listen: "*:8443"\n', "0.0.0.0:8443", "    listen: 0.0.0.0:8443\n    address: localhost:8443\n"),
    (API, "    listen: ::1:8443\n", "[::1]:8443", '    listen: "[::1]:8443"\n'),
    (API, "    listen: 0.0.0.0:8443\n", "address: localhost:8443", "    listen: 0.0.0.0:8443\n    address: localhost:8443\n"),
    (CLI, CLI + "    key: rsa\n", '"rsa-2048"', CLI + "    key: rsa-2048\n"),
    (CLI, CLI + "    key: P256\n", '"ec-p256"', CLI + "    key: ec-p256\n"),
    (CLI, CLI + "    key: RSA-4096\n", '"rsa-4096"', CLI + "    key: rsa-4096\n"),
    (CLI, CLI + "    key: rsa4096\n", '"rsa-4096"', CLI + "    key: rsa-4096\n"),
    (CLI, CLI + "    key: Ed25519\n", '"ed25519"', CLI + "    key: ed25519\n"),
    (API, API + "    staple: yes\n", "write true", API + "    staple: false\n"),
    (API, API + "    post_quantum: on\n", "write true", API + "    post_quantum: true\n"),
    (API, API + "    post_quantum: No\n", "write false", API + "    post_quantum: false\n"),
    (API, API + "    post_quantum: True\n", "write true", API + "    post_quantum: true\n"),
    (API, API + '    post_quantum: "true"\n', "write true", API + "    post_quantum: true\n"),
    (CLI, "  cli:\n    template: [python]\n", "brackets: python", CLI),
    (CLI, "  My_Cli:\n    template: python\n", "my-cli", "  my-cli:\n    template: python\n"),
    (CLI, "  cli:\n", "template: python", CLI),
    (CLI, CLI + "    lifetime:1d\n", None, CLI + "    lifetime: 1d\n"),
    (CLI, CLI + "    subject: {country:NL}\n", "`country: NL`", CLI + "    subject: {country: NL}\n"),
    (CLI, CLI + "    subject: {country: nl}\n", "NL", CLI + "    subject: {country: NL}\n"),
    (CLI, CLI + '    subject: {organization: " Shop"}\n', '"Shop"', CLI + '    subject: {organization: "Shop"}\n'),
    (CLI, CLI + "    vars: hello\n", "{greeting: hello}", CLI + "    vars: {greeting: hello}\n"),
    ("publish: http://127.0.0.1:9080", "publish: 127.0.0.1:9080", "http://127.0.0.1:9080", "publish: http://127.0.0.1:9080"),
    ("publish: http://127.0.0.1:9080", "publish: http://pki.example/crl", "http://pki.example,", "publish: http://pki.example"),
    ("version: 1", 'version: "1.0"', "write 1", "version: 1"),
    ("    path_length: 0\n", "    path_length: none\n", "from 0 to 100", "    path_length: 0\n"),
    ("clients:\n", "client:\n", '"clients"', "clients:\n"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "written", "hint", "mended"), FIELDS, ids=[row[1].strip()[-40:] for row in FIELDS])
def test_a_hint_says_what_to_write(old: str, written: str, hint: str | None, mended: str) -> None:
    assert UNKEPT.count(old) == 1
    found = mistakes(UNKEPT.replace(old, written))
    assert any((hint or "") in (one.hint or "") for one in found), [one.hint for one in found]
    assert all(one.hint for one in found)
    read(UNKEPT.replace(old, mended))


SYNTAX = [
    ("  cli:\n", "\tcli:\n", "spaces, not with tabs", "  cli:\n"),
    (CALLS, "\tcalls: [api]\n", "spaces, not with tabs", "    calls: [api]\n"),
    ("[localhost, api.shop.internal, 127.0.0.1]", "[localhost, *.shop.internal]", '"*.shop.internal"', '[localhost, "*.shop.internal"]'),
    ("template: nginx", "template: @nginx", '"@nginx"', 'template: "@nginx"'),
    ("{common_name: Shop Root}", "{common_name: `Shop Root`}", '"`Shop Root`"', '{common_name: "`Shop Root`"}'),
    ("{common_name: Shop Root}", "{common_name: %Shop}", '"%Shop"', '{common_name: "%Shop"}'),
    (CALLS, "    calls: *everything\n", "there is no anchor `&everything` above", CALLS),
    ("{certificate: partner.pem}", '{certificate: "C:\\ca\\partner.pem"}', "single quotes", "{certificate: 'C:\\ca\\partner.pem'}"),
    ("{certificate: partner.pem}", '{certificate: "C:\\Users\\x.pem"}', "with / instead", '{certificate: "C:/Users/x.pem"}'),
    ("{certificate: partner.pem}", '{certificate: "C:\\temp\\x.pem"}', "single quotes", "{certificate: 'C:\\temp\\x.pem'}"),
    (CALLS, "    calls: [api, gateway\n", "not closed", CALLS),
    ("{common_name: Shop Root}", '{common_name: "Shop Root}', "not closed", '{common_name: "Shop Root"}'),
    ("name: shop\n", "name:shop\n", "as in `name: shop`", "name: shop\n"),
    (API, "    listen:127.0.0.1:8443\n", "followed by a colon and a space", API),
    (API, API.replace("    listen", "   listen"), "one column", API),
    ("template: nginx", "template: nginx: latest", "needs quotes", "template: nginx"),
    ("template: nginx", "template: {{ kind }}", "quotes", "template: nginx"),
    (CLI, "  cli: &\n    template: python\n", "the name of an anchor", CLI),
    (GOOD, "- version: 1\n", "each", GOOD),
    (GOOD, "hello\n", "version: 1", GOOD),
    (GOOD, "", "scaffold init", GOOD),
    (GOOD, GOOD + "---\na: 1\n", "leave out the line `---`", GOOD),
    ("servers:\n  api:\n", "servers:\n  - name: x\n  api:\n", "one column", "servers:\n  api:\n"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "written", "hint", "mended"), SYNTAX, ids=[row[1].strip()[:30] for row in SYNTAX])
def test_a_slip_of_yaml_is_told_with_what_to_write(old: str, written: str, hint: str, mended: str) -> None:
    found = mistakes(changed(old, written))
    assert any(hint in (one.hint or "") for one in found), [(one.message, one.hint) for one in found]
    read(changed(old, mended))


def test_a_list_where_names_are_meant_shows_how_they_are_written() -> None:
    text = GOOD[: GOOD.index("servers:")] + "servers:\n  - template: python\n"
    assert [one.hint for one in mistakes(text)] == ["write api: {…}"]


def test_utf_16_is_named() -> None:
    (error,) = mistakes(GOOD.encode("utf-16"))
    assert "UTF-16" in (error.hint or "")
    (error,) = mistakes(GOOD.encode().replace(b"shop", b"caf\xe9"))
    assert "UTF-16" not in (error.hint or "")
    assert "UTF-8" in (error.hint or "")
