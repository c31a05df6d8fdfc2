using System.Security.Claims;
using System.Text.Encodings.Web;
using Microsoft.AspNetCore.Authentication;
using Microsoft.Extensions.Options;

namespace Service.Security;

/// <summary>
/// Turns the verified certificate of the connection into the <c>User</c> of the request, so that <c>[Authorize]</c>,
/// <c>RequireAuthorization</c> and policies work as everywhere. The allow list is asked at each request: a caller that is
/// taken off it is refused on connections that are open already.
/// </summary>
public sealed class CallerAuthenticationHandler(
    TlsMaterialStore store, IOptionsMonitor<AuthenticationSchemeOptions> options, ILoggerFactory logger, UrlEncoder encoder)
    : AuthenticationHandler<AuthenticationSchemeOptions>(options, logger, encoder)
{
    public new const string Scheme = "ClientCertificate";

    protected override Task<AuthenticateResult> HandleAuthenticateAsync()
    {
        var certificate = Context.Features.Get<VerifiedCertificate>();
        return Task.FromResult(certificate switch
        {
            null => AuthenticateResult.Fail("no verified certificate came with the connection"),
            { Identity: null } => AuthenticateResult.Fail("the certificate does not carry exactly one URI name"),
            _ when certificate.NotAfter < TimeProvider.GetUtcNow() => AuthenticateResult.Fail("the certificate has expired since the connection was opened"),
            _ => AuthenticateResult.Success(TicketFor(certificate.Identity, certificate.IssuerKeySha256)),
        });
    }

    /// <summary>403 and not 401: no answer to a challenge over HTTP could bring another certificate.</summary>
    protected override async Task HandleChallengeAsync(AuthenticationProperties properties)
    {
        var result = await HandleAuthenticateOnceSafeAsync();
        await RefuseAsync(result.Failure?.Message ?? "the caller is not known");
    }

    protected override Task HandleForbiddenAsync(AuthenticationProperties properties) =>
        RefuseAsync($"{Context.Caller()} may not call this service with a certificate of this issuer");

    private AuthenticationTicket TicketFor(string identity, string issuerKeySha256)
    {
        var claims = new ClaimsIdentity(Scheme, CallerClaims.Identity, CallerClaims.Drawn);
        claims.AddClaim(new Claim(CallerClaims.Identity, identity));
        if (store.Current.Allowed.Find(identity, issuerKeySha256) is { } caller)
        {
            claims.AddClaim(new Claim(CallerClaims.Drawn, caller.Name));
            if (caller.Gateway)
            {
                claims.AddClaim(new Claim(CallerClaims.Gateway, caller.Name));
            }
        }

        return new AuthenticationTicket(new ClaimsPrincipal(claims), Scheme);
    }

    private Task RefuseAsync(string reason)
    {
        Response.StatusCode = StatusCodes.Status403Forbidden;
        return Response.WriteAsJsonAsync(new Refusal(reason));
    }
}
