using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Service.Security;

/// <summary>Everything that tls/ says, as of one moment. Never changed: newer files make a new one.</summary>
/// <param name="Server">The certificate of this service with its chain.</param>
/// <param name="Roots">Where callers' chains must end.</param>
/// <param name="Intermediates">The CAs between those roots and the callers.</param>
/// <param name="Client">The certificate that this service calls others with.</param>
/// <param name="ClientRoots">Where the chains of called servers must end.</param>
public sealed record TlsMaterial(
    SslStreamCertificateContext Server,
    X509Certificate2Collection Roots,
    X509Certificate2Collection Intermediates,
    SslStreamCertificateContext Client,
    X509Certificate2Collection ClientRoots,
    AllowList Allowed)
{
    /// <exception cref="CryptographicException">A file is damaged, or a key does not belong to its certificate.</exception>
    /// <exception cref="System.Text.Json.JsonException">The allow list is damaged.</exception>
    public static TlsMaterial From(TlsFiles files, TlsOptions options) => new(
        FromPem(files.Text(options.Certificate), files.Text(options.Key), offline: true),
        Certificates(files.Text(options.Roots)),
        Certificates(files.Text(options.Intermediates)),
        FromPem(files.Text(options.ClientCertificate), files.Text(options.ClientKey), offline: true),
        Certificates(files.Text(options.ClientRoots)),
        AllowList.Parse(files[options.Allowed]));

    /// <param name="chain">The leaf, then the CAs above it up to below the root.</param>
    /// <param name="offline">False: an OCSP response is fetched and stapled.</param>
    private static SslStreamCertificateContext FromPem(string chain, string key, bool offline)
    {
        var leaf = X509Certificate2.CreateFromPem(chain, key);
        var certificates = Certificates(chain);
        certificates.RemoveAt(0);
        return SslStreamCertificateContext.Create(leaf, certificates, offline);
    }

    private static X509Certificate2Collection Certificates(string pem)
    {
        var certificates = new X509Certificate2Collection();
        certificates.ImportFromPem(pem);
        return certificates;
    }
}

/// <summary>The bytes of all files at one moment, so that what was compared is what is loaded.</summary>
public sealed class TlsFiles
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
