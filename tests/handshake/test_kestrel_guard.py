"""Who gets in to Kestrel is scaffold's own decision: no code of a team's and no other setting changes it."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from scaffold.errors import VerifyError
from scaffold.pki import bundles
from scaffold.running.ports import free_addresses
from scaffold.settings.values import Allowed
from scaffold.topology.model import San, SanType
from tests.fresh import new_serial
from tests.handshake import dotnet_lab as lab
from tests.handshake.nginx_lab import (
    WITHIN,
    Authority,
    Credential,
    allow,
    authority,
    client,
    context_of,
    identity,
    until,
)
from tests.requirements import require_command

require_command("dotnet")


# --- A team's own code -----------------------------------------------------------------------------------------------

TEAM_FIRST = """
    builder.Services.AddTransient<IStartupFilter, Early>();
"""

TEAM_POLICIES = """
    builder.Services.AddAuthorization(authorization =>
    {
        authorization.AddPolicy("OfficeHours", policy => policy.RequireAssertion(_ => true));
        authorization.AddPolicy("Never", policy => policy.RequireAssertion(_ => false));
        authorization.DefaultPolicy = authorization.GetPolicy("OfficeHours")!;
        authorization.FallbackPolicy = null;
    });
"""

TEAM_ENDPOINTS = """
    app.Map("/branch", branch => branch.Run(http => http.Response.WriteAsync("branch")));
    app.Use((http, next) => http.Request.Path == "/inline" ? http.Response.WriteAsync("inline") : next(http));
    app.UseAuthentication();
    app.UseAuthorization();
    app.Map("/office", () => "office").RequireAuthorization("OfficeHours");
    app.Map("/never", () => "never").RequireAuthorization("Never");
    app.Map("/open", () => "open").AllowAnonymous();
    app.Map("/attribute", [Microsoft.AspNetCore.Authorization.AllowAnonymous] () => "attribute");
    app.Map("/plain", () => "plain");
    app.Map("/short", () => "short").ShortCircuit();
    app.Map("/claims", (HttpContext http) =>
        http.User.Claims.Select(claim => (string[])[claim.Type, claim.Value, claim.Issuer]));
    app.Map("/fails", string () => throw new InvalidOperationException("on purpose"));
    app.MapFallback(() => "fallback");
"""

TEAM_FILTER = """namespace Service;

internal sealed class Early : IStartupFilter
{
    public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
    {
        app.Use((http, after) => http.Request.Path == "/early" ? http.Response.WriteAsync("early") : after(http));
        next(app);
    };
}
"""

ADDED = "    builder.AddMutualTls(mutualTls);\n"
BUILT = "    var app = builder.Build();\n"
TEAM = (("Program.cs", ADDED, TEAM_FIRST + ADDED + TEAM_POLICIES), ("Program.cs", BUILT, BUILT + TEAM_ENDPOINTS))
"""Everything by which ASP.NET Core lets somebody in, before scaffold's line and behind it."""

PATHS = ("branch", "inline", "office", "open", "attribute", "plain", "short", "early", "fallback")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE")


def _team(folder: Path, root: Authority, ca: Authority, *edits: lab.Edit) -> lab.Project:
    made = lab.server_project(folder, root, ca, [allow("teller", ca)], files=lab.PFX)
    made.folder.joinpath("Early.cs").write_text(TEAM_FILTER)
    return made.write(edits=[*TEAM, *edits])


