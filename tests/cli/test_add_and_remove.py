"""`add`, `remove` and `rename` as a person runs them: the plan shown, the file edited, or nothing changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.harness import in_process, on_a_terminal, scaffold, snapshot
from tests.unit.conftest import write_kind

TOPOLOGY = """\
# The shop.
version: 1
name: shop

cas:
  root: {}            # signs everything

servers:
  api:
    template: python
    listen: 127.0.0.1:8443
    names: [localhost]

clients:
  cli:
    template: python
    calls: [api]      # who gets in
"""
BILLING = ("--template", "python", "--listen", "127.0.0.1:8450", "--names", "localhost,billing.internal")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "topology.yaml").write_text(TOPOLOGY)
    return tmp_path


def text_of(folder: Path) -> str:
    return (folder / "topology.yaml").read_text("utf-8")


def test_a_service_is_onboarded_and_taken_out_again(shop: Path) -> None:
    assert in_process("apply", cwd=shop).code == 0
    added = in_process("add", "server", "billing", *BILLING, "--called-by", "cli", "--apply", cwd=shop)
    assert added.code == 0, added.err
    assert "+ server.billing.certificate" in added.out
    assert "~ client.cli.trust" in added.out
    assert text_of(shop) == TOPOLOGY.replace(
        "\nclients:",
        "  billing:\n    template: python\n    listen: 127.0.0.1:8450\n"
        "    names: [localhost, billing.internal]\n\nclients:",
    ).replace("calls: [api]      #", "calls: [api, billing]  #")
    assert "billing" in (shop / "shop" / "clients" / "cli" / "settings.json").read_text()
    assert in_process("plan", "--check", cwd=shop).code == 0

    shown = in_process("remove", "server.billing", "--apply", cwd=shop)
    assert shown.code == 1
    assert "- server.billing.certificate" in shown.out
    assert "rerun with --yes" in shown.err
    assert "billing:" in text_of(shop), "nothing is written before it is allowed"

    removed = in_process("remove", "server.billing", "--apply", "--yes", cwd=shop)
    assert removed.code == 0, removed.err
    assert "not called by client.cli any more" in removed.err
    assert text_of(shop) == TOPOLOGY.replace("calls: [api]      #", "calls: [api]           #"), "in the same column"
    assert not (shop / "shop" / "servers" / "billing").exists()
    assert in_process("plan", "--check", cwd=shop).code == 0


def test_without_apply_the_file_alone_is_changed(shop: Path) -> None:
    ended = in_process("add", "client", "web", "--template", "curl", "--calls", "api", cwd=shop)
    assert ended.code == 0
    assert ended.out.endswith("client.web is added in topology.yaml. Next: scaffold apply\n")
    assert list(snapshot(shop)) == ["topology.yaml"]
    assert text_of(shop).endswith("  web:\n    template: curl\n    calls: [api]\n")
    assert in_process("add", "ca", "old", cwd=shop).code == 1, "two CAs could then issue leaves"
    assert in_process("add", "ca", "issuing", "--issuer", "root", "--path-length", "0", cwd=shop).code == 0
    assert "  issuing:\n    issuer: root\n    path_length: 0\n" in text_of(shop)


def test_the_plan_is_for_programs_too(shop: Path) -> None:
    ended = in_process("add", "client", "web", "--template", "curl", "--calls", "api", "--json", cwd=shop)
    addresses = {change["address"] for change in ended.json["changes"]}
    assert "client.web.certificate" in addresses
    assert "client.web is added" in ended.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("add", "server", "billing"), ("--template, --listen and --names", "nothing was written")),
        (("add", "client", "web", "--calls", "api"), ("--template", "nothing was written")),
        (("add", "server", "api", *BILLING), ("server.api exists already",)),
        (
            ("add", "server", "Billing", *BILLING),
            ('"Billing" is not a name', "a name is a DNS label", "such as billing"),
        ),
        (("add", "client", "bad_name"), ('"bad_name" is not a name', "such as bad-name")),
        (("add", "client", "a.b"), ('"a.b" is not a name', "such as a-b")),
        (("add", "ca", "ü"), ('"ü" is not a name', "a name is a DNS label")),
        (("add", "client", ""), ('"" is not a name',)),
        (("add", "ca", "a" * 70), ("longer than 63 characters",)),
        (("add", "server", "billing", *BILLING, "--called-by", "cli:reader"), ("--called-by '{cli: [reader]}'",)),
        (("add", "server", "billing", *BILLING, "--called-by", "{clo: [reader]}"), ("clo", "cli")),
        (("add", "server", "billing", *BILLING, "--called-by", "{cli: [a b]}"), ("is not a role",)),
        (("add", "server", "billing", *BILLING[:4], "--names", "not a name"), ("not a name",)),
        (("add", "server", "billing", *BILLING, "--issuer", "rot"), ("rot", "root")),
        (("add", "server", "billing", *BILLING, "--check-revocation", "clr"), ("clr", "crl")),
        (("add", "server", "billing", *BILLING, "--called-by", "clo"), ("clo", "cli")),
        (("add", "server", "billing", "--template", "pyton", *BILLING[2:]), ("pyton", "python")),
        (("add", "server", "billing", *BILLING[:2], "--listen", "127.0.0.1:8443", *BILLING[4:]), ("8443",)),
        (("add", "server", "billing", *BILLING, "--vars", "{colour: red}"), ("colour",)),
        (("add", "client", "web", "--template", "curl", "--calls", "shop"), ("shop", "api")),
        (("remove", "server.apy"), ("server.apy", "server.api")),
        (("remove", "server.api.certificate"), ("part of server.api",)),
        (("rename", "server.apy", "orders"), ("server.apy", "server.api")),
        (("rename", "server.api.certificate", "orders"), ("part of server.api",)),
        (("rename", "server.api", "Orders"), ("Orders", "orders")),
    ],
    ids=lambda value: " ".join(value[:3]) if isinstance(value, tuple) else None,
)
def test_what_would_be_invalid_changes_nothing(shop: Path, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    before = snapshot(shop)
    ended = in_process(*arguments, cwd=shop)
    ended.assert_clear_error(*words)
    assert "topology.yaml:" not in ended.err, "a line of a text that stands in no file"
    assert snapshot(shop) == before


def test_a_service_keeps_what_is_yours_under_another_name(shop: Path) -> None:
    assert in_process("apply", cwd=shop).code == 0
    routes = shop / "shop" / "servers" / "api" / "routes.py"
    routes.write_text(routes.read_text() + "# mine\n")
    shown = in_process("rename", "server.api", "orders", cwd=shop)
    assert shown.code == 0, shown.err
    assert "~ server.orders.certificate" in shown.out
    assert "Plan: 4 to update." in shown.out, "nothing is created anew, and nothing deleted"
    assert "servers/api is now servers/orders" in shown.err
    assert "edit" not in shown.out, "nobody has edited what is rendered with the name"
    assert text_of(shop) == TOPOLOGY.replace("  api:", "  orders:").replace("[api]      #", "[orders]   #")
    assert in_process("apply", cwd=shop).code == 0
    assert (shop / "shop" / "servers" / "orders" / "routes.py").read_text().endswith("# mine\n")
    assert "orders" in (shop / "shop" / "servers" / "orders" / "README.md").read_text()
    assert not list(shop.rglob("*.edited"))
    assert in_process("plan", "--check", cwd=shop).code == 0

    serial = in_process("status", "--json", cwd=shop).json
    assert "server.orders.certificate" in {one["address"] for one in serial["certificates"]}
    revoked = in_process("revoke", "server.orders", "--reason", "superseded", "--yes", cwd=shop)
    assert revoked.code == 0, revoked.err
    assert in_process("rename", "client.cli", "web", "--apply", cwd=shop).code == 0
    assert in_process("plan", "--check", cwd=shop).code == 0


def test_an_edit_of_a_renamed_service_is_still_one(shop: Path) -> None:
    assert in_process("apply", cwd=shop).code == 0
    readme, server = (shop / "shop" / "servers" / "api" / name for name in ("README.md", "server.py"))
    readme.write_text(readme.read_text() + "\nOurs: ask the shop's team.\n")
    server.write_text(server.read_text() + "# mine\n")
    shown = in_process("rename", "server.api", "orders", "--apply", cwd=shop)
    assert shown.code == 0, shown.err
    orders = shop / "shop" / "servers" / "orders"
    assert "orders" in (merged := (orders / "README.md").read_text())
    assert merged.endswith("\nOurs: ask the shop's team.\n")
    assert (orders / "server.py.edited").read_text().endswith("# mine\n")
    assert "# mine" not in (orders / "server.py").read_text()
    assert [one.name for one in shop.rglob("*.edited")] == ["server.py.edited"]


def test_where_a_name_is_taken_on_the_disk_nothing_is_renamed(shop: Path) -> None:
    assert in_process("apply", cwd=shop).code == 0
    (shop / "shop" / "servers" / "orders").mkdir()
    before = snapshot(shop)
    in_process("rename", "server.api", "orders", cwd=shop).assert_clear_error("servers/orders is there already")
    in_process("rename", "ca.root", "top", cwd=shop).assert_clear_error("ca.root has been made")
    assert snapshot(shop) == before


def test_before_anything_is_made_a_ca_is_renamed_in_the_file(shop: Path) -> None:
    assert in_process("rename", "ca.root", "top", cwd=shop).code == 0
    assert text_of(shop) == TOPOLOGY.replace("root: {}            #", "top: {}             #")
    assert list(snapshot(shop)) == ["topology.yaml"]


def test_what_others_need_is_not_removed(shop: Path) -> None:
    before = snapshot(shop)
    ended = in_process("remove", "ca.root", cwd=shop)
    ended.assert_clear_error("ca.root cannot be removed: no CA can issue the certificate of api", mistakes=3)
    assert snapshot(shop) == before


def test_a_mapping_that_is_none_is_a_usage_error(shop: Path) -> None:
    ended = in_process("add", "server", "billing", *BILLING, "--vars", "greeting=hello", cwd=shop)
    assert ended.code == 2
    assert "{key: value}" in ended.err
    assert text_of(shop) == TOPOLOGY


def test_a_mistake_that_was_there_before_is_shown_where_it_stands(shop: Path) -> None:
    (shop / "topology.yaml").write_text(TOPOLOGY.replace("[api]", "[apy]"))
    ended = in_process("add", "client", "web", "--template", "curl", cwd=shop)
    ended.assert_clear_error("topology.yaml:17:13", "apy")


SEVERAL_CALLERS = """
clients:
  cli: {template: curl, calls: []}
  web: {template: curl, calls: []}
  teller: {template: curl, calls: []}
