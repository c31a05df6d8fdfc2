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
public sealed record TlsMaterial(
    SslStreamCertificateContext Server,
    X509Certificate2Collection Roots,
    X509Certificate2Collection Intermediates,
    AllowList Allowed)
{
    /// <exception cref="CryptographicException">A file is damaged, or a key does not belong to its certificate.</exception>
    public static TlsMaterial From(TlsFiles files, TlsOptions options) => new(
        Named(options.Certificate, () => FromPem(files.Text(options.Certificate), files.Text(options.Key), Certificates(files.Text(options.Roots)))),
        Named(options.Roots, () => Certificates(files.Text(options.Roots))),
        Named(options.Intermediates, () => Certificates(files.Text(options.Intermediates))),
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

    /// <param name="chain">The leaf, then the CAs above it up to below the root.</param>
    /// <param name="stapledUpTo">
    /// Roots, where an OCSP response is to be stapled: .NET fetches one only for a chain that reaches its root, which it does not send.
    /// </param>
    private static SslStreamCertificateContext FromPem(string chain, string key, X509Certificate2Collection? stapledUpTo = null)
    {
        var leaf = X509Certificate2.CreateFromPem(chain, key);
        var certificates = Certificates(chain);
        certificates.RemoveAt(0);
        certificates.AddRange(stapledUpTo ?? []);
        return SslStreamCertificateContext.Create(leaf, certificates, offline: stapledUpTo is null);
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
