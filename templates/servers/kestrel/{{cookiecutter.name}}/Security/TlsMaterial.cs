using System.Diagnostics.CodeAnalysis;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;

namespace Service.Security;

/// <summary>Everything that tls/ says, as of one moment. Never changed: newer files make a new one.</summary>
/// <param name="Server">The certificate of this service with its chain.</param>
/// <param name="Roots">Where callers' chains must end.</param>
/// <param name="Intermediates">The CAs between those roots and the callers.</param>
{%- if cookiecutter.calls %}
/// <param name="Client">The certificate that this service calls others with.</param>
/// <param name="ClientRoots">Where the chains of called servers must end, by the files that say so.</param>
{%- endif %}
internal sealed record TlsMaterial(
    SslStreamCertificateContext Server,
    X509Certificate2Collection Roots,
    X509Certificate2Collection Intermediates,
{%- if cookiecutter.calls %}
    SslStreamCertificateContext Client,
    IReadOnlyDictionary<string, X509Certificate2Collection> ClientRoots,
{%- endif %}
    AllowList Allowed)
{
    /// <exception cref="CryptographicException">A file is damaged, or a key does not belong to its certificate.</exception>
    public static TlsMaterial From(TlsFiles files, TlsOptions options{% if cookiecutter.calls %}, IEnumerable<CallOptions> calls{% endif %}) => new(
{%- if cookiecutter.files.bundle %}
        Named(options.Bundle, () => FromPfx(files[options.Bundle], PasswordOf(files, options){% if cookiecutter.staple %}, Certificates(files.Text(options.Roots)){% endif %})),
{%- else %}
        Named(options.Certificate, () => FromPem(files.Text(options.Certificate), files.Text(options.Key){% if cookiecutter.staple %}, Certificates(files.Text(options.Roots)){% endif %})),
{%- endif %}
        Named(options.Roots, () => Certificates(files.Text(options.Roots))),
        Named(options.Intermediates, () => Certificates(files.Text(options.Intermediates))),
{%- if cookiecutter.calls %}
        Named(options.ClientCertificate, () => FromPem(files.Text(options.ClientCertificate), files.Text(options.ClientKey))),
        calls.Select(call => call.Roots).Distinct().ToDictionary(path => path, path => Named(path, () => Certificates(files.Text(path)))),
{%- endif %}
        Named(options.Allowed, () => AllowList.Parse(files[options.Allowed])));

    /// <summary>Whether an exception says that a file is missing or damaged, or that an address cannot be listened on.</summary>
    public static bool IsUnusable(Exception exception) => exception
        is IOException or UnauthorizedAccessException or CryptographicException or JsonException or ArgumentException
        or FormatException or SocketException;

    /// <summary>The framework's exceptions say what is wrong, and not with which file.</summary>
    private static T Named<T>(string path, Func<T> load)
    {
        try
        {
            return load();
        }
        catch (Exception exception) when (IsUnusable(exception))
        {
            throw new CryptographicException($"{path}: {exception.Message}", exception);
        }
    }
{%- if cookiecutter.files.bundle %}

{%- if cookiecutter.staple %}

    /// <param name="stapledUpTo">Roots. .NET fetches and staples an OCSP response only for a chain that reaches its root, which it does not send.</param>
    private static SslStreamCertificateContext FromPfx(byte[] bundle, string password, X509Certificate2Collection stapledUpTo)
{%- else %}

    private static SslStreamCertificateContext FromPfx(byte[] bundle, string password)
{%- endif %}
    {
        var certificates = X509CertificateLoader.LoadPkcs12Collection(bundle, password);
        var leaf = certificates.SingleOrDefault(certificate => certificate.HasPrivateKey)
            ?? throw new CryptographicException("the PFX must hold exactly one private key");
        certificates.Remove(leaf);
{%- if cookiecutter.staple %}
        certificates.AddRange(stapledUpTo);
        return SslStreamCertificateContext.Create(leaf, certificates, offline: false);
{%- else %}
        // offline: nothing is stapled, so nothing needs to be fetched.
        return SslStreamCertificateContext.Create(leaf, certificates, offline: true);
{%- endif %}
    }

    private static string PasswordOf(TlsFiles files, TlsOptions options) =>
        Environment.GetEnvironmentVariable("PFX_PASSWORD") is { Length: > 0 } password
            ? password
            : files.Text(options.BundlePassword).TrimEnd('\r', '\n');
{%- endif %}
{%- if cookiecutter.calls or not cookiecutter.files.bundle %}

    /// <param name="chain">The leaf, then the CAs above it up to below the root.</param>
{%- if cookiecutter.staple and not cookiecutter.files.bundle %}
    /// <param name="stapledUpTo">
    /// Roots, where an OCSP response is to be stapled: .NET fetches one only for a chain that reaches its root, which it does not send.
    /// </param>
    [SuppressMessage("Reliability", "CA2000", Justification = "The context takes the certificate over.")]
    private static SslStreamCertificateContext FromPem(string chain, string key, X509Certificate2Collection? stapledUpTo = null)
    {
        var leaf = X509Certificate2.CreateFromPem(chain, key);
        var certificates = Certificates(chain);
        certificates.RemoveAt(0);
        certificates.AddRange(stapledUpTo ?? []);
        return SslStreamCertificateContext.Create(leaf, certificates, offline: stapledUpTo is null);
    }
{%- else %}
    [SuppressMessage("Reliability", "CA2000", Justification = "The context takes the certificate over.")]
    private static SslStreamCertificateContext FromPem(string chain, string key)
    {
        var leaf = X509Certificate2.CreateFromPem(chain, key);
        var certificates = Certificates(chain);
        certificates.RemoveAt(0);
        // offline: nothing is stapled, so nothing needs to be fetched.
        return SslStreamCertificateContext.Create(leaf, certificates, offline: true);
    }
{%- endif %}
{%- endif %}

    private static X509Certificate2Collection Certificates(string pem)
    {
        var certificates = new X509Certificate2Collection();
        certificates.ImportFromPem(pem);
        return certificates;
    }
}

/// <summary>The bytes of all files at one moment, so that what was compared is what is loaded.</summary>
internal sealed class TlsFiles
{
    private readonly SortedDictionary<string, byte[]> _contents = new(StringComparer.Ordinal);

    /// <param name="root">The folder that the paths are relative to.</param>
    /// <exception cref="IOException">A file is missing or cannot be read.</exception>
    public TlsFiles(string root, IEnumerable<string> paths)
    {
        foreach (var path in paths)
        {
            _contents[path] = File.ReadAllBytes(Path.Combine(root, path));
        }

        Digest = Convert.ToHexString(SHA256.HashData([.. _contents.Values.SelectMany(SHA256.HashData)]));
    }

    /// <summary>Equal where all contents are.</summary>
    public string Digest { get; }

    public byte[] this[string path] => _contents[path];

    public string Text(string path) => Encoding.UTF8.GetString(_contents[path]);
}
