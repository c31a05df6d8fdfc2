using System.Text.Json;
using System.Text.Json.Serialization;

namespace Service.Security;

/// <summary>
/// mutual-tls.json as a value: what decides who gets in. It is read from this one file and from no other source of
/// configuration, so that no other file, variable or argument can replace a part of it.
/// </summary>
/// <param name="Name">What the service is called in its topology.</param>
/// <param name="Listen">Where mutual TLS is served, as host:port. LISTEN in the environment moves it.</param>
{%- if cookiecutter.health %}
/// <param name="Health">Where <c>/healthz</c> is answered in plain HTTP, as host:port; empty: nowhere. HEALTH in the environment moves it.</param>
{%- endif %}
{%- if cookiecutter.calls %}
/// <param name="Calls">The servers that this one may call, by name.</param>
{%- endif %}
internal sealed record MutualTlsOptions(
    string Name,
    string Listen,
{%- if cookiecutter.health %}
    string Health,
{%- endif %}
{%- if cookiecutter.calls %}
    IReadOnlyDictionary<string, CallOptions> Calls,
{%- endif %}
    TlsOptions Tls)
{
    public const string FileName = "mutual-tls.json";

    /// <summary>The folder that paths are relative to.</summary>
    [JsonIgnore]
    public string Folder { get; private init; } = "";

    /// <exception cref="IOException">The file is missing or cannot be read.</exception>
    /// <exception cref="JsonException">It is damaged, or a key is unknown or missing.</exception>
    /// <exception cref="ArgumentException">A value is none that its key takes.</exception>
    public static MutualTlsOptions Load(string folder)
    {
        try
        {
            var read = StrictJson.Read<MutualTlsOptions>(Path.Combine(folder, FileName));
            TlsChoices.Check(read.Tls);
            return read with
            {
                Folder = folder,
                Listen = Moved("LISTEN") ?? read.Listen,
{%- if cookiecutter.health %}
                Health = Moved("HEALTH") ?? read.Health,
{%- endif %}
            };
        }
        catch (Exception exception) when (exception is JsonException or ArgumentException)
        {
            throw new JsonException($"{FileName}: {exception.Message}", exception);
        }
    }

    private static string? Moved(string variable) => Environment.GetEnvironmentVariable(variable) is { Length: > 0 } moved ? moved : null;
}

/// <summary>The TLS profile, and where its files lie, relative to the project.</summary>
/// <param name="MinVersion">The least protocol: TLSv1.2 or TLSv1.3.</param>
/// <param name="CipherSuites">
/// The cipher suites by their IANA names, which are those of <c>TlsCipherSuite</c>. Empty: those of OpenSSL, whose
/// choice for TLS 1.3 needs no narrowing. With a list .NET resumes no session, since it then caches no SSL context.
/// </param>
/// <param name="Revocation">Whether a caller's certificate is looked up at its issuer: none, crl or ocsp.</param>
/// <param name="OnUnavailable">What becomes of a caller that cannot be looked up: refuse, or allow.</param>
{%- if cookiecutter.files.bundle %}
/// <param name="BundlePassword">A file with the password of the bundle. PFX_PASSWORD in the environment is used instead where it is set.</param>
{%- endif %}
/// <param name="Roots">The root CAs that callers' chains must end at.</param>
/// <param name="Intermediates">The CAs between those roots and the callers.</param>
/// <param name="Allowed">Who may call.</param>
internal sealed record TlsOptions(
    string MinVersion,
    IReadOnlyList<string> CipherSuites,
    string Revocation,
    string OnUnavailable,
{%- if cookiecutter.files.bundle %}
    string Bundle,
    string BundlePassword,
{%- else %}
    string Certificate,
    string Key,
{%- endif %}
    string Roots,
    string Intermediates,
{%- if cookiecutter.calls %}
    string ClientCertificate,
    string ClientKey,
{%- endif %}
    string Allowed)
{
    [JsonIgnore]
    public bool LooksUp => Revocation != "none";

    [JsonIgnore]
    public bool AllowsWhoCannotBeLookedUp => OnUnavailable == "allow";
}
{%- if cookiecutter.calls %}

/// <summary>One server that may be called: where it is dialled, and who it must prove to be.</summary>
/// <param name="Dial">Where it is dialled, as host:port. CALL_NAME in the environment moves it.</param>
/// <param name="ServerName">The name that its certificate must carry.</param>
/// <param name="Identity">The identity (URI) that its certificate must carry; null: its name is all that is asked of it.</param>
/// <param name="Roots">The root CAs that vouch for it, and for no other server.</param>
internal sealed record CallOptions(string Dial, string ServerName, string? Identity, string Roots);
{%- endif %}
