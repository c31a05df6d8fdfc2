using System.Net.Security;
{% block usings %}using System.Security.Cryptography;
{% endblock %}using System.Security.Cryptography.X509Certificates;

namespace {% block namespace %}{% endblock %};

/// <summary>
/// The rules for one server's certificate, made new for each connection: SslStream adds to the policy what the server
/// sends, and a policy keeps the time it was made at.
/// </summary>
internal sealed class ServerCertificateValidation(TlsMaterial material, TlsOptions options, CallOptions call)
{
{% block fields %}    private const string ServerAuthentication = "1.3.6.1.5.5.7.3.1";{% endblock %}

    /// <summary>Null until a certificate was seen.</summary>
    public bool? Accepted { get; private set; }

    /// <summary>Why the certificate was not accepted.</summary>
    public string Reason { get; private set; } = "";

{% block policy %}    public X509ChainPolicy Policy()
    {
        var policy = new X509ChainPolicy
        {
            // These roots alone: the system's store has no say in which server is trusted.
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            // A certificate must not be able to make this process fetch URLs of its choice.
            DisableCertificateDownloads = true,
            RevocationMode = options.Revocation == "none" ? X509RevocationMode.NoCheck : X509RevocationMode.Online,
            RevocationFlag = X509RevocationFlag.ExcludeRoot,
            UrlRetrievalTimeout = TimeSpan.FromSeconds(5),
        };
        if (options.OnUnavailable == "allow")
        {
            // Who cannot be looked up passes; who is known to be revoked never does.
            policy.VerificationFlags = X509VerificationFlags.IgnoreEndRevocationUnknown | X509VerificationFlags.IgnoreCertificateAuthorityRevocationUnknown;
        }

        policy.ApplicationPolicy.Add(new Oid(ServerAuthentication));
        policy.CustomTrustStore.AddRange(material.Roots[call.Roots]);
        policy.ExtraStore.AddRange(material.Intermediates);
        return policy;
    }{% endblock %}

    /// <summary>What this returns decides alone, so every error found in the chain or the name must end in false.</summary>
    public bool Accept(object sender, X509Certificate? presented, X509Chain? chain, SslPolicyErrors errors)
    {
        Reason = Complaint(presented as X509Certificate2, chain, errors);
        Accepted = Reason.Length == 0;
        return Accepted.Value;
    }
{%- block lookup %}{% endblock %}

    private string Complaint(X509Certificate2? certificate, X509Chain? chain, SslPolicyErrors errors)
    {
        if (certificate is null || chain is null)
        {
            return "it sent no certificate";
        }

        // Where there is no DNS name, .NET takes the common name for one, which RFC 9525 6.3 forbids.
        if (errors.HasFlag(SslPolicyErrors.RemoteCertificateNameMismatch) || !certificate.MatchesHostname(call.ServerName, allowCommonName: false))
        {
            return "its certificate is for another name";
        }

        if (errors != SslPolicyErrors.None)
        {
            return $"its certificate does not pass: {string.Join(", ", chain.ChainStatus.Select(status => status.Status))}";
        }

        // RFC 5280 4.2.1.12: a certificate without extended key usage is for everything, which is not wanted here.
        if (!certificate.Extensions.OfType<X509EnhancedKeyUsageExtension>().Any())
        {
            return "its certificate does not say that it is for servers";
        }

{% block verified %}{% endblock %}        // Several servers may share a name such as localhost; the identity is one server's own.
        return call.Identity is null || UriName.Of(certificate) == call.Identity ? "" : $"its certificate is not that of {call.Identity}";
    }
}
