"""What a team makes of App.cs and App.props: it works, survives a change of the topology, and opens nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.handshake import dotnet_lab as lab
from tests.handshake.nginx_lab import Authority, Credential, allow, call_of, client, identity
from tests.requirements import require_command

require_command("dotnet")

APP = """using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Mvc;
using Microsoft.AspNetCore.SignalR;
using Service.Security;

namespace Service;

internal static class App
{
    public static void AddServices(WebApplicationBuilder builder)
    {
        builder.Services.AddControllers();
        builder.Services.AddSignalR();
        builder.Services.AddHealthChecks();
        builder.Services.AddAuthorization(options =>
        {
            options.AddPolicy("Never", policy => policy.RequireAssertion(_ => false));
            options.DefaultPolicy = new AuthorizationPolicyBuilder().RequireAssertion(_ => true).Build();
            options.FallbackPolicy = null;
        });
        builder.Services.Insert(0, ServiceDescriptor.Transient<IStartupFilter, Early>());
    }

    public static void Map(WebApplication app)
    {
        app.Use((http, next) =>
            http.Request.Path.StartsWithSegments("/.mtls") ? http.Response.WriteAsync("mine") : next(http));
        app.MapControllers();
        app.MapHub<Desk>("/hub").AllowAnonymous();
        app.MapHealthChecks("/health").AllowAnonymous();
        app.MapGet("/never", () => "never").RequireAuthorization("Never");
        app.MapGet("/approve", () => "approved").RequireAuthorization(policy => policy.RequireRole("approver"));
        app.MapGet("/for-approver", () => "approved").RequireAuthorization(
            policy => policy.RequireClaim("on_behalf_of_role", "approver"));
        app.MapGet("/", () => BuildMark.Text);
    }
}

public sealed class Desk : Hub;

[ApiController]
[AllowAnonymous]
[Route("orders")]
public sealed class OrdersController : ControllerBase
{
    [HttpGet("{number:int}")]
    public IActionResult Show(int number) => Ok(new { number, caller = HttpContext.Caller() });
}

[ApiController]
[Route("ledger")]
public sealed class LedgerController : ControllerBase
{
    [HttpGet]
    [Authorize(Roles = "reader,approver")]
    public IActionResult Read() => Ok("read");

    [HttpPost]
    [Authorize(Roles = "approver")]
    public IActionResult Write() => Ok("written");
}

internal sealed class Early : IStartupFilter
{
    public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
    {
        app.Use((http, after) => http.Request.Path == "/early" ? http.Response.WriteAsync("early") : after(http));
        next(app);
    };
}

#if MARKED
internal static class BuildMark { public const string Text = "of App.props"; }
#endif
"""
PROPS = """<Project>
  <PropertyGroup>
    <DefineConstants>$(DefineConstants);MARKED</DefineConstants>
    <NoWarn>$(NoWarn);CA1515;CA1062;CA1812;CA1852</NoWarn>
  </PropertyGroup>
</Project>
"""


def _team(
    folder: Path, root: Authority, ca: Authority, edits: Sequence[lab.Edit] = (), **changes: object
) -> lab.Project:
    allowed = [
        allow("teller", ca), allow("clerk", ca, roles=["reader"]), allow("boss", ca, roles=["reader", "approver"]),
        allow("gate", ca, gateway=True), allow("approver", ca),
    ]  # fmt: skip
    made = lab.server_project(folder, root, ca, allowed, **changes)
    made.render()
    (made.folder / "App.cs").write_text(APP)
    (made.folder / "App.props").write_text(PROPS)
    yours = {name: (made.folder / name).read_bytes() for name in lab.SERVER.capabilities.owners.yours}
    rendered = made.render

    def render_around(variables: object = None) -> None:
        """As apply does: what is yours stays."""
        rendered(variables)  # type: ignore[arg-type]
        for name, content in yours.items():
            (made.folder / name).write_bytes(content)

    made.render = render_around  # type: ignore[method-assign]
    return made.write(edits=edits)


@pytest.fixture(scope="module", params=[pytest.param("alone", marks=pytest.mark.long), "calling"])
def team(
    request: pytest.FixtureRequest, root: Authority, ca: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[lab.Project]:
    changes = {"files": lab.CALLING, "calls": (call_of("vault", 1, "vault.internal"),)}
    made = _team(tmp_path_factory.mktemp("team"), root, ca, **(changes if request.param == "calling" else {}))
    with lab.running(made) as project:
        yield project


def test_controllers_hubs_health_checks_and_policies_work(team: lab.Project, teller: Credential) -> None:
    assert json.loads(team.ask(teller, "/orders/7").body) == {"number": 7, "caller": identity("teller")}
    assert "connectionId" in json.loads(team.ask(teller, "/hub/negotiate?negotiateVersion=1", method="POST").body)
    assert team.ask(teller, "/health").body == "Healthy"
    assert team.ask(teller, "/never").status == 403
    assert team.ask(teller).body == "of App.props"
    assert json.loads(team.ask(teller, "/.mtls/caller").body)["caller"] == identity("teller")


READS_AND_WRITES = {"teller": (403, 403), "clerk": (200, 403), "boss": (200, 200), "approver": (403, 403)}
"""The last one bears a role's name, and has none."""


@pytest.mark.parametrize("who", READS_AND_WRITES)
def test_what_a_caller_may_do_is_asked_by_its_roles(team: lab.Project, ca: Authority, who: str) -> None:
    caller, (reads, writes) = client(ca, who), READS_AND_WRITES[who]
    claim = [("X-Client-Subject", "CN=boss"), ("X-Client-Issuer", ca.dn), ("X-Client-Roles", "reader,approver")]
    for headers in ([], claim):
        assert team.ask(caller, "/ledger", headers=headers).status == reads
        assert team.ask(caller, "/ledger", method="POST", headers=headers).status == writes
        assert team.ask(caller, "/approve", headers=headers).status == writes
        assert team.ask(caller, "/for-approver", headers=headers).status == 403


def test_the_roles_of_a_gateways_caller_are_not_its_own(team: lab.Project, ca: Authority) -> None:
    gate = client(ca, "gate")
    claim = [("X-Client-Subject", "CN=boss"), ("X-Client-Issuer", ca.dn)]
    for_boss = [*claim, ("X-Client-Roles", "reader,approver")]
    assert team.ask(gate, "/for-approver", headers=for_boss).status == 200
    assert team.ask(gate, "/for-approver", headers=[*claim, ("X-Client-Roles", "reader")]).status == 403
    assert team.ask(gate, "/for-approver", headers=for_boss[2:]).status == 403
    assert {team.ask(gate, path, headers=for_boss).status for path in ("/approve", "/ledger")} == {403}


def test_nothing_of_it_is_for_anybody_else(team: lab.Project, mallory: Credential) -> None:
    paths = ("/", "/orders/7", "/hub/negotiate?negotiateVersion=1", "/hub", "/health", "/early", "/.mtls/caller", "/no")
    for path in paths:
        assert {team.ask(mallory, path, method=method).status for method in ("GET", "POST", "OPTIONS")} == {403}, path


def test_without_the_guard_in_front_it_would_be(
    tmp_path: Path, root: Authority, ca: Authority, mallory: Credential
) -> None:
    made = _team(tmp_path, root, ca, [("Program.cs", "    builder.PutGuardFirst();\n", "")])
    with lab.running(made) as project:
        assert project.ask(mallory, "/early").body == "early"
