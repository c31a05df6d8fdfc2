using System.Diagnostics.CodeAnalysis;
using System.Text.Json;

namespace Client;

/// <summary>mutual-tls.json as a value: which servers there are, and what is demanded of them. No other file, variable or argument replaces a part of it; CALL_NAME moves a server.</summary>
internal sealed record ClientOptions(TlsOptions Tls, IReadOnlyList<CallOptions> Calls)
{
    public const string FileName = "mutual-tls.json";

    /// <summary>Reads it from the current folder.</summary>
    /// <exception cref="IOException">The file is missing or cannot be read.</exception>
    /// <exception cref="JsonException">It is damaged, a key is unknown or missing, or a value is none that its key takes.</exception>
    public static ClientOptions Load()
    {
        try
        {
            var read = StrictJson.Read<ClientOptions>(FileName);
            TlsChoices.Check(read.Tls);
            return read;
        }
        catch (Exception exception) when (exception is JsonException or ArgumentException)
        {
            throw new JsonException($"{FileName}: {exception.Message}", exception);
        }
    }

    /// <summary>What the command line asks for: nothing (every call), a server, or a server and the URL to find it at.</summary>
    public bool TryChoose(string[] args, [NotNullWhen(true)] out IReadOnlyList<CallOptions>? calls, [NotNullWhen(false)] out string? complaint)
    {
        (calls, complaint) = (null, null);
        if (args.Length == 0)
        {
            calls = Calls;
            return true;
        }

        if (Calls.FirstOrDefault(call => call.Name == args[0]) is not { } call)
        {
            complaint = $"There is no server \"{args[0]}\" here; this client calls {(Calls.Count == 0 ? "nobody" : string.Join(", ", Calls.Select(known => known.Name)))}";
            return false;
        }

        if (args.Length == 1)
        {
            calls = [call];
            return true;
        }

        if (args.Length > 2 || !Uri.TryCreate(args[1], UriKind.Absolute, out var url) || url.Scheme != Uri.UriSchemeHttps)
        {
            complaint = "usage: run.sh [SERVER [URL]], where URL begins with https://";
            return false;
        }

        // The URL says where to go and what to ask for. Who must answer there stays what mutual-tls.json says.
        calls = [call with { Dial = $"{url.Host}:{url.Port}", Path = url.PathAndQuery }];
        return true;
    }
}

/// <summary>The TLS profile, and where the files lie, relative to the project.</summary>
/// <param name="MinVersion">The least protocol: TLSv1.2 or TLSv1.3.</param>
/// <param name="CipherSuites">By their IANA names, which are those of <c>TlsCipherSuite</c>. Empty: those of OpenSSL, whose choice for TLS 1.3 needs no narrowing.</param>
/// <param name="Revocation">Whether a server's certificate is looked up at its issuer: none, crl or ocsp.</param>
/// <param name="OnUnavailable">What becomes of a server that cannot be looked up: refuse, or allow.</param>
{%- if cookiecutter.files.bundle %}
/// <param name="BundlePassword">A file with the password of the bundle. PFX_PASSWORD in the environment is used instead where it is set.</param>
{%- endif %}
/// <param name="Intermediates">The CAs between the servers and their roots.</param>
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
    string Intermediates);

/// <summary>One server that may be called: where it is, and who it must prove to be.</summary>
/// <param name="Dial">host:port of the TCP connection. CALL_NAME in the environment moves it.</param>
/// <param name="ServerName">The name that its certificate must carry.</param>
/// <param name="Identity">The identity (URI) that its certificate must carry; null: its name is all that is asked of it.</param>
/// <param name="Roots">The root CAs that vouch for it, and for no other server.</param>
internal sealed record CallOptions(string Name, string Dial, string ServerName, string? Identity, string Roots, string Path = "/")
{
    /// <summary>Where to dial: what the environment says, else mutual-tls.json.</summary>
    public string DialNow => Environment.GetEnvironmentVariable($"CALL_{Name.ToUpperInvariant().Replace('-', '_')}") is { Length: > 0 } moved ? moved : Dial;
}
