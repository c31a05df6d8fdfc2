using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;

namespace Client;

/// <summary>What lies in tls/: this client's certificate, and the CAs it trusts in servers.</summary>
public sealed record TlsMaterial(SslStreamCertificateContext Client, X509Certificate2Collection Roots, X509Certificate2Collection Intermediates)
{
    public static TlsMaterial From(TlsOptions options) => new(
        FromPem(options.Certificate, options.Key),
        Certificates(options.Roots),
        Certificates(options.Intermediates));

    /// <summary>Whether an exception says that a file is missing or damaged.</summary>
    public static bool IsUnusable(Exception exception) =>
        exception is IOException or UnauthorizedAccessException or CryptographicException or JsonException or ArgumentException;

    /// <param name="chain">A file with the leaf, then the CAs above it up to below the root.</param>
    private static SslStreamCertificateContext FromPem(string chain, string key)
    {
        var leaf = X509Certificate2.CreateFromPemFile(chain, key);
        var certificates = Certificates(chain);
        certificates.RemoveAt(0);
        return SslStreamCertificateContext.Create(leaf, certificates, offline: true);
    }

    private static X509Certificate2Collection Certificates(string path)
    {
        var certificates = new X509Certificate2Collection();
        certificates.ImportFromPemFile(path);
        return certificates;
    }
}