@pytest.fixture(scope="module")
def team(root: Authority, ca: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[lab.Project]:
    with lab.running(_team(tmp_path_factory.mktemp("team"), root, ca)) as project:
        yield project


@pytest.mark.parametrize("path", PATHS)
def test_no_policy_and_no_endpoint_of_a_team_lets_anybody_in(
    path: str, team: lab.Project, teller: Credential, mallory: Credential
) -> None:
    for method in METHODS:
        status, body = _ask(team, mallory, method, path)
        assert status == 403, method
        assert method == "HEAD" or "may not call this service" in json.loads(body)["error"], method
        assert _ask(team, teller, method, path)[0] == 200, method
    assert team.ask(teller, f"/{path}").body.strip('"') == path


def _ask(project: lab.Project, caller: Credential, method: str, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPSConnection(
        "localhost", project.port, context=context_of(caller, project.roots[0]), timeout=WITHIN
    )
    with contextlib.closing(connection):
        connection.request(method, f"/{path}")
        response = connection.getresponse()
        return response.status, response.read()


def test_a_policy_of_a_team_narrows_who_gets_in(team: lab.Project, teller: Credential) -> None:
    refused = team.ask(teller, "/never")
    assert (refused.status, json.loads(refused.body)) == (403, {"error": f"{identity('teller')} may not do this"})
    assert team.ask(teller, "/office").status == 200


def test_without_the_guard_the_same_program_lets_a_stranger_in(
    root: Authority, ca: Authority, mallory: Credential, tmp_path: Path
) -> None:
    """The failing twin: what the tests above see is the guard, and nothing else."""
    removed = ("Security/GuardedPipeline.cs", "            app.UseMiddleware<CallerGuard>();\n", "")
    with lab.running(_team(tmp_path, root, ca, removed)) as project:
        for path in PATHS:
            assert project.ask(mallory, f"/{path}").status == 200, path


# --- Claims ----------------------------------------------------------------------------------------------------------

SOAP = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
MICROSOFT = "http://schemas.microsoft.com/ws/2008/06/identity/claims/"


def test_the_claims_of_microsofts_certificate_authentication(team: lab.Project, ca: Authority) -> None:
    """Name by name what its handler gives, so that code written for it finds them; beside ours."""
    caller = _with_every_name(ca)
    said = {kind: (value, issuer) for kind, value, issuer in json.loads(team.ask(caller, "/claims").body)}
    shown = caller.certificate
    assert said["issuer"][0] == "CN=Lab Issuing, O=Contoso"
    assert said[SOAP + "thumbprint"][0] == shown.fingerprint(hashes.SHA1()).hex().upper()
    serial = f"{shown.serial_number:X}"
    ours = {
        SOAP + "x500distinguishedname": "CN=teller, O=Contoso Bank, C=NL",
        MICROSOFT + "serialnumber": serial.zfill(len(serial) + len(serial) % 2),
        SOAP + "dns": "teller.example",
        SOAP + "name": "teller",
        SOAP + "emailaddress": "teller@contoso.example",
        SOAP + "upn": "teller@CONTOSO",
        SOAP + "uri": identity("teller"),
    }
    for kind, value in ours.items():
        assert said[kind] == (value, "CN=Lab Issuing, O=Contoso"), kind
    assert said["identity"][0] == identity("teller")
    assert said["allowed"][0] == "teller"
    assert "gateway" not in said


def test_a_name_that_is_not_there_makes_no_claim(team: lab.Project, teller: Credential) -> None:
    kinds = [kind for kind, _, _ in json.loads(team.ask(teller, "/claims").body)]
    assert SOAP + "uri" in kinds
    assert not {SOAP + "emailaddress", SOAP + "upn"} & set(kinds)


def _with_every_name(ca: Authority) -> Credential:
    """The teller's certificate with each kind of name that .NET reads."""
    plain = lab.leaf(ca, "teller", "client", [lab.uri("teller")])
    upn = x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), _utf8("teller@CONTOSO"))
    names = [
        x509.UniformResourceIdentifier(identity("teller")),
        x509.DNSName("teller.example"),
        x509.RFC822Name("teller@contoso.example"),
        upn,
    ]
    builder = x509.CertificateBuilder(
        ca.certificate.subject, plain.certificate.subject, plain.key.public_key(), new_serial(),
        plain.certificate.not_valid_before_utc, plain.certificate.not_valid_after_utc,
    )  # fmt: skip
    for extension in plain.certificate.extensions:
        value = extension.value
        if isinstance(value, x509.SubjectAlternativeName):
            value = x509.SubjectAlternativeName(names)  # type: ignore[assignment]
        builder = builder.add_extension(value, extension.critical)
    signed = builder.sign(ca.issuer.key, hashes.SHA256())  # type: ignore[arg-type]
    assert signed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "teller"
    return Credential(signed, plain.key, ca.chain)


def _utf8(text: str) -> bytes:
    return bytes([0x0C, len(text)]) + text.encode()


# --- The access log --------------------------------------------------------------------------------------------------

