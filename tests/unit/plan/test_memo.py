"""What is remembered of a plan spares work and changes no answer: with it and without it the same is to be done."""

from __future__ import annotations

import dataclasses
import json
import shutil
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from scaffold.apply import leaves
from scaffold.errors import ScaffoldError
from scaffold.pki.issue import BACKDATE
from scaffold.pki.profiles import Aspect, Latitude
from scaffold.plan import checks, diff, memo, own_text, trust_files
from scaffold.plan.authorities import Authorities
from scaffold.plan.basis import Asked
from scaffold.plan.intents import Renew
from scaffold.plan.make import look, plan_all
from scaffold.plan.model import Action, Work
from scaffold.plan.unknown import Unknown
from scaffold.store import examined, ledger
from scaffold.store.files import Found
from scaffold.store.layout import EXAMINED, EXAMINED_KEY, Layout
from scaffold.store.ledger import Revoked
from scaffold.store.observation import SeenKey
from scaffold.topology.address import Address, Part
from scaffold.topology.model import Fault, KeyType
from tests.unit.conftest import Household

TEXT = """
version: 1
name: bank
cas:
  root: {}
  issuing: {issuer: root}
servers:
  accounts: {template: python, issuer: issuing, listen: "127.0.0.1:8443", names: [localhost]}
  front: {template: python, issuer: issuing, listen: "127.0.0.1:8444", names: [localhost], calls: [accounts]}
clients:
  teller: {template: python, issuer: issuing, calls: [accounts]}
  broken: {template: python, issuer: issuing, calls: [accounts], fault: wrong-eku}
"""

TELLER = "client.teller.certificate"
REMEMBERED = {
    "server.accounts.certificate",
    "server.front.certificate",
    "server.front.client-certificate",
    TELLER,
}

PROJECTS = {"server.accounts", "server.front", "client.teller", "client.broken"}

CERTIFICATES = ("servers/accounts/tls/cert.pem", "servers/front/tls/client-cert.pem", "clients/teller/tls/cert.pem")
KEYS = ("servers/accounts/tls/key.pem", "servers/front/tls/client-key.pem", "clients/teller/tls/key.pem")
OF_CAS = ("pki/root/ca.crt", "pki/issuing/ca.crt", "pki/issuing/ca.key", "pki/issuing/chain.pem")
FILES = (*CERTIFICATES, *KEYS, *OF_CAS, ".scaffold/ledger.jsonl", ".scaffold/projects.jsonl")


def remembered(household):
    return examined.load(Layout(household.out))


def planned(household, known):
    project = household.open()
    return plan_all(look(project.topology, project.kinds, project.layout, household.now, remembered=known))


def answer(household, known):
    """What a plan says, or what it is refused with."""
    try:
        plan = planned(household, known).plan
    except ScaffoldError as error:
        return type(error), str(error)
    return plan.changes, plan.notes


def apply(household):
    return household.carry_out(planned(household, remembered(household)))


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    household = Household(tmp_path_factory.mktemp("pristine"), text=TEXT)
    apply(household)
    return household


@pytest.fixture
def bank(pristine, tmp_path):
    return copied(pristine, tmp_path)


def copied(pristine, folder):
    household = dataclasses.replace(pristine, folder=folder)
    shutil.copytree(pristine.out, household.out)
    return household


@pytest.fixture
def derived(monkeypatch):
    """The addresses of the servers and clients of which settings were derived."""
    found = []

    def counting(t, party, facts, derive=trust_files._derived):
        found.append(str(party.address))
        return derive(t, party, facts)

    monkeypatch.setattr(trust_files, "_derived", counting)
    return found


@pytest.fixture
def counted(monkeypatch):
    """The addresses of the leaves that were examined."""
    found = []

    def counting(one, examine=checks.examine):
        if one.desired.profile.role != "ca":
            found.append(str(one.desired.address))
        return examine(one)

    monkeypatch.setattr(diff.checks, "examine", counting)
    return found


# --- What it spares ------------------------------------------------------------------------------------------------