"""


def test_a_list_can_be_given_in_several_options(shop: Path) -> None:
    (shop / "topology.yaml").write_text(TOPOLOGY.partition("\nclients:")[0] + SEVERAL_CALLERS)
    callers = ("cli,web", "teller", "{web: [reader]}", "{client.web: [writer]}")
    arguments = [*BILLING, "--names", "another", "--calls", "api", *(f"--called-by={one}" for one in callers)]
    ended = in_process("add", "server", "billing", *arguments, cwd=shop)
    assert ended.code == 0, ended.err
    text = text_of(shop)
    assert "names: [localhost, billing.internal, another]" in text
    assert "  cli: {template: curl, calls: [billing]}" in text
    assert "  web: {template: curl, calls: {billing: [reader, writer]}}" in text
    assert "  teller: {template: curl, calls: [billing]}" in text
    ended = in_process("add", "client", "both", "--template", "curl", "--calls", "api", "--calls", "billing", cwd=shop)
    assert ended.code == 0, ended.err
    assert "calls: [api, billing]" in text_of(shop)


def test_a_mapping_from_names_to_lists_is_given_once(shop: Path) -> None:
    calls = ("--calls", "{api: [reader]}", "--calls", "billing")
    ended = in_process("add", "client", "both", "--template", "curl", *calls, cwd=shop)
    assert ended.code == 2
    assert "'{key: value, …}'" in ended.err
    assert text_of(shop) == TOPOLOGY


def test_a_name_that_two_have_must_be_an_address(shop: Path) -> None:
    arguments = ("add", "client", "api", "--template", "curl", "--calls", "api")
    assert in_process(*arguments, cwd=shop).code == 0
    ended = in_process("add", "server", "billing", *BILLING, "--called-by", "api", cwd=shop)
    ended.assert_clear_error("server.api or client.api")
    assert in_process("add", "server", "billing", *BILLING, "--called-by", "{client.api: [reader]}", cwd=shop).code == 0
    assert "calls: {api: [], billing: [reader]}" in text_of(shop).partition("  api:")[2]


def test_on_a_terminal_it_asks_with_the_templates_own_questions(shop: Path) -> None:
    code, shown = on_a_terminal(
        shop, "add", "server", "billing", answers=["", "", "localhost", "cli", "y", "Welcome: hello"]
    )
    assert code == 0, shown
    assert "Change its settings (greeting)? [y/N]" in shown
    assert "What GET / says (greeting) [hello]" in shown
    assert text_of(shop) == TOPOLOGY.replace(
        "\nclients:",
        "  billing:\n    template: python\n    listen: 127.0.0.1:8444\n    names: [localhost]\n"
        '    vars: {greeting: "Welcome: hello"}\n\nclients:',
    ).replace("calls: [api]      #", "calls: [api, billing]  #")


@pytest.mark.parametrize(
    ("backend", "offered"),
    [("", "Change its settings (greeting, resolver, "), ("http://127.0.0.1:5000", "Change its settings (resolver, ")],
)
def test_on_a_terminal_settings_are_asked_only_of_who_wants_that(shop: Path, backend: str, offered: str) -> None:
    """A server with an app behind it says nothing of its own, so that it has no greeting."""
    made_of = [""] if backend else []
    answers = ["nginx", "", "localhost", "cli", backend, *made_of, ""]
    code, shown = on_a_terminal(shop, "add", "server", "billing", answers=answers)
    assert code == 0, shown
    assert offered in " ".join(shown.split())
    assert "(resolver)" not in shown
    assert "vars:" not in text_of(shop)


def test_what_a_template_asks_does_nothing_to_the_terminal(shop: Path) -> None:
    """Its questions are shown before anybody has said whether it may be run."""
    write_kind(shop / "mine", {"run.sh": "#!/bin/sh\n"})
    declaration = shop / "mine" / "cookiecutter.json"
    said = json.loads(declaration.read_text())
    said |= {"colour": "a\x1b[31mred", "__prompts__": {"colour": "Which\x1b]0;title\x07\nTrusted."}}
    declaration.write_text(json.dumps(said))
    answers = ["./mine", "", "localhost", "", "y", ""]
    _, shown = on_a_terminal(shop, "add", "server", "billing", answers=answers, env={"NO_COLOR": "1"})
    assert r"Which\x1b]0;title\x07\nTrusted. (colour) [a\x1b[31mred]" in shown
    assert "\x1b]" not in shown
    assert "\x1b[31m" not in shown


def test_on_a_terminal_only_what_is_missing_is_asked_where_options_are_given(shop: Path) -> None:
    code, shown = on_a_terminal(
        shop, "add", "server", "billing", *BILLING[:2], *BILLING[4:], answers=["127.0.0.1:9000"]
    )
    assert code == 0, shown
    assert "greeting" not in shown
    assert "    listen: 127.0.0.1:9000\n" in text_of(shop)


def test_a_file_that_changes_while_it_is_asked_is_left_as_it_is(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scaffold.cli import edited

    plan = edited._plan

    def somebody_writes(project: edited.Project) -> object:
        (shop / "topology.yaml").write_text(TOPOLOGY + "# mine\n")
        return plan(project)

    monkeypatch.setattr(edited, "_plan", somebody_writes)
    for more in ((), ("--apply",)):
        (shop / "topology.yaml").write_text(TOPOLOGY)
        ended = in_process("add", "client", "web", "--template", "curl", *more, cwd=shop)
        ended.assert_clear_error("has changed meanwhile")
        assert text_of(shop) == TOPOLOGY + "# mine\n"
        assert not (shop / "shop").exists()


def test_the_help_names_every_field_of_the_language(tmp_path: Path) -> None:
    from scaffold.topology.edit import TABLES

    for role, table in TABLES.items():
        ended = scaffold("add", role.value, "--help", cwd=tmp_path)
        assert ended.code == 0
        for field in table.fields:
            assert f"--{field.name.replace('_', '-')} " in ended.out


def test_a_client_with_doors_is_asked_where_each_is(shop: Path) -> None:
    code, shown = on_a_terminal(
        shop, "add", "client", "legacy", answers=["connector", "api", "unix:/run/legacy/api", "", ""]
    )
    assert code == 0, shown
    assert "At which address do programs without TLS reach api [127.0.0.1:7001]" in shown
    text = (shop / "topology.yaml").read_text(encoding="utf-8")
    assert "doors: {api: unix:/run/legacy/api}" in text.replace("'", "").replace('"', "")


def test_a_name_of_one_that_was_removed_is_not_given_to_another_while_its_certificate_is_valid(shop: Path) -> None:
    (shop / "topology.yaml").write_text(f"{TOPOLOGY}  batch:\n    template: python\n    calls: [api]\n")
    assert in_process("apply", cwd=shop).code == 0
    assert in_process("remove", "client.cli", "--apply", "--yes", cwd=shop).code == 0
    before = [json.loads(line) for line in (shop / "shop/.scaffold/ledger.jsonl").read_text().splitlines()]
    (serial,) = (one["serial"] for one in before if one.get("address") == "client.cli.certificate")
    refused = in_process("rename", "client.batch", "cli", "--apply", cwd=shop)
    assert refused.code != 0
    assert "error: server.api would take the former client.cli for client.cli" in refused.err
    assert f"scaffold revoke --serial {serial}" in refused.err
    in_process("apply", cwd=shop).assert_clear_error("the former client.cli")
    revoked = in_process("revoke", "--serial", serial, "--reason", "superseded", "--yes", cwd=shop)
    assert revoked.code == 0, revoked.err
    assert in_process("renew", "client.cli", cwd=shop).code == 0
