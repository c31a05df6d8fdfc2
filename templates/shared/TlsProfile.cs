using System.Diagnostics.CodeAnalysis;
using System.Net.Security;
using System.Security.Authentication;

namespace {% block namespace %}{% endblock %};

/// <summary>Protocols and cipher suites of the settings in the terms of SslStream.</summary>
internal sealed class TlsProfile
{
    [SuppressMessage("Security", "CA5398", Justification = "The protocols are the topology's choice.")]
    public TlsProfile(TlsOptions options)
    {
        Protocols = options.MinVersion == TlsChoices.ProtocolTls12 ? SslProtocols.Tls12 | SslProtocols.Tls13 : SslProtocols.Tls13;

        // On Windows the suites are the system's, by group policy, and .NET cannot choose among them.
        if (options.CipherSuites is not [] && !OperatingSystem.IsWindows())
        {
            CipherSuites = new CipherSuitesPolicy(options.CipherSuites.Select(Enum.Parse<TlsCipherSuite>));
        }
    }

    public SslProtocols Protocols { get; }

    /// <summary>Null: what the system allows.</summary>
    public CipherSuitesPolicy? CipherSuites { get; }
}
