using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Connections;

namespace Service.Security;

/// <summary>
/// The rules of one handshake: which certificate is shown, and which certificates of callers are taken.
/// Who among those may call is the allow list's, and is decided in HTTP: see <see cref="CallerAuthenticationHandler"/>.
/// </summary>
public sealed partial class ClientCertificateValidation(
    TlsMaterialStore store, ServiceOptions options, ILogger<ClientCertificateValidation> logger)
{
    private const string ClientAuthentication = "1.3.6.1.5.5.7.3.2";

    private readonly TlsProfile _profile = new(options.Tls);

    /// <summary>Made anew for each connection, so that each uses the material of its moment.</summary>
    public SslServerAuthenticationOptions OptionsFor(ConnectionContext connection)
    {
        var material = store.Current;
        return new SslServerAuthenticationOptions
        {
            ServerCertificateContext = material.Server,
            ClientCertificateRequired = true,
            CertificateChainPolicy = PolicyFor(material),
            RemoteCertificateValidationCallback = (_, certificate, chain, errors) => Accept(connection, certificate, chain, errors),
            EnabledSslProtocols = _profile.Protocols,
            CipherSuitesPolicy = _profile.CipherSuites,
            AllowRenegotiation = false,
        };
    }

    /// <summary>SslStream adds to the policy what the caller sends, so no two connections may share one.</summary>
    private X509ChainPolicy PolicyFor(TlsMaterial material)
    {
        var policy = new X509ChainPolicy
        {
            // The roots of this service alone: the system's store has no say in who may call.
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            // A certificate must not be able to make the server fetch URLs of its choice.
            DisableCertificateDownloads = true,
            RevocationMode = options.Tls.Revocation == "none" ? X509RevocationMode.NoCheck : X509RevocationMode.Online,
            RevocationFlag = X509RevocationFlag.ExcludeRoot,
            UrlRetrievalTimeout = TimeSpan.FromSeconds(5),
        };
        if (options.Tls.OnUnavailable == "allow")
        {
            // Who cannot be looked up passes; who is known to be revoked never does.
            policy.VerificationFlags = X509VerificationFlags.IgnoreEndRevocationUnknown | X509VerificationFlags.IgnoreCertificateAuthorityRevocationUnknown;
        }

        policy.ApplicationPolicy.Add(new Oid(ClientAuthentication));
        policy.CustomTrustStore.AddRange(material.Roots);
        // A caller may send its leaf alone, and a resumed session always brings the leaf alone.
        policy.ExtraStore.AddRange(material.Intermediates);
        return policy;
    }

    /// <summary>What this returns decides alone, so every error found in the chain must end in false.</summary>
    private bool Accept(ConnectionContext connection, X509Certificate? presented, X509Chain? chain, SslPolicyErrors errors)
    {
        if (presented is not X509Certificate2 certificate || chain is null)
        {
            LogRefused(connection.RemoteEndPoint, "no certificate was sent");
            return false;
        }

        if (errors != SslPolicyErrors.None)
        {
            LogRefused(connection.RemoteEndPoint, string.Join(", ", chain.ChainStatus.Select(status => status.Status)));
            return false;
        }

        if (!IsForClients(certificate))
        {
            LogRefused(connection.RemoteEndPoint, "the certificate does not say that it is for clients");
            return false;
        }

        if (chain.ChainElements.Count < 2)
        {
            LogRefused(connection.RemoteEndPoint, "the certificate is a trust anchor itself");
            return false;
        }

        if (chain.ChainStatus.Length > 0)
        {
            LogUnchecked(connection.RemoteEndPoint, string.Join(", ", chain.ChainStatus.Select(status => status.Status)));
        }

        connection.Features.Set(VerifiedCertificate.From(certificate, signer: chain.ChainElements[1].Certificate));
        return true;
    }

    /// <summary>RFC 5280 4.2.1.12: a certificate without extended key usage is for everything, which is not wanted here.</summary>
    private static bool IsForClients(X509Certificate2 certificate) =>
        certificate.Extensions.OfType<X509EnhancedKeyUsageExtension>()
            .Any(usage => usage.EnhancedKeyUsages.Cast<Oid>().Any(oid => oid.Value == ClientAuthentication));

    // Kestrel closes a refused connection without a TLS alert, so this line is the only place where the reason is told.
    [LoggerMessage(EventId = 1, EventName = "ClientRefused", Level = LogLevel.Warning, Message = "Refused {Peer}: {Reason}")]
    private partial void LogRefused(System.Net.EndPoint? peer, string reason);

    [LoggerMessage(EventId = 4, EventName = "ClientUnchecked", Level = LogLevel.Warning, Message = "Let in {Peer} as Tls:OnUnavailable says: {Reason}")]
    private partial void LogUnchecked(System.Net.EndPoint? peer, string reason);
}
