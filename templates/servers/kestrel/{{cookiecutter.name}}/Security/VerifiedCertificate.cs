using System.Security.Claims;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Service.Security;

/// <summary>What is known of a caller once its chain is verified: a feature of its connection.</summary>
/// <param name="Identities">Its URI, then its DNS names as <c>dns:NAME</c>: some CAs give no URIs. Empty where there are several URIs.</param>
/// <param name="IssuerKeySha256">Of the CA that signed it, as found in the verified chain: a name could be another CA's as well.</param>
/// <param name="NotAfter">A connection may outlive the certificate that opened it.</param>
internal sealed record VerifiedCertificate(IReadOnlyList<string> Identities, string IssuerKeySha256, DateTimeOffset NotAfter, PresentedChain Chain)
{
    private const string DnsPrefix = "dns:";

    private int _serving;

    /// <summary>What it is called by: its URI, or else the first of its DNS names.</summary>
    public string? Identity => Identities.Count > 0 ? Identities[0] : null;

    /// <summary>Read at the first request, and then kept for as long as the connection.</summary>
    public IReadOnlyList<Claim> Claims => field ??= ReadClaims();

    /// <summary>Whether a request of an allowed caller is being served on the connection: a stream may be for as long as it likes.</summary>
    public bool IsServing => Volatile.Read(ref _serving) > 0;

    public static VerifiedCertificate From(X509Certificate2 certificate, X509Chain chain) => new(
        IdentitiesOf(certificate),
        Convert.ToHexStringLower(SHA256.HashData(chain.ChainElements[1].Certificate.PublicKey.ExportSubjectPublicKeyInfo())),
        new DateTimeOffset(certificate.NotAfter),
        PresentedChain.From(ChainRules.ForClients, certificate, chain));

    /// <summary>Counts a request as being served until what this returns is disposed of.</summary>
    public IDisposable Serve()
    {
        Interlocked.Increment(ref _serving);
        return new Served(this);
    }

    /// <summary>A URI that begins with dns: would pass for a DNS name, so that is none.</summary>
    private static string[] IdentitiesOf(X509Certificate2 certificate) =>
        UriName.AllOf(certificate) is { Count: <= 1 } uris && !uris.Any(uri => uri.StartsWith(DnsPrefix, StringComparison.Ordinal))
            ? [.. uris, .. DnsNamesOf(certificate).Select(name => DnsPrefix + name.ToLowerInvariant())]
            : [];

    private static IEnumerable<string> DnsNamesOf(X509Certificate2 certificate) =>
        certificate.Extensions.OfType<X509SubjectAlternativeNameExtension>().SelectMany(names => names.EnumerateDnsNames());

    private IReadOnlyList<Claim> ReadClaims()
    {
        using var certificate = X509CertificateLoader.LoadCertificate(Chain.Leaf);
        return CallerClaims.Of(certificate);
    }

    private sealed class Served(VerifiedCertificate certificate) : IDisposable
    {
        public void Dispose() => Interlocked.Decrement(ref certificate._serving);
    }
}