def test_what_was_made_is_not_examined_again(bank, counted):
    assert planned(bank, remembered(bank)).plan.changes == ()
    assert counted == ["client.broken.certificate"]  # what is broken on purpose always is


def test_without_it_all_is_examined(bank, counted):
    assert planned(bank, None).plan.changes == ()
    assert {*counted} == REMEMBERED | {"client.broken.certificate"}


def test_an_apply_remembers_what_its_plan_has_examined_and_what_it_makes(bank, counted):
    (bank.out / EXAMINED).unlink()
    (bank.out / KEYS[2]).unlink()
    apply(bank)
    assert remembered(bank).entries.keys() == REMEMBERED
    counted.clear()
    planned(bank, remembered(bank))
    assert counted == ["client.broken.certificate"]


def test_what_holds_is_remembered_on(bank):
    before = remembered(bank).entries
    (bank.out / KEYS[2]).unlink()
    apply(bank)
    after = remembered(bank).entries
    assert after.keys() == before.keys()
    changed = {address for address in after if after[address] != before[address]}
    assert changed == {TELLER}


def test_what_a_plan_is_told_nothing_of_is_not_written(bank):
    before = (bank.out / EXAMINED).read_bytes()
    (bank.out / KEYS[2]).unlink()
    bank.apply()
    assert (bank.out / EXAMINED).read_bytes() == before


def test_a_plan_writes_nothing(bank):
    (bank.out / EXAMINED).unlink()
    planned(bank, remembered(bank))
    assert not (bank.out / EXAMINED).exists()


def test_both_files_are_for_their_owner_alone_and_kept_out_of_git(bank):
    for path in (EXAMINED, EXAMINED_KEY):
        assert (bank.out / path).stat().st_mode & 0o777 == 0o600
        assert path.rpartition("/")[2] not in (bank.out / ".scaffold/.gitignore").read_text()
    assert (bank.out / ".scaffold/.gitignore").read_text().startswith("#")


def test_an_apply_does_not_fail_where_it_cannot_be_written(bank):
    (bank.out / EXAMINED).unlink()
    (bank.out / EXAMINED).mkdir()
    (bank.out / KEYS[2]).unlink()
    apply(bank)
    assert planned(bank, remembered(bank)).plan.changes == ()


def test_what_projects_are_rendered_from_is_not_derived_again(bank, derived):
    assert planned(bank, remembered(bank)).plan.changes == ()
    assert derived == []


def test_without_it_all_is_derived(bank, derived):
    planned(bank, None)
    assert {*derived} == PROJECTS


def test_what_was_derived_is_remembered_on(bank, derived):
    before = remembered(bank).derivation
    assert before.inputs.keys() == PROJECTS
    (bank.out / KEYS[2]).unlink()
    apply(bank)
    assert remembered(bank).derivation == before
    planned(bank, remembered(bank))
    assert derived == []


def test_what_an_apply_has_not_derived_under_other_facts_is_not_remembered(bank, derived):
    """The new key of a CA is in the settings of whom it lets in, and of nobody else."""
    (bank.out / "pki/issuing/ca.key").unlink()
    apply(bank)
    derived.clear()
    assert planned(bank, remembered(bank)).plan.changes == ()
    assert remembered(bank).derivation.inputs.keys() == PROJECTS - {*derived}
    assert "server.accounts" not in derived


def test_what_a_plan_has_derived_from_something_else_is_not_handed_on(bank):
    """Plan and apply know different keys of a CA: what either has derived is no word on what the other would."""
    (bank.out / KEYS[2]).unlink()
    plan = planned(bank, remembered(bank))
    plan.memo.source = b"another"
    bank.carry_out(plan)
    assert "server.accounts" in plan.memo.inputs
    assert "server.accounts" not in remembered(bank).derivation.inputs


def test_where_nothing_is_remembered_nothing_is_examined_or_digested_for_it(bank, monkeypatch):
    for module, name in ((diff, "source_of"), (leaves, "_examine")):
        monkeypatch.setattr(module, name, lambda *arguments, name=name: pytest.fail(f"{name} was called"))
    for path in CERTIFICATES + KEYS:
        (bank.out / path).unlink()
    before = (bank.out / EXAMINED).read_bytes()
    assert bank.carry_out(planned(bank, None)).done
    assert (bank.out / EXAMINED).read_bytes() == before