LINE = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d) info: \S+AccessLog\[6\] "
    r'(?P<client>\S+) (?P<identity>none|"\S+") (?P<request>"[^"]+") (?P<status>\d{3})'
)


def _logged(project: lab.Project, request: str) -> list[re.Match[str]]:
    lines = [found for line in project.lines if (found := LINE.fullmatch(line))]
    return [line for line in lines if line["request"] == f'"{request}"']


def test_each_request_is_logged_refused_ones_too(
    team: lab.Project, teller: Credential, mallory: Credential, ca: Authority
) -> None:
    """Each is asked once the one before has its line, which is written when the answer is out."""
    nameless = lab.leaf(ca, "teller", "client", [San(SanType.EMAIL, "teller@bank.example")])
    expected: list[tuple[str, str]] = []
    for caller, named, status in (
        (teller, f'"{identity("teller")}"', 200), (mallory, f'"{identity("mallory")}"', 403), (nameless, "none", 403),
    ):  # fmt: skip
        team.ask(caller, "/open?of=log")
        expected.append((named, str(status)))
        until(lambda: len(_logged(team, "GET /open?of=log HTTP/1.1")) == len(expected))
    lines = _logged(team, "GET /open?of=log HTTP/1.1")
    assert [(line["identity"], line["status"]) for line in lines] == expected
    assert all(line["client"].startswith("127.0.0.1:") for line in lines)
    assert team.ask(teller, "/fails").status == 500
    until(lambda: [line["status"] for line in _logged(team, "GET /fails HTTP/1.1")] == ["500"])


def test_no_request_and_no_name_can_write_a_line_of_its_own(team: lab.Project, teller: Credential) -> None:
    before = len(team.lines)
    team.ask(teller, '/x"%0a2026-01-01T00:00:00+00:00')
    until(lambda: any("%0a2026" in line for line in team.lines[before:]))
    (line,) = [line for line in team.lines[before:] if "%0a2026" in line]
    assert r"/x\"%0a" in line


# --- Settings --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stopped(root: Authority, ca: Authority, tmp_path_factory: pytest.TempPathFactory) -> lab.Project:
    """A server that is built and not started."""
    folder = tmp_path_factory.mktemp("stopped")
    return lab.server_project(folder, root, ca, [allow("teller", ca)], files=lab.PFX).write()


FALSE = {
    "misspelt key": ('"Revocation"', '"Revocatoin"', "Revocatoin"),
    "key in another case": ('"Revocation"', '"revocation"', "revocation"),
    "missing key": ('"Revocation": "none",', "", "Revocation"),
    "key twice": ('"Revocation": "none",', '"Revocation": "none", "Revocation": "none",', "Revocation"),
    "unknown key": ('"Tls": {', '"Trust": "everybody", "Tls": {', "Trust"),
    "unknown key within": ('"Roots":', '"AlsoRoots": "other.pem", "Roots":', "AlsoRoots"),
    "unknown value": ('"Revocation": "none"', '"Revocation": "clr"', 'Tls:Revocation is "clr", not none, crl, ocsp'),
    "value in another case": ('"OnUnavailable": "refuse"', '"OnUnavailable": "Allow"', "Tls:OnUnavailable"),
    "unknown protocol": ('"MinVersion": "TLSv1.2"', '"MinVersion": "SSLv3"', "Tls:MinVersion"),
    "unknown suite": ('"TLS_AES_128_GCM_SHA256"', '"4865"', "Tls:CipherSuites holds 4865"),
    "null": ('"Roots": "tls/ca.pem"', '"Roots": null', "Roots"),
    "no file of that name": ('"Roots": "tls/ca.pem"', '"Roots": "tls/none.pem"', "tls/none.pem"),
    "not JSON": ('"Tls": {', '"Tls": [', "mutual-tls.json"),
}


@pytest.mark.parametrize("what", FALSE)
def test_a_false_setting_ends_it_with_one_sentence(what: str, stopped: lab.Project) -> None:
    old, new, reason = FALSE[what]
    (said,) = _does_not_start(stopped, old, new)
    assert said.startswith("This service cannot start as it lies here: ")
    assert reason in said


def _does_not_start(project: lab.Project, old: str, new: str) -> list[str]:
    file = project.folder / "mutual-tls.json"
    kept = file.read_text()
    project.lines.clear()
    project.edit("mutual-tls.json", old, new)
    try:
        with pytest.raises(VerifyError, match="exit status 1"), lab.running(project):
            pass
    finally:
        file.write_text(kept)
    return project.lines


