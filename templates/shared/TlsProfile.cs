using System.Net.Security;
using System.Security.Authentication;

namespace {% block namespace %}{% endblock %};

/// <summary>Protocols and cipher suites of appsettings.json in the terms of SslStream.</summary>
public sealed class TlsProfile
{
    public TlsProfile(TlsOptions options)
    {
        Protocols = options.MinVersion switch
        {
            "TLSv1.2" => SslProtocols.Tls12 | SslProtocols.Tls13,
            "TLSv1.3" => SslProtocols.Tls13,
            var other => throw new ArgumentException($"appsettings.json: Tls:MinVersion is {other}, not TLSv1.2 or TLSv1.3"),
        };

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
