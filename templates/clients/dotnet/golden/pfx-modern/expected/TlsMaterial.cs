using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;

namespace Client;

/// <summary>What lies in tls/: this client's certificate, and the CAs it trusts in servers.</summary>
public sealed record TlsMaterial(SslStreamCertificateContext Client, X509Certificate2Collection Roots, X509Certificate2Collection Intermediates)
{
    public static TlsMaterial From(TlsOptions options) => new(
        FromPfx(options),
        Certificates(options.Roots),
        Certificates(options.Intermediates));

    /// <summary>Whether an exception says that a file is missing or damaged.</summary>
    public static bool IsUnusable(Exception exception) =>
        exception is IOException or UnauthorizedAccessException or CryptographicException or JsonException or ArgumentException;

    private static SslStreamCertificateContext FromPfx(TlsOptions options)
    {
        var certificates = X509CertificateLoader.LoadPkcs12CollectionFromFile(options.Bundle, PasswordOf(options));
        var leaf = certificates.SingleOrDefault(certificate => certificate.HasPrivateKey)
            ?? throw new CryptographicException("the PFX must hold exactly one private key");
        certificates.Remove(leaf);
        return SslStreamCertificateContext.Create(leaf, certificates, offline: true);
    }

    private static string PasswordOf(TlsOptions options) =>
        Environment.GetEnvironmentVariable("PFX_PASSWORD") is { Length: > 0 } password
            ? password
            : File.ReadAllText(options.BundlePassword).TrimEnd('\r', '\n');

    private static X509Certificate2Collection Certificates(string path)
    {
        var certificates = new X509Certificate2Collection();
        certificates.ImportFromPemFile(path);
        return certificates;
    }
}
