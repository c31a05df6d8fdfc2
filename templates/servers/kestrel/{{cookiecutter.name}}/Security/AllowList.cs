using System.Text.Json;

namespace Service.Security;

/// <summary>One caller: its identity, and the CA that must have signed it. The two are only worth something together.</summary>
/// <param name="Gateway">Whether it speaks for others, so that its X-Client-Subject, X-Client-Issuer and X-Client-Roles are trusted.</param>
internal sealed record AllowedCaller(
    string Name, string Identity, string Issuer, string IssuerKeySha256, bool Gateway, IReadOnlyList<string>? Roles = null)
{
    /// <summary>What it may be here.</summary>
    public IReadOnlyList<string> Roles { get; } = Roles ?? [];
}

/// <summary>tls/allowed.json: who may call.</summary>
internal sealed record AllowList(IReadOnlyList<AllowedCaller> Callers)
{
    private static readonly JsonSerializerOptions Strict = new(JsonSerializerDefaults.Strict)
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
    };

    public static AllowList Parse(ReadOnlySpan<byte> json) =>
        JsonSerializer.Deserialize<AllowList>(json, Strict) ?? throw new JsonException("the allow list is null");

    /// <summary>By its URI, or else by one of its DNS names.</summary>
    public AllowedCaller? Find(VerifiedCertificate certificate) => certificate.Identities
        .Select(identity => Callers.FirstOrDefault(caller => caller.Identity == identity && caller.IssuerKeySha256 == certificate.IssuerKeySha256))
        .FirstOrDefault(caller => caller is not null);
}