def test_a_project_that_is_not_as_its_inputs_ask_is_not_remembered(bank):
    apart = "clients/teller/client.py"
    (bank.out / apart).write_text("mine\n")
    path = bank.out / ".scaffold/projects.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if '"address":"client.teller"' not in line))
    apply(bank)
    assert "client.teller" not in remembered(bank).derivation.inputs
    assert answer(bank, remembered(bank)) == answer(bank, None)


# --- That it changes no answer -------------------------------------------------------------------------------------


VARIANTS = (
    ("names: [localhost]", "names: [localhost, example.org]"),
    ("issuer: issuing, calls: [accounts]}", "issuer: issuing, calls: [front]}"),
    ("version: 1", "version: 1\ndefaults: {lifetime: 30d}"),
    ("version: 1", "version: 1\ndefaults: {renew_before: 60d}"),
    ("version: 1", "version: 1\ndefaults: {key: ec-p384}"),
    ("name: bank", "name: bank\npublish: http://127.0.0.1:8000"),
    ("issuing: {issuer: root}", "issuing: {issuer: root, lifetime: 100d}"),
    ("fault: wrong-eku", "tls: modern"),
    ("teller: {template: python", "teller: {fault: no-san, template: python"),
)


def damage(household, path, content):
    if content is None:
        (household.out / path).unlink(missing_ok=True)
    else:
        (household.out / path).write_bytes(content)


def copy(household, path, source):
    if (household.out / source).exists():
        (household.out / path).write_bytes((household.out / source).read_bytes())


def swap(household, one, other):
    """The certificates and keys of two leaves."""
    for files in (CERTIFICATES, KEYS):
        first, second = household.out / files[one], household.out / files[other]
        if first.exists() and second.exists():
            kept = first.read_bytes()
            first.write_bytes(second.read_bytes())
            second.write_bytes(kept)


def turn(household, seconds):
    household.now += timedelta(seconds=seconds)


def rewrite(household, variant):
    household.text = household.text.replace(*variant)


def open_up(household, path):
    if (household.out / path).exists():
        (household.out / path).chmod(0o644)


def revoke(household, address, replaced, reason):
    for one in known_ledger(household).by_address.get(Address.parse(address), ()):
        entry = Revoked(one.ca, one.serial, reason, household.now, replaced)
        ledger.Recorder(Layout(household.out), household.now).revoked([entry])


def forget(household, address):
    """The ledger's lines about a leaf are gone."""
    path = household.out / ".scaffold/ledger.jsonl"
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    path.write_bytes(b"".join(line for line in lines if f'"address":"{address}"'.encode() not in line))


addresses = st.sampled_from(sorted(REMEMBERED))
reasons = st.sampled_from(["keyCompromise", "certificateHold"])
changes = st.one_of(
    st.tuples(st.just(damage), st.sampled_from(FILES), st.none() | st.binary(max_size=40)),
    st.tuples(st.just(copy), st.sampled_from(FILES), st.sampled_from(FILES)),
    st.tuples(st.just(swap), st.integers(0, 2), st.integers(0, 2)),
    st.tuples(st.just(turn), st.integers(-2_000_000, 40_000_000)),
    st.tuples(st.just(rewrite), st.sampled_from(VARIANTS)),
    st.tuples(st.just(open_up), st.sampled_from(KEYS)),
    st.tuples(st.just(revoke), addresses, st.booleans(), reasons),
    st.tuples(st.just(forget), addresses),
    st.tuples(st.just(apply)),
)


def known_ledger(household):
    return ledger.load(Layout(household.out))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(changes, min_size=1, max_size=4))
