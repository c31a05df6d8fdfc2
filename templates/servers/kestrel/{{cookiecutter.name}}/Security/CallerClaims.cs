using System.Buffers;
using System.Security.Claims;
using System.Security.Cryptography.X509Certificates;
using Microsoft.Extensions.Primitives;

namespace Service.Security;

/// <summary>The claims that a caller's certificate and the allow list give its requests.</summary>
internal static class CallerClaims
{
    private static readonly SearchValues<char> OfRoles =
        SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

    /// <summary>The URI name of its certificate.</summary>
    public const string Identity = "identity";

    /// <summary>The name it has on the allow list.</summary>
    public const string Allowed = "allowed";

    /// <summary>Only with callers that may speak for others.</summary>
    public const string Gateway = "gateway";

    /// <summary>What the caller may be here: <c>[Authorize(Roles = "…")]</c> and <c>IsInRole</c> ask for it.</summary>
    public const string Role = ClaimTypes.Role;

    /// <summary>The roles of the caller for which a gateway calls. A claim of its own: a gateway's roles are not its callers', nor theirs its.</summary>
    public const string OnBehalfOfRole = "on_behalf_of_role";

    /// <summary>The claims that ASP.NET Core's own certificate authentication gives, for code that was written for it.</summary>
    public static IReadOnlyList<Claim> Of(X509Certificate2 certificate)
    {
        List<Claim> claims =
        [
            new("issuer", certificate.Issuer),
            new(ClaimTypes.Thumbprint, certificate.Thumbprint, ClaimValueTypes.Base64Binary),
        ];
        Add(ClaimTypes.X500DistinguishedName, certificate.SubjectName.Name);
        Add(ClaimTypes.SerialNumber, certificate.SerialNumber);
        Add(ClaimTypes.Dns, certificate.GetNameInfo(X509NameType.DnsName, forIssuer: false));
        Add(ClaimTypes.Name, certificate.GetNameInfo(X509NameType.SimpleName, forIssuer: false));
        Add(ClaimTypes.Email, certificate.GetNameInfo(X509NameType.EmailName, forIssuer: false));
        Add(ClaimTypes.Upn, certificate.GetNameInfo(X509NameType.UpnName, forIssuer: false));
        Add(ClaimTypes.Uri, certificate.GetNameInfo(X509NameType.UrlName, forIssuer: false));
        return claims;

        void Add(string type, string? value)
        {
            if (!string.IsNullOrWhiteSpace(value))
            {
                claims.Add(new Claim(type, value, ClaimValueTypes.String, certificate.Issuer));
            }
        }
    }

    /// <summary>The identity of the caller, whatever scheme has made the <c>User</c>.</summary>
    public static string Caller(this HttpContext http) => http.Features.Get<AdmittedCaller>()?.Entry.Identity ?? "nobody";

    /// <summary>What the answer of <see cref="OwnAnswers.CallerPath"/> says, by the server called <paramref name="server"/>.</summary>
    public static WhoCalled WhoCalled(this HttpContext http, string server) => new(server, http.Caller(), http.Roles(), http.OnBehalfOf());

    /// <summary>What the caller may be here, whatever scheme has made the <c>User</c>.</summary>
    public static IReadOnlyList<string> Roles(this HttpContext http) => http.Features.Get<AdmittedCaller>()?.Entry.Roles ?? [];

    /// <summary>Anybody can send these headers. Only this service's own gateway is trusted.</summary>
    public static OnBehalfOf? OnBehalfOf(this HttpContext http) =>
        http.Features.Get<AdmittedCaller>() is { Entry.Gateway: true }
        && http.Request.Headers["X-Client-Subject"] is [{ Length: > 0 } subject]
        && http.Request.Headers["X-Client-Issuer"] is [{ Length: > 0 } issuer]
            ? new OnBehalfOf(subject, issuer, RolesIn(http.Request.Headers["X-Client-Roles"]))
            : null;

    /// <summary>What is no list of roles holds none: a gateway sends the header once, or not at all.</summary>
    private static string[] RolesIn(StringValues header)
    {
        if (header is not [{ Length: > 0 } text])
        {
            return [];
        }

        var roles = text.Split(',', StringSplitOptions.TrimEntries);
        return roles.All(role => role.Length > 0 && !role.AsSpan().ContainsAnyExcept(OfRoles)) ? roles : [];
    }
}

/// <summary>The caller for which a gateway calls: the names (RFC 2253) in the certificate that it verified, and what it may be at the gateway.</summary>
internal sealed record OnBehalfOf(string Subject, string Issuer, IReadOnlyList<string> Roles);
