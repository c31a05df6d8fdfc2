using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Service.Security;

/// <summary>By which rules a peer's chain is built.</summary>
internal static class ChainRules
{
    public const string ForClients = "1.3.6.1.5.5.7.3.2";
    public const string ForServers = "1.3.6.1.5.5.7.3.1";

    /// <summary>Made new for each chain: SslStream adds to it what the peer sends, and it keeps the time it was made at.</summary>
    public static X509ChainPolicy PolicyFor(
        string purpose, X509Certificate2Collection roots, X509Certificate2Collection intermediates, X509RevocationMode revocation)
    {
        var policy = new X509ChainPolicy
        {
            // The roots of this service alone: the system's store has no say.
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            // A certificate must not be able to make the service fetch URLs of its choice.
            DisableCertificateDownloads = true,
            RevocationMode = revocation,
            RevocationFlag = X509RevocationFlag.ExcludeRoot,
            UrlRetrievalTimeout = TimeSpan.FromSeconds(5),
        };
        policy.ApplicationPolicy.Add(new Oid(purpose));
        policy.CustomTrustStore.AddRange(roots);
        // A peer may send its leaf alone, and a resumed session always brings the leaf alone.
        policy.ExtraStore.AddRange(intermediates);
        return policy;
    }

    /// <summary>RFC 5280 4.2.1.12: a certificate without extended key usage is for everything, which is not wanted here.</summary>
    public static bool Names(X509Certificate2 certificate, string purpose) =>
        certificate.Extensions.OfType<X509EnhancedKeyUsageExtension>()
            .Any(usage => usage.EnhancedKeyUsages.Cast<Oid>().Any(oid => oid.Value == purpose));
}

/// <summary>What it takes to build a peer's chain once more after its handshake.</summary>
/// <param name="Leaf">Its certificate in DER.</param>
/// <param name="Others">The certificates above it, in DER: it may have sent some that are not in tls/.</param>
internal sealed record PresentedChain(string Purpose, byte[] Leaf, IReadOnlyList<byte[]> Others)
{
    /// <summary>Equal for one certificate and purpose alone.</summary>
    public string Key { get; } = $"{Purpose} {Convert.ToHexString(SHA256.HashData(Leaf))}";

    public static PresentedChain From(string purpose, X509Certificate2 leaf, X509Chain chain) =>
        new(purpose, leaf.RawData, [.. chain.ChainElements.Skip(1).Select(element => element.Certificate.RawData)]);

    /// <summary>Builds it. With <see cref="X509RevocationMode.Online"/> this fetches, and does not return before that is over.</summary>
    public ChainVerdict Build(X509Certificate2Collection roots, X509Certificate2Collection intermediates, X509RevocationMode revocation)
    {
        using var chain = new X509Chain { ChainPolicy = ChainRules.PolicyFor(Purpose, roots, intermediates, revocation) };
        var others = Others.Select(X509CertificateLoader.LoadCertificate).ToArray();
        using var leaf = X509CertificateLoader.LoadCertificate(Leaf);
        try
        {
            chain.ChainPolicy.ExtraStore.AddRange(others);
            chain.Build(leaf);
            return new ChainVerdict(chain.ChainStatus.Aggregate(X509ChainStatusFlags.NoError, (all, status) => all | status.Status));
        }
        finally
        {
            Array.ForEach(others, certificate => certificate.Dispose());
        }
    }
}

/// <summary>What was found wrong with a chain.</summary>
internal readonly record struct ChainVerdict(X509ChainStatusFlags Problems)
{
    private const X509ChainStatusFlags Unknown = X509ChainStatusFlags.RevocationStatusUnknown | X509ChainStatusFlags.OfflineRevocation;

    /// <summary>Whether asking elsewhere could say more. Who is known to be revoked is, whatever is not known beside it.</summary>
    public bool IsUnknown => (Problems & Unknown) != 0 && (Problems & X509ChainStatusFlags.Revoked) == 0;

    /// <summary>Who cannot be looked up passes where that is asked for; who is known to be revoked never does.</summary>
    public bool IsAccepted(bool allowUnknown) => (Problems & ~(allowUnknown ? Unknown : 0)) == 0;

    public override string ToString() => Problems.ToString();
}