@example(steps=[(rewrite, VARIANTS[0]), (forget, TELLER), (apply,)])
def test_a_plan_says_the_same_with_it_and_without(pristine, tmp_path_factory, steps):
    household = copied(pristine, tmp_path_factory.mktemp("changed"))
    for step in steps:
        try:
            step[0](household, *step[1:])
        except ScaffoldError:
            break
    assert answer(household, remembered(household)) == answer(household, None)


def made_later(bank):
    """A leaf that is younger than its CAs: what is remembered of it begins and ends apart from theirs."""
    bank.later(days=1)
    (bank.out / KEYS[2]).unlink()
    apply(bank)
    return remembered(bank).entries[TELLER]


@pytest.mark.parametrize("seconds", [-1, 0, 1])
@pytest.mark.parametrize("moment", ["begins", "ends"])
def test_at_its_ends_it_says_the_same(bank, moment, seconds):
    entry = made_later(bank)
    at = getattr(entry, moment)
    bank.now += timedelta(seconds=at + seconds - bank.now.timestamp())
    assert answer(bank, remembered(bank)) == answer(bank, None)


def test_it_begins_when_a_shortened_life_would(bank):
    """What the checks of a life that is too long say, whatever the certificate's own beginning is."""
    now = planned(bank, None)
    [party] = [one for one in now.basis.desired.parties if str(one.party.address) == "client.teller"]
    shorter = dataclasses.replace(party.own, lifetime=timedelta(days=1))
    seen = now.basis.observed.certificate(CERTIFICATES[2])
    issuer = now.authorities["issuing"].issuer
    one = checks.Examined(shorter, seen, SeenKey(present=True), None, issuer, known_ledger(bank), bank.now)
    found = memo.examination(one, b"behind", Found(b"key", 0o600, 0))
    assert found.begins == (one.real.not_valid_after_utc - timedelta(days=1) - BACKDATE).timestamp()


def test_who_is_left_without_a_certificate_is_not_in_order_by_an_older_one(bank):
    before = {path: (bank.out / path).read_bytes() for path in (CERTIFICATES[2], KEYS[2], EXAMINED)}
    (bank.out / KEYS[2]).unlink()
    apply(bank)
    newest = known_ledger(bank).by_address[Address.parse(TELLER)][-1]
    entry = Revoked(newest.ca, newest.serial, "superseded", bank.now, replace=False)
    ledger.Recorder(Layout(bank.out), bank.now).revoked([entry])
    for path, content in before.items():
        (bank.out / path).write_bytes(content)
    assert answer(bank, remembered(bank)) == answer(bank, None)
    assert TELLER in {str(note.about) for note in planned(bank, remembered(bank)).plan.notes}


def test_what_apply_makes_and_an_examination_would_refuse_is_not_remembered(bank, monkeypatch):
    refused = checks.Verdict(Action.UPDATE, Work.ISSUE, ())
    monkeypatch.setattr(leaves, "examine", lambda one: refused)
    no_teller_after_apply(bank)


def test_what_apply_sends_no_chain_after_is_not_remembered(bank, monkeypatch):
    monkeypatch.setattr(leaves, "_pem", lambda chain: b"")
    no_teller_after_apply(bank)
    assert planned(bank, remembered(bank)).plan.changes


def no_teller_after_apply(bank):
    (bank.out / KEYS[2]).unlink()
    apply(bank)
    assert remembered(bank).entries.keys() == REMEMBERED - {TELLER}


def test_it_ends_when_a_leaf_is_due(bank):
    entry = remembered(bank).entries[TELLER]
    bank.now += timedelta(seconds=entry.ends - bank.now.timestamp())
    found = {str(one.address) for one in planned(bank, remembered(bank)).plan.changes}
    assert TELLER in found
    bank.later(seconds=-1)
    found = {str(one.address) for one in planned(bank, remembered(bank)).plan.changes}
    assert TELLER not in found


def test_what_a_person_asks_for_is_examined(bank):
    project = bank.open()
    basis = look(project.topology, project.kinds, project.layout, bank.now, remembered=remembered(bank))
    teller = Address.parse(TELLER)
    asked = plan_all(basis, Asked([Renew(teller)])).plan
    assert teller in {one.address for one in asked.changes}


