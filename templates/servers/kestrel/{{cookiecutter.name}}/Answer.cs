using System.Text.Json;
using Service.Security;

namespace Service;

/// <summary>What <c>GET /</c> answers: who serves, and who called.</summary>
/// <param name="Caller">The identity (URI) in the caller's certificate.</param>
/// <param name="OnBehalfOf">Whom the caller speaks for, where it is a gateway of this service.</param>
internal sealed record Answer(string Server, string Greeting, string Caller, IReadOnlyList<string> Roles, OnBehalfOf? OnBehalfOf)
{
    public static JsonNamingPolicy Naming => JsonNamingPolicy.SnakeCaseLower;
}

/// <summary>What the service says of itself: the section Service of appsettings.json.</summary>
internal sealed class DescriptionOptions
{
    public string Name { get; init; } = "";

    public string Greeting { get; init; } = "";
}