def test_an_endpoint_of_tls_in_the_settings_ends_it_with_one_sentence(stopped: lab.Project) -> None:
    (more,) = free_addresses(1)
    stopped.lines.clear()
    with (
        pytest.raises(VerifyError, match="exit status 1"),
        lab.running(stopped, Kestrel__Endpoints__Extra__Url=f"https://{more}"),
    ):
        pass
    (said,) = stopped.lines
    assert said.startswith("This service cannot start as it lies here: Kestrel:Endpoints:Extra:Url")
    assert "TLS is served where mutual-tls.json says, and nowhere else" in said


def test_a_false_key_in_the_allow_list_is_an_error(stopped: lab.Project) -> None:
    kept = (stopped.tls / "allowed.json").read_bytes()
    stopped.lines.clear()
    stopped.put("allowed.json", kept.replace(b'"gateway"', b'"Gateway"'))
    try:
        with pytest.raises(VerifyError, match="exit status 1"), lab.running(stopped):
            pass
    finally:
        stopped.put("allowed.json", kept)
    assert "tls/allowed.json" in stopped.lines[0]


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Foreign:
    """Another topology with a gateway of its own, and its settings."""
    folder = tmp_path_factory.mktemp("elsewhere")
    foreign = authority("Foreign Root")
    (folder / "ca.pem").write_bytes(bundles.pem(foreign.certificate))
    entry = allow("gate", foreign, gateway=True)
    (folder / "allowed.json").write_text(json.dumps({"callers": [_as_json(entry)]}))
    return Foreign(folder, client(foreign, "gate"))


class Foreign:
    """The files of another topology, and the gateway that these would let in."""

    def __init__(self, folder: Path, gateway: Credential) -> None:
        self.folder, self.gateway = folder, gateway

    def settings(self, separator: str) -> dict[str, str]:
        """What would let it in, were the configuration read."""
        named = {"Roots": "ca.pem", "Intermediates": "ca.pem", "Allowed": "allowed.json"}
        paths = {f"Tls{separator}{key}": str(self.folder / name) for key, name in named.items()}
        return {**paths, f"Tls{separator}CipherSuites{separator}0": "TLS_AES_256_GCM_SHA384"}


def _as_json(entry: Allowed) -> dict[str, object]:
    return {
        "name": entry.name, "identity": entry.identity, "issuer": entry.issuer,
        "issuerKeySha256": entry.issuer_spki_sha256, "gateway": entry.gateway,
    }  # fmt: skip


def test_in_its_own_file_the_same_settings_let_the_other_topology_in(
    stopped: lab.Project, elsewhere: Foreign, tmp_path: Path
) -> None:
    """The failing twin of the three below: the files are good, and it is only where they are named that decides."""
    shutil.copytree(stopped.folder, tmp_path / "desk")
    settings = json.loads((tmp_path / "desk" / "mutual-tls.json").read_text())
    for key, value in elsewhere.settings(":").items():
        if "CipherSuites" not in key:
            settings["Tls"][key.removeprefix("Tls:")] = value
    (tmp_path / "desk" / "mutual-tls.json").write_text(json.dumps(settings))
    with lab.running(stopped, tmp_path / "desk"):
        assert stopped.ask(elsewhere.gateway).status == 200


def _only_its_own_decide(project: lab.Project, elsewhere: Foreign, teller: Credential) -> None:
    assert project.ask(teller).status == 200
    assert project.cuts_off(elsewhere.gateway)
    until(lambda: any("section Tls, which is not read: mutual-tls.json alone" in line for line in project.lines))


@pytest.mark.parametrize("prefix", ["", "ASPNETCORE_", "DOTNET_"])
def test_the_environment_replaces_nothing_that_guards(
    prefix: str, stopped: lab.Project, elsewhere: Foreign, teller: Credential
) -> None:
    stopped.lines.clear()
    given = {f"{prefix}{key.upper()}": value for key, value in elsewhere.settings("__").items()}
    roots = {f"{prefix}CONTENTROOT": str(elsewhere.folder)} if prefix else {"CONTENTROOT": str(elsewhere.folder)}
    with lab.running(stopped, **given, **roots) as project:
        _only_its_own_decide(project, elsewhere, teller)