# --- What is not believed ------------------------------------------------------------------------------------------


def forged(bank, alter):
    """The entry of a leaf whose certificate does not fit any more, altered."""
    (bank.out / CERTIFICATES[2]).write_bytes((bank.out / CERTIFICATES[0]).read_bytes())
    path = bank.out / EXAMINED
    said = json.loads(path.read_bytes())
    alter(said["certificates"])
    path.write_text(json.dumps(said))


ALTERED = {
    "the entry of another": lambda entries: entries.update({TELLER: entries["server.accounts.certificate"]}),
    "without a MAC": lambda entries: entries[TELLER].__setitem__(0, ""),
    "with a MAC in other letters": lambda entries: entries[TELLER].__setitem__(0, "é"),
    "for ever": lambda entries: entries[TELLER].__setitem__(4, 1e12),
    "of nothing": lambda entries: entries.update({TELLER: []}),
    "of a list": lambda entries: entries.update({TELLER: 7}),
}


@pytest.mark.parametrize("alter", ALTERED.values(), ids=ALTERED.keys())
def test_a_forged_entry_is_not_believed(bank, alter):
    forged(bank, alter)
    assert answer(bank, remembered(bank)) == answer(bank, None)
    assert TELLER in {str(one.address) for one in planned(bank, remembered(bank)).plan.changes}


@pytest.mark.parametrize("moment", [3, 4])
def test_other_moments_than_were_written_are_not_believed(bank, counted, moment):
    path = bank.out / EXAMINED
    said = json.loads(path.read_bytes())
    said["certificates"][TELLER][moment] += 1.0
    path.write_text(json.dumps(said))
    planned(bank, remembered(bank))
    assert TELLER in counted
    assert "server.accounts.certificate" not in counted


DAMAGED = (
    b"",
    b"[]",
    b"{",
    b"7",
    b'{"a":{}}',
    b'{"certificates":{},"projects":7}',
    b'{"certificates":{},"projects":{"mac":7,"inputs":{}}}',
    b'{"certificates":{},"projects":{"mac":"","inputs":[]}}',
    b"[" * 100_000,
    b"\xff",
)


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_file_is_none(bank, counted, content):
    (bank.out / EXAMINED).write_bytes(content)
    assert answer(bank, remembered(bank)) == answer(bank, None)
    assert {*counted} >= REMEMBERED


@pytest.mark.parametrize("key", [None, b"", b"k" * 31, b"k" * 32, b"k" * 64])
def test_with_another_key_nothing_is_believed(bank, counted, key):
    (bank.out / EXAMINED_KEY).unlink()
    if key is not None:
        (bank.out / EXAMINED_KEY).write_bytes(key)
    planned(bank, remembered(bank))
    assert {*counted} >= REMEMBERED


def test_what_is_a_link_is_not_read(bank):
    (bank.out / EXAMINED).rename(bank.folder / "elsewhere")
    (bank.out / EXAMINED).symlink_to(bank.folder / "elsewhere")
    assert remembered(bank) == examined.Remembered()


def test_inputs_that_were_not_derived_are_not_believed(bank, derived):
    """A record with other inputs, and an entry that says the same."""
    derivation = remembered(bank).derivation
    record, path = bank.out / ".scaffold/projects.jsonl", bank.out / EXAMINED
    for file in (record, path):
        file.write_text(file.read_text().replace(derivation.inputs["client.teller"], "0" * 64))
    assert remembered(bank).derivation.inputs["client.teller"] == "0" * 64
    planned(bank, remembered(bank))
    assert {*derived} == PROJECTS


def test_what_was_derived_elsewhere_is_not_believed(bank, derived):
    (bank.out / EXAMINED_KEY).write_bytes(b"k" * 32)
    planned(bank, remembered(bank))
    assert {*derived} == PROJECTS


# --- What an entry is of -------------------------------------------------------------------------------------------


