using System.Security.Claims;
using System.Text.Encodings.Web;
using Microsoft.AspNetCore.Authentication;
using Microsoft.Extensions.Options;

namespace Service.Security;

/// <summary>
/// Makes the caller that <see cref="CallerGuard"/> let in the <c>User</c> of the request, so that <c>[Authorize]</c>,
/// <c>RequireAuthorization</c> and policies work as everywhere. They can narrow who gets in, and let in nobody else.
/// </summary>
internal sealed class CallerAuthenticationHandler(
    IOptionsMonitor<AuthenticationSchemeOptions> options, ILoggerFactory logger, UrlEncoder encoder)
    : AuthenticationHandler<AuthenticationSchemeOptions>(options, logger, encoder)
{
    public new const string Scheme = "ClientCertificate";

    protected override Task<AuthenticateResult> HandleAuthenticateAsync() =>
        Task.FromResult(Context.Features.Get<AdmittedCaller>() is { } caller
            ? AuthenticateResult.Success(new AuthenticationTicket(new ClaimsPrincipal(IdentityOf(caller)), Scheme))
            : AuthenticateResult.NoResult());

    /// <summary>403 and not 401: no answer to a challenge over HTTP could bring another certificate.</summary>
    protected override Task HandleChallengeAsync(AuthenticationProperties properties) => HandleForbiddenAsync(properties);

    protected override Task HandleForbiddenAsync(AuthenticationProperties properties) =>
        new Refusal($"{Context.Caller()} may not do this").As(StatusCodes.Status403Forbidden).ExecuteAsync(Context);

    private ClaimsIdentity IdentityOf(AdmittedCaller caller)
    {
        var claims = new ClaimsIdentity(caller.Certificate.Claims, Scheme, CallerClaims.Identity, CallerClaims.Role);
        claims.AddClaim(new Claim(CallerClaims.Identity, caller.Entry.Identity));
        claims.AddClaim(new Claim(CallerClaims.Allowed, caller.Entry.Name));
        if (caller.Entry.Gateway)
        {
            claims.AddClaim(new Claim(CallerClaims.Gateway, caller.Entry.Name));
        }

        claims.AddClaims(caller.Entry.Roles.Select(role => new Claim(CallerClaims.Role, role)));
        claims.AddClaims((Context.OnBehalfOf()?.Roles ?? []).Select(role => new Claim(CallerClaims.OnBehalfOfRole, role)));
        return claims;
    }
}
