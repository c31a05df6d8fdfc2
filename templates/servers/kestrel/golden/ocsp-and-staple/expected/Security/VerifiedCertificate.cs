using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Service.Security;

/// <summary>What is known of a caller once its chain is verified: a feature of its connection.</summary>
/// <param name="Identity">The one URI among its names; null where there is not exactly one.</param>
/// <param name="IssuerKeySha256">Of the CA that signed it, as found in the verified chain: a name could be another CA's as well.</param>
/// <param name="NotAfter">A connection may outlive the certificate that opened it.</param>
public sealed record VerifiedCertificate(string? Identity, string IssuerKeySha256, DateTimeOffset NotAfter)
{
    public static VerifiedCertificate From(X509Certificate2 certificate, X509Certificate2 signer) => new(
        UriName.Of(certificate),
        Convert.ToHexStringLower(SHA256.HashData(signer.PublicKey.ExportSubjectPublicKeyInfo())),
        new DateTimeOffset(certificate.NotAfter));
}