def test_every_part_of_what_is_wanted_counts(bank):
    """A field that is added to what is wanted of a certificate must be part of what is remembered."""
    project = bank.open()
    planned_now = planned(bank, None)
    [party] = [one for one in planned_now.basis.desired.parties if str(one.party.address) == "client.teller"]
    asked, issuer = party.own, planned_now.authorities["issuing"].issuer
    others = {
        "address": Address.client("other", Part.CERTIFICATE),
        "profile": dataclasses.replace(asked.profile, must_staple=True),
        "key": KeyType.ED25519,
        "lifetime": asked.lifetime + timedelta(seconds=1),
        "window": asked.window + timedelta(seconds=1),
        "paths": dataclasses.replace(asked.paths, key="elsewhere"),
        "issuer": "root",
        "latitude": Latitude(frozenset({Aspect.SANS})),
        "key_mode": 0o640,
    }
    left_out = {"fault", "on_request"}  # what has a fault, or is over the key of a request, is examined each time
    assert {*others, *left_out} == {field.name for field in dataclasses.fields(asked)}
    assert project.topology.name == "bank"
    key = Found(b"key", 0o600, 0)

    def content(wanted=asked, certificate=b"leaf", key=key, by=issuer, behind=b"behind", signer=""):
        return memo._content(wanted, certificate, key, by, behind, signer)

    variants = [content(dataclasses.replace(asked, **{name: other})) for name, other in others.items()]
    variants += [
        content(),
        content(certificate=b"other"),
        content(key=Found(b"other", 0o600, 0)),
        content(key=Found(b"key", 0o644, 0)),
        content(by=dataclasses.replace(issuer, spki=b"other")),
        content(by=dataclasses.replace(issuer, not_after=issuer.not_after + timedelta(seconds=1))),
        content(by=dataclasses.replace(issuer, today=None)),
        content(by=dataclasses.replace(issuer, subject=planned_now.authorities["root"].issuer.subject)),
        content(behind=b"other"),
        content(signer="other"),
    ]
    assert len({*variants}) == len(variants)


def test_every_part_of_what_settings_are_derived_from_counts(bank, monkeypatch):
    basis = planned(bank, None).basis
    authorities = planned(bank, None).authorities
    kinds = basis.kinds
    teller, accounts = Address.client("teller"), Address.server("accounts")
    other_kind = dataclasses.replace(kinds[teller], digest="other")
    swapped = {**kinds, teller: kinds[accounts], accounts: kinds[teller]}
    other_facts = {"issuing": dataclasses.replace(authorities["issuing"].issuer, spki=b"other")}
    generations = [other_facts.get(name, authority.issuer) for name, authority in authorities.items()]

    def source(t=basis.topology, kinds=kinds, authorities=authorities):
        return memo.source_of(t, kinds, authorities)

    sources = [
        source(),
        source(dataclasses.replace(basis.topology, text=basis.topology.text + b"#")),
        source(kinds={**kinds, teller: other_kind}),
        source(kinds=swapped),
        source(authorities=Authorities.of(basis.topology, generations)),
    ]
    monkeypatch.setattr(own_text, "digest", lambda: b"other")
    sources.append(source())
    assert len({*sources}) == len(sources)
    assert None not in sources


def test_settings_that_wait_for_a_key_are_not_remembered(bank):
    basis, authorities = planned(bank, None).basis, planned(bank, None).authorities
    unmade = dataclasses.replace(authorities["issuing"].issuer, spki=Unknown.AFTER_APPLY)
    waiting = Authorities.of(basis.topology, [authorities["root"].issuer, unmade])
    assert memo.source_of(basis.topology, basis.kinds, waiting) is None
    assert memo.source_of(dataclasses.replace(basis.topology, text=b""), basis.kinds, authorities) is None


def test_other_rules_make_another_entry(bank, counted, monkeypatch):
    monkeypatch.setattr(own_text, "digest", lambda: b"other")
    planned(bank, remembered(bank))
    assert {*counted} >= REMEMBERED


def test_what_is_broken_on_purpose_is_never_remembered(bank):
    assert "client.broken.certificate" not in remembered(bank).entries
    assert Fault.WRONG_EKU.value in TEXT