def test_the_command_line_replaces_nothing_that_guards(
    stopped: lab.Project, elsewhere: Foreign, teller: Credential, tmp_path: Path
) -> None:
    stopped.lines.clear()
    given = [f"--{key}={value}" for key, value in elsewhere.settings(":").items()]
    _script(tmp_path, f"exec dotnet '{_program(stopped)}' --contentRoot='{elsewhere.folder}' {' '.join(given)}")
    with lab.running(stopped, tmp_path) as project:
        _only_its_own_decide(project, elsewhere, teller)


def test_no_other_file_replaces_anything_that_guards(
    stopped: lab.Project, elsewhere: Foreign, teller: Credential
) -> None:
    """Arrays of appsettings merge by index: one suite in appsettings.Production.json replaced the first of the list."""
    stopped.lines.clear()
    own = stopped.folder / "appsettings.Production.json"
    tls = {key.removeprefix("Tls:"): value for key, value in elsewhere.settings(":").items() if "Cipher" not in key}
    own.write_text(json.dumps({"Tls": {**tls, "CipherSuites": ["TLS_AES_256_GCM_SHA384"]}, "Listen": "127.0.0.1:1"}))
    try:
        with lab.running(stopped) as project:
            _only_its_own_decide(project, elsewhere, teller)
    finally:
        own.unlink()


def test_what_does_not_guard_is_configured_as_everywhere(stopped: lab.Project, teller: Credential) -> None:
    stopped.lines.clear()
    with lab.running(stopped, Service__Greeting="good day", Logging__LogLevel__Service="Error") as project:
        assert json.loads(project.ask(teller).body)["greeting"] == "good day"
        project.ask(teller, "/last")
    assert not any("AccessLog" in line for line in project.lines)
    assert not any("not read" in line for line in project.lines)


# --- Its own folder --------------------------------------------------------------------------------------------------


def _program(project: lab.Project) -> Path:
    return project.folder / "bin" / "Release" / "net10.0" / "desk-server.dll"


def _script(folder: Path, *lines: str) -> None:
    script = folder / "run.sh"
    script.write_text(textwrap.dedent("#!/bin/sh\nset -eu\n") + "\n".join(lines) + "\n")
    script.chmod(0o755)


def test_it_finds_its_own_folder_from_anywhere(stopped: lab.Project, teller: Credential, tmp_path: Path) -> None:
    """systemd starts a service in / where its unit names no folder."""
    stopped.lines.clear()
    _script(tmp_path, "unset SERVICE_HOME", f"cd / && exec dotnet '{_program(stopped)}'")
    with lab.running(stopped, tmp_path) as project:
        assert project.ask(teller).status == 200
    assert not any("denied" in line for line in stopped.lines)


@pytest.mark.long
def test_published_it_takes_the_files_beside_it(stopped: lab.Project, teller: Credential, tmp_path: Path) -> None:
    published = tmp_path / "published"
    lab.sdk(stopped.folder, "publish", "-c", "Release", "-p:UseAppHost=false", "-o", str(published))
    assert not (published / "tls").exists()
    _script(tmp_path, f"cd / && exec dotnet '{published / 'desk-server.dll'}'")
    stopped.lines.clear()
    with pytest.raises(VerifyError), lab.running(stopped, tmp_path):
        pass
    assert str(published) in stopped.lines[0]
    shutil.copytree(stopped.tls, published / "tls")
    with lab.running(stopped, tmp_path) as project:
        assert project.ask(teller).status == 200


def test_without_its_settings_it_says_so(stopped: lab.Project, tmp_path: Path) -> None:
    """Beside the program and in no folder above it: nothing is guessed."""
    shutil.copytree(_program(stopped).parent, tmp_path / "bin")
    _script(tmp_path, f"cd '{stopped.folder}' && exec dotnet '{tmp_path / 'bin' / 'desk-server.dll'}'")
    stopped.lines.clear()
    with pytest.raises(VerifyError, match="exit status 1"), lab.running(stopped, tmp_path):
        pass
    (said,) = stopped.lines
    assert "cannot start" in said
    assert "mutual-tls.json is neither beside the program nor in a folder above it" in said
