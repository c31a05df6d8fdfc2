using System.Net;
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Connections;

namespace Service.Security;

/// <summary>
/// The rules of one handshake: which certificate is shown, and which certificates of callers are taken. Whether they are
/// revoked is asked right after it (<see cref="CallerConnections"/>): what runs in a handshake cannot wait without holding a thread.
/// Who among those may call is the allow list's, and is decided in HTTP (<see cref="CallerGuard"/>).
/// </summary>
internal sealed partial class ClientCertificateValidation(
    TlsMaterialStore store, MutualTlsOptions options, ILogger<ClientCertificateValidation> logger)
{
    private readonly TlsProfile _profile = new(options.Tls);

    /// <summary>Made new for each connection, so that each uses the material of its moment.</summary>
    public SslServerAuthenticationOptions OptionsFor(ConnectionContext connection)
    {
        var material = store.Current;
        return new SslServerAuthenticationOptions
        {
            ServerCertificateContext = material.Server,
            ClientCertificateRequired = true,
            CertificateChainPolicy = ChainRules.PolicyFor(ChainRules.ForClients, material.Roots, material.Intermediates, X509RevocationMode.NoCheck),
            RemoteCertificateValidationCallback = (_, certificate, chain, errors) => Accept(connection, certificate, chain, errors),
            EnabledSslProtocols = _profile.Protocols,
            CipherSuitesPolicy = _profile.CipherSuites,
            AllowRenegotiation = false,
        };
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

        if (!ChainRules.Names(certificate, ChainRules.ForClients))
        {
            LogRefused(connection.RemoteEndPoint, "the certificate does not say that it is for clients");
            return false;
        }

        if (chain.ChainElements.Count < 2)
        {
            LogRefused(connection.RemoteEndPoint, "the certificate is a trust anchor itself");
            return false;
        }

        connection.Features.Set(VerifiedCertificate.From(certificate, chain));
        return true;
    }

    // Kestrel closes a refused connection without a TLS alert, so this line is the only place where the reason is told.
    [LoggerMessage(EventId = 1, EventName = "ClientRefused", Level = LogLevel.Warning, Message = "Refused {Peer}: {Reason}")]
    private partial void LogRefused(EndPoint? peer, string reason);
}
