"""The password of a PFX: whoever opens the bundle, from whatever it is read, and what follows when it changes."""

from __future__ import annotations

import codecs
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from scaffold.errors import PlanError, SecretError
from scaffold.plan.model import Action
from scaffold.store.layout import PROJECTS
from tests.requirements import require_command
from tests.unit.conftest import Household

BUNDLE = "server.accounts.bundle"
AWKWARD = ["hunter2", " two words ", "pässwörd €", "пароль", "秘密 🔑", "\"$`\\'"]


def opens(household: Household, password: str | None = None) -> bool:
    """Whether openssl opens the bundle, with the file that lies beside it or with `password`."""
    require_command("openssl")
    tls = household.out / "servers/accounts/tls"
    given = f"file:{tls / 'pfx-password'}" if password is None else f"pass:{password}"
    legacy = ["-legacy"] if "legacy: true" in household.text else []
    command = ["openssl", "pkcs12", "-in", str(tls / "bundle.pfx"), "-passin", given, "-nodes", *legacy]
    done = subprocess.run(command, capture_output=True, check=False)
    return done.returncode == 0 and b"PRIVATE KEY" in done.stdout


def with_pfx(household: Household, password: str, more: str = "") -> None:
    base = household.text.partition("names: [localhost]")[0]
    household.text = f"{base}names: [localhost], pfx: {{password: {password}{more}}}}}\n"


@pytest.mark.parametrize("more", ["", ", legacy: true"])
@pytest.mark.parametrize("password", AWKWARD)
def test_openssl_opens_it_whatever_the_password(password: str, more: str, tiny: Household) -> None:
    (tiny.folder / "password").write_bytes(codecs.BOM_UTF8 + f"{password}\r\n".encode())
    with_pfx(tiny, "{file: password}", more)
    tiny.apply()
    assert opens(tiny)
    assert opens(tiny, password)
    assert not opens(tiny, "\ufeff" + password)


def test_a_password_that_is_no_text_is_refused_before_any_write(tiny: Household) -> None:
    (tiny.folder / "password").write_bytes("pässwörd\n".encode("latin-1"))
    with_pfx(tiny, "{file: password}")
    with pytest.raises(SecretError, match=r"server\.accounts\.bundle: .* is not text in UTF-8"):
        tiny.apply()
    assert not tiny.out.exists()


def test_a_password_is_as_long_as_openssl_reads_it_from_a_file_and_no_longer(tiny: Household) -> None:
    with_pfx(tiny, "{file: password}")
    (tiny.folder / "password").write_text("x" * 3000 + "\n")
    assert any("has 3,000 octets, and OpenSSL" in str(note) for note in tiny.plan().notes)
    with pytest.raises(SecretError, match=r"server\.accounts\.bundle: .* has 3,000 octets"):
        tiny.apply()
    assert not tiny.out.exists()
    (tiny.folder / "password").write_text("x" * 1023 + "\n")
    tiny.apply()
    assert opens(tiny)


def test_another_password_in_the_file_makes_another_bundle(tiny: Household) -> None:
    source = tiny.folder / "password"
    source.write_text("one\n")
    with_pfx(tiny, "{file: password}")
    tiny.apply()
    source.write_text("two\n")
    assert tiny.planned() == {BUNDLE: (Action.UPDATE, "password")}
    tiny.apply()
    assert opens(tiny, "two")
    assert not opens(tiny, "one")
    assert tiny.planned() == {}
    assert "two" not in str(tiny.plan())


def test_plan_needs_no_password(tiny: Household) -> None:
    source = tiny.folder / "password"
    source.write_text("one\n")
    with_pfx(tiny, "{file: password}")
    tiny.apply()
    source.unlink()
    assert tiny.planned() == {}
    source.write_bytes(b"\xff\xff\n")
    assert tiny.planned() == {}


def test_a_variable_is_not_looked_at_and_the_bundle_is_made_anew_on_demand(tiny: Household) -> None:
    with_pfx(tiny, "{env: PASSWORD}")
    tiny.environment = {"PASSWORD": "one"}
    tiny.apply()
    tiny.environment = {"PASSWORD": "two"}
    assert tiny.planned() == {}
    tiny.apply(overwrite=[BUNDLE])
    assert opens(tiny, "two")
    assert tiny.planned() == {}


def test_what_has_no_bundle_has_none_to_make_anew(tiny: Household) -> None:
    with pytest.raises(PlanError, match="nothing to overwrite"):
        tiny.plan(overwrite=[BUNDLE])


def test_a_generated_password_is_kept_and_an_edit_of_it_is_drift(tiny: Household) -> None:
    with_pfx(tiny, "{generate: true}")
    tiny.apply()
    path = tiny.out / "servers/accounts/tls/pfx-password"
    before = path.read_text()
    tiny.later(days=80)
    tiny.apply()
    assert path.read_text() == before
    path.write_text("mine\n")
    assert tiny.planned() == {BUNDLE: (Action.UPDATE, "content")}
    tiny.apply()
    assert path.read_text() not in (before, "mine\n")
    assert opens(tiny)
    assert tiny.planned() == {}


def test_no_digest_of_a_persons_password_is_recorded(tiny: Household) -> None:
    (tiny.folder / "password").write_text("hunter2\n")
    with_pfx(tiny, "{file: password}")
    tiny.apply()
    with_pfx(tiny, "{generate: true}")
    (tiny.out / "servers/accounts/tls/bundle.pfx").unlink()
    tiny.apply()
    events = [json.loads(line) for line in (tiny.out / PROJECTS).read_text().splitlines()]
    bundles = [event["files"] for event in events if event["address"] == BUNDLE]
    assert bundles
    assert all("servers/accounts/tls/pfx-password" not in files for files in bundles)


@pytest.mark.parametrize("password", AWKWARD)
def test_dotnet_opens_it_too(password: str, tiny: Household, dotnet_opens: Path) -> None:
    (tiny.folder / "password").write_text(f"{password}\n", encoding="utf-8")
    with_pfx(tiny, "{file: password}")
    tiny.apply()
    tls = tiny.out / "servers/accounts/tls"
    command = [str(dotnet_opens), str(tls / "bundle.pfx"), str(tls / "pfx-password")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "True"), done.stderr


@pytest.fixture(scope="module")
def dotnet_opens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that loads a bundle as the rendered projects do, and says whether it holds a private key."""
    require_command("dotnet")
    folder = tmp_path_factory.mktemp("opens")
    (folder / "opens.csproj").write_text(
        '<Project Sdk="Microsoft.NET.Sdk"><PropertyGroup><OutputType>Exe</OutputType>'
        "<TargetFramework>net10.0</TargetFramework></PropertyGroup></Project>"
    )
    (folder / "Program.cs").write_text(
        "using System.Security.Cryptography.X509Certificates;\n"
        "var password = System.IO.File.ReadAllText(args[1]).TrimEnd('\\r', '\\n');\n"
        "var found = X509CertificateLoader.LoadPkcs12CollectionFromFile(args[0], password);\n"
        "var has = false;\n"
        "foreach (var one in found) has |= one.HasPrivateKey;\n"
        "System.Console.WriteLine(has);\n"
    )
    command = [str(shutil.which("dotnet")), "build", "--output", "out", "--nologo", "-v", "quiet"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)
    return folder / "out" / "opens"
