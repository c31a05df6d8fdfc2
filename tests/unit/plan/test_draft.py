"""A topology from what lies in a folder: it is valid, it plans, and says what it could not use."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from scaffold.errors import StoreError
from scaffold.kinds.catalogue import builtin, to_choose_from
from scaffold.plan.draft import Choice, Draft, draft
from scaffold.store import found
from scaffold.topology.load import loads
from scaffold.topology.model import Existing, ExistingLeaf, External, Topology
from tests.unit.elsewhere import CLIENT, SERVER, Elsewhere, name, pem

NOW = datetime.now(UTC)
CHOICE = Choice("shop", to_choose_from("server"), (builtin("curl", "client"), builtin("python", "client")))
URI = x509.UniformResourceIdentifier("spiffe://acme/teller")


@pytest.fixture(scope="module")
def ca() -> Elsewhere:
    return Elsewhere("Acme")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pki").mkdir()
    return tmp_path / "pki"


def put(folder: Path, files: dict[str, bytes]) -> None:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def key_of(ca: Elsewhere) -> bytes:
    return ca.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def drafted(folder: Path) -> tuple[Topology, Draft]:
    made = draft(found.look(folder), folder.parent, CHOICE, NOW)
    return loads(made.text.encode(), folder.parent / "topology.yaml"), made


def test_where_the_key_of_a_ca_is_there_its_leaves_are_issued_by_it(folder: Path, ca: Elsewhere) -> None:
    api = ca.issue("api.acme.example", "localhost", purposes=[SERVER], subject=name("The API"))
    teller = ca.issue(URI, purposes=[CLIENT], subject=name("teller"))
    put(folder, {"deep/ca.pem": pem([ca.intermediate]), "root.crt": pem([ca.root]), "ca.key": key_of(ca)})
    put(folder, {"api.pem": pem([api.certificate]), "teller.pem": pem([teller.certificate])})
    t, made = drafted(folder)
    base = folder.parent
    assert t.cas["acme-r1"].existing == Existing(
        base / "pki/deep/ca.pem", key=base / "pki/ca.key", chain=base / "pki/root.crt"
    )
    assert list(t.cas) == ["acme-r1"], "the root is above it, and no CA that anything here needs"
    server, client = t.servers["the-api"], t.clients["teller"]
    assert (server.template, server.issuer, server.existing) == ("python", "acme-r1", None)
    assert [str(one) for one in server.names][:2] == ["api.acme.example", "localhost"]
    assert (client.template, client.issuer, client.identity) == ("curl", "acme-r1", "spiffe://acme/teller")
    assert "# of these: the-api" in made.text
    assert made.notes == ()


def test_where_it_is_elsewhere_they_are_taken_over_as_they_are(folder: Path, ca: Elsewhere) -> None:
    api = ca.issue("api.acme.example", purposes=[SERVER], subject=name("api"))
    teller = ca.issue("teller.acme.example", purposes=[CLIENT], subject=name("teller"))
    robot = ca.issue(purposes=[CLIENT], subject=name("robot"))
    put(folder, {"root.der": ca.root.public_bytes(serialization.Encoding.DER), "r1.pem": pem([ca.intermediate])})
    put(folder, {"api.pem": api.full_chain(), "api.key": api.key_pem(), "robot.pem": pem([robot.certificate])})
    put(folder, {"teller.pem": pem([teller.certificate]) + teller.key_pem()})
    t, made = drafted(folder)
    base = folder.parent
    assert t.servers["api"].existing == ExistingLeaf(
        base / "pki/api.pem", base / "pki/api.key", trust=base / "pki/root.der"
    )
    assert t.clients["teller"].existing == ExistingLeaf(
        base / "pki/teller.pem", base / "pki/teller.pem", identity="subject:CN=teller"
    )
    assert t.clients["robot"].external == External("acme-r1", "subject:CN=robot")
    assert made.notes == ()


@pytest.mark.parametrize("beside", ["int.pem", "all.pem", None])
def test_the_chain_of_a_server_comes_along_where_its_own_file_has_none(
    folder: Path, ca: Elsewhere, beside: str | None
) -> None:
    api = ca.issue("api.acme.example", purposes=[SERVER], subject=name("The API"))
    own = pem([api.certificate]) if beside is not None else api.full_chain()
    put(folder, {"root.pem": pem([ca.root]), "api.pem": own, "api.key": api.key_pem()})
    put(folder, {beside or "int.pem": pem([ca.intermediate, ca.root] if beside == "all.pem" else [ca.intermediate])})
    t, _ = drafted(folder)
    existing = t.servers["the-api"].existing
    assert isinstance(existing, ExistingLeaf)
    assert existing.chain == (folder / beside if beside is not None else None)


def test_what_no_template_of_the_draft_takes_is_told(folder: Path, ca: Elsewhere) -> None:
    plain = Elsewhere("Plain", by_the_letter=False)
    api = plain.issue("api.acme.example", purposes=[SERVER], subject=name("api"))
    put(folder, {"root.pem": pem([plain.root, plain.intermediate]), "r1.key": key_of(plain)})
    put(folder, {"api.pem": pem([api.certificate])})
    _, made = drafted(folder)
    assert not any(note.startswith("template") for note in made.notes)
    strict = [kind for kind in CHOICE.servers if "strict_x509" in kind.capabilities.supports]
    made = draft(found.look(folder), folder.parent, Choice("shop", strict, strict), NOW)
    told = [note for note in made.notes if note.startswith("template")]
    assert (
        "template python: it refuses certificates below CN=Plain R1, which has no key usage (RFC 5280 4.2.1.3)" in told
    )
    assert all("Plain" in note for note in told), "no client is there whose template could refuse anything"


def test_a_server_without_other_names_has_its_common_name_and_a_client_its_own(folder: Path, ca: Elsewhere) -> None:
    for number, common in enumerate(["api.acme.example", "localhost", "web", "a b.c d"]):
        one = ca.issue(purposes=[], subject=name(common))
        put(folder, {f"{number}.pem": pem([one.certificate])})
    put(folder, {"r1.pem": pem([ca.intermediate, ca.root]), "r1.key": key_of(ca)})
    t, made = drafted(folder)
    assert {label: [str(one) for one in server.names][:1] for label, server in t.servers.items()} == {
        "api-acme-example": ["api.acme.example"],
        "localhost": ["localhost"],
    }
    assert list(t.clients) == ["web", "a-b-c-d"]
    assert (
        "CN=api.acme.example has no name that callers could expect: `names` has api.acme.example for now" in made.notes
    )


def test_a_certificate_that_plan_will_refuse_is_marked(folder: Path, ca: Elsewhere) -> None:
    for stem, purposes in {"web": [], "api.acme.example": [SERVER]}.items():
        one = ca.issue(purposes=purposes, subject=name(stem))
        put(folder, {f"{stem}.pem": pem([one.certificate]), f"{stem}.key": one.key_pem()})
    put(folder, {"ca.pem": pem([ca.intermediate, ca.root])})
    marked = [line.strip() for line in drafted(folder)[1].text.splitlines() if "plan refuses" in line]
    no_purpose = "does not say that it is for clientAuth: it has no extended key usage"
    said = ("has no name that callers could expect", no_purpose)
    assert marked == [f"# plan refuses this certificate: it {words}; have a new one issued" for words in said]


def test_of_several_for_one_holder_the_one_that_ends_last_counts_and_none_that_has_ended(
    folder: Path, ca: Elsewhere
) -> None:
    old, new = (ca.issue("api", subject=name("api"), ends=timedelta(days=days)) for days in (5, 50))
    gone = ca.issue("old", subject=name("old"), begins=timedelta(days=-9), ends=timedelta(days=-1))
    put(folder, {"root.pem": pem([ca.root, ca.intermediate])})
    for stem, one in {"1": new, "2": old, "3": gone}.items():
        put(folder, {f"{stem}.pem": pem([one.certificate]), f"{stem}.key": one.key_pem()})
    t, made = drafted(folder)
    assert list(t.servers) == ["api"]
    existing = t.servers["api"].existing
    assert existing is not None
    assert existing.certificate.name == "1.pem"
    assert any("CN=old was left out: it expired on" in note for note in made.notes)


def test_two_of_one_name_get_two(folder: Path, ca: Elsewhere) -> None:
    put(folder, {"root.pem": pem([ca.root, ca.intermediate])})
    for number in "123":
        one = ca.issue(f"{number}.acme.example", subject=name("api"))
        put(folder, {f"{number}.pem": pem([one.certificate]), f"{number}.key": one.key_pem()})
    assert list(drafted(folder)[0].servers) == ["api", "api-2", "api-3"]


def test_what_cannot_be_used_is_told(folder: Path, ca: Elsewhere) -> None:
    stranger = Elsewhere("Stranger").issue(purposes=[CLIENT], subject=name("stranger"))
    keyless = ca.issue("web", purposes=[SERVER], subject=name("keyless"))
    mail = ca.issue("mail", purposes=[x509.ExtendedKeyUsageOID.EMAIL_PROTECTION], subject=name("mail"))
    lone = ca.issue("lone")
    put(folder, {"root.pem": pem([ca.root]), "r1.pem": pem([ca.intermediate]), "broken.der": b"\x30\x03abc"})
    put(folder, {"s.pem": pem([stranger.certificate]), "k.pem": pem([keyless.certificate])})
    put(
        folder,
        {"m.pem": pem([mail.certificate]), "lone.key": lone.key_pem(), "locked.key": lone.key_pem(password=b"x")},
    )
    put(folder, {"README.md": b"nothing of it"})
    _, made = drafted(folder)
    said = "\n".join(made.notes)
    for words in (
        "CN=stranger was left out: the certificate of its CA was not found",
        "CN=keyless was left out: neither its key nor that of its CA was found",
        "CN=mail was left out: it is neither for a server nor for a client",
        "pki/lone.key is a key, and no certificate for it was found",
        "pki/locked.key is encrypted",
        "pki/broken.der is not a certificate",
    ):
        assert words in said
    assert "README" not in said


def test_a_chain_that_lies_in_pieces_is_told_and_a_root_that_is_missing_too(folder: Path, ca: Elsewhere) -> None:
    api = ca.issue("api", subject=name("api"))
    put(folder, {"api.pem": api.full_chain(), "api.key": api.key_pem()})
    t, made = drafted(folder)
    existing = t.servers["api"].existing
    assert existing is not None
    assert existing.trust == folder.parent / "root.pem"
    assert "the certificate of CN=Acme Root is not there" in made.notes[0]
    assert list(t.cas) == ["root"], "none has a key here, and a client needs one"


def test_a_crl_that_was_found_goes_along(folder: Path, ca: Elsewhere) -> None:
    day = timedelta(days=1)
    crl = x509.CertificateRevocationListBuilder(ca.intermediate.subject, NOW - day, NOW + day)
    put(folder, {"r1.pem": pem([ca.intermediate, ca.root]), "r1.key": key_of(ca)})
    put(folder, {"r1.crl": crl.sign(ca.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)})
    t, made = drafted(folder)
    existing = t.cas["acme-r1"].existing
    assert existing is not None
    assert existing.crl == folder.parent / "pki/r1.crl"
    assert made.notes == ("acme-r1: its CRL is signed elsewhere while `crl` is given, and here without it",)


def test_names_that_would_break_the_file_are_written_so_that_they_do_not(folder: Path, ca: Elsewhere) -> None:
    odd = ca.issue(purposes=[CLIENT], subject=name("a: b\n# c\u202e"))
    put(folder, {"r1.pem": pem([ca.intermediate, ca.root]), "odd one: #1.pem": pem([odd.certificate])})
    put(folder, {"odd one: #1.key": odd.key_pem()})
    t, _ = drafted(folder)
    existing = t.clients["a-b-c"].existing
    assert existing is not None
    assert existing.key == folder / "odd one: #1.key"


def test_one_odd_certificate_or_file_does_not_cost_the_whole_draft(folder: Path) -> None:
    ca = Elsewhere("null")
    ca.intermediate = ca._ca("null", ca.key, "null Root", ca.root_key)
    put(folder, {"ca.pem": pem([ca.intermediate, ca.root]), "ca.key": key_of(ca)})
    odd = ["spiffe://a/b, key: /etc/passwd", "http://x/#\x1b[31m", "http://x/},calls:[a]"]
    for number, uri in enumerate([*odd, "spiffe://acme/teller", "spiffe://acme/teller"]):
        one = ca.issue(x509.UniformResourceIdentifier(uri), purposes=[CLIENT], subject=name(f"c{number}"))
        put(folder, {f"{number}.pem": pem([one.certificate])})
    (folder / os.fsdecode(b"bad\xff.pem")).write_bytes(pem([ca.root]))
    t, made = drafted(folder)
    assert (list(t.cas), list(t.clients)) == (["null"], ["c3"])
    said = "\n".join(made.notes)
    assert said.count("was left out") == 4
    assert "another certificate of null has spiffe://acme/teller too" in said
    assert "is not UTF-8" in said


def test_files_that_cannot_be_read_and_folders_of_git_are_passed_over(folder: Path, ca: Elsewhere) -> None:
    put(folder, {".git/root.pem": pem([ca.root]), "large.pem": pem([ca.root]) + b"x" * (1 << 20)})
    (folder / "nowhere.pem").symlink_to(folder / "gone")
    assert found.look(folder) == found.Found()
    shutil.rmtree(folder)
    with pytest.raises(StoreError, match="is no folder"):
        found.look(folder)


def crl_of(ca: Elsewhere, *serials: int) -> bytes:
    builder = x509.CertificateRevocationListBuilder().issuer_name(ca.intermediate.subject)
    builder = builder.last_update(NOW - timedelta(days=1)).next_update(NOW + timedelta(days=30))
    for serial in serials:
        entry = x509.RevokedCertificateBuilder(serial, NOW - timedelta(days=2))
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(ca.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize("has_key", [True, False])
@pytest.mark.parametrize("is_revoked", [True, False])
def test_a_client_that_the_crl_of_its_ca_lists_is_marked(
    folder: Path, ca: Elsewhere, has_key: bool, is_revoked: bool
) -> None:
    teller = ca.issue(URI, purposes=[CLIENT], subject=name("teller"))
    put(folder, {"ca.pem": pem([ca.intermediate]), "root.crt": pem([ca.root]), "teller.pem": teller.full_chain()})
    put(folder, {"teller.key": teller.key_pem()} if has_key else {})
    put(folder, {"ca.crl": crl_of(ca, teller.certificate.serial_number if is_revoked else 4711)})
    _, made = drafted(folder)
    assert ("# revoked on" in made.text) is is_revoked
