namespace Service;

/// <summary>
/// appsettings.json as a value. Configuration keys ignore case, so LISTEN in the environment move the service.
/// </summary>
public sealed class ServiceOptions
{
    /// <summary>Where mutual TLS is served, as host:port.</summary>
    public string Listen { get; init; } = "";

    public DescriptionOptions Service { get; init; } = new();

    public TlsOptions Tls { get; init; } = new();
}

/// <summary>What the service says of itself.</summary>
public sealed class DescriptionOptions
{
    public string Name { get; init; } = "";

    public string Greeting { get; init; } = "";
}

/// <summary>The TLS profile, and where its files lie, relative to the project.</summary>
public sealed class TlsOptions
{
    /// <summary>The least protocol: TLSv1.2 or TLSv1.3.</summary>
    public string MinVersion { get; init; } = "TLSv1.3";

    /// <summary>
    /// The cipher suites by their IANA names, which are those of <c>TlsCipherSuite</c>. Empty: those of OpenSSL, whose
    /// choice for TLS 1.3 needs no narrowing. With a list .NET resumes no session, since it then caches no SSL context.
    /// </summary>
    public string[] CipherSuites { get; init; } = [];

    /// <summary>Whether a caller's certificate is looked up at its issuer: none, crl or ocsp.</summary>
    public string Revocation { get; init; } = "none";

    /// <summary>What becomes of a caller that cannot be looked up: refuse, or allow.</summary>
    public string OnUnavailable { get; init; } = "refuse";

    public string Certificate { get; init; } = "";

    public string Key { get; init; } = "";

    /// <summary>The root CAs that callers' chains must end at.</summary>
    public string Roots { get; init; } = "";

    /// <summary>The CAs between those roots and the callers.</summary>
    public string Intermediates { get; init; } = "";

    /// <summary>Who may call.</summary>
    public string Allowed { get; init; } = "";
}
