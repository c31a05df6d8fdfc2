using System.Security.Claims;

namespace Service.Security;

/// <summary>The claims that a caller's certificate and the allow list give its requests.</summary>
public static class CallerClaims
{
    /// <summary>The URI name of its certificate.</summary>
    public const string Identity = "identity";

    /// <summary>Only with callers on the allow list: the name it has there.</summary>
    public const string Drawn = "drawn";

    /// <summary>Only with callers that may speak for others.</summary>
    public const string Gateway = "gateway";

    public static string Caller(this HttpContext http) => http.User.FindFirstValue(Identity) ?? "nobody";

    /// <summary>Anybody can send these headers. Only this service's own gateway is believed.</summary>
    public static OnBehalfOf? OnBehalfOf(this HttpContext http) =>
        http.User.HasClaim(claim => claim.Type == Gateway)
        && http.Request.Headers["X-Client-Subject"] is [{ Length: > 0 } subject]
        && http.Request.Headers["X-Client-Issuer"] is [{ Length: > 0 } issuer]
            ? new OnBehalfOf(subject, issuer)
            : null;
}

/// <summary>Whom a gateway speaks for: the names (RFC 2253) in the certificate that it verified.</summary>
public sealed record OnBehalfOf(string Subject, string Issuer);
