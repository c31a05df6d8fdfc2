{% if not cookiecutter.files.bundle %}using System.Diagnostics.CodeAnalysis;
{% endif %}using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;

namespace Client;

/// <summary>What lies in tls/: this client's certificate, and the CAs it trusts in servers.</summary>
/// <param name="Roots">Where servers' chains must end, by the files that say so.</param>
internal sealed record TlsMaterial(
    SslStreamCertificateContext Client,
    IReadOnlyDictionary<string, X509Certificate2Collection> Roots,
    X509Certificate2Collection Intermediates)
{
    public static TlsMaterial From(TlsOptions options, IEnumerable<CallOptions> calls) => new(
{%- if cookiecutter.files.bundle %}
        FromPfx(options),
{%- else %}
        FromPem(options.Certificate, options.Key),
{%- endif %}
        calls.Select(call => call.Roots).Distinct().ToDictionary(path => path, Certificates),
        Certificates(options.Intermediates));

    /// <summary>Whether an exception says that a file is missing or damaged.</summary>
    public static bool IsUnusable(Exception exception) =>
        exception is IOException or UnauthorizedAccessException or CryptographicException or JsonException or ArgumentException;
{%- if cookiecutter.files.bundle %}

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
{%- else %}

    /// <param name="chain">A file with the leaf, then the CAs above it up to below the root.</param>
    [SuppressMessage("Reliability", "CA2000", Justification = "The context takes the certificate over.")]
    private static SslStreamCertificateContext FromPem(string chain, string key)
    {
        var leaf = X509Certificate2.CreateFromPemFile(chain, key);
        var certificates = Certificates(chain);
        certificates.RemoveAt(0);
        return SslStreamCertificateContext.Create(leaf, certificates, offline: true);
    }
{%- endif %}

    private static X509Certificate2Collection Certificates(string path)
    {
        var certificates = new X509Certificate2Collection();
        certificates.ImportFromPemFile(path);
        return certificates;
    }
}
