using System.Text.Json;
using Service.Security;

namespace Service;

/// <summary>What <c>GET /</c> answers: who serves, and who called.</summary>
/// <param name="Caller">The identity (URI) in the caller's certificate.</param>
/// <param name="OnBehalfOf">Who stands behind the caller, where the caller is a gateway of this service.</param>
public sealed record Answer(string Server, string Greeting, string Caller, OnBehalfOf? OnBehalfOf)
{
    public static JsonNamingPolicy Naming => JsonNamingPolicy.SnakeCaseLower;
}

/// <summary>Why a request was not served.</summary>
public sealed record Refusal(string Error);
