using System.Net.Security;

namespace {% block namespace %}{% endblock %};

/// <summary>The words that the TLS settings may hold.</summary>
internal static class TlsChoices
{
    public const string ProtocolTls12 = "TLSv1.2";
    public const string ProtocolTls13 = "TLSv1.3";

    /// <exception cref="ArgumentException">A value is none that its key takes.</exception>
    public static void Check(TlsOptions options)
    {
        CheckOneOf(nameof(options.MinVersion), options.MinVersion, ProtocolTls12, ProtocolTls13);
        CheckOneOf(nameof(options.Revocation), options.Revocation, "none", "crl", "ocsp");
        CheckOneOf(nameof(options.OnUnavailable), options.OnUnavailable, "refuse", "allow");
        foreach (var suite in options.CipherSuites)
        {
            if (!Enum.GetNames<TlsCipherSuite>().Contains(suite, StringComparer.Ordinal))
            {
                throw new ArgumentException($"Tls:CipherSuites holds {suite}, which is no cipher suite that .NET knows");
            }
        }
    }

    private static void CheckOneOf(string key, string value, params ReadOnlySpan<string> known)
    {
        if (!known.Contains(value))
        {
            throw new ArgumentException($"Tls:{key} is \"{value}\", not {string.Join(", ", known!)}");
        }
    }
}
