using System.Text.Json;
using Service.Security;

namespace Service;

/// <summary>
/// What this service is for. This file is yours: it is written once, and then never touched. Program.cs calls it, and lets nobody
/// reach what it adds who may not call, whatever the path, the policy or the middleware.
/// </summary>
internal static class App
{
    /// <summary>Services of your own: controllers, hubs, health checks, policies. Packages are in App.props.</summary>
    public static void AddServices(WebApplicationBuilder builder) =>
        builder.Services.ConfigureHttpJsonOptions(json => json.SerializerOptions.PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower);

    /// <summary>Endpoints and middleware of your own. Paths below /.mtls/ (and /call/NAME, where this service calls others) do not come here.</summary>
    public static void Map(WebApplication app)
    {
        var about = app.Configuration.GetSection("Service").Get<DescriptionOptions>() ?? new DescriptionOptions();

        // The caller is the User of the request, and http.Caller() its identity.
        app.MapGet("/", (HttpContext http) => new Answer(about.Name, about.Greeting, http.Caller(), http.Roles(), http.OnBehalfOf()));
    }
}

/// <summary>What <c>GET /</c> answers: who serves, and who called.</summary>
/// <param name="Caller">The identity (URI) in the caller's certificate.</param>
/// <param name="Roles">What the caller may be here.</param>
/// <param name="OnBehalfOf">The caller for which a gateway of this service calls.</param>
internal sealed record Answer(string Server, string Greeting, string Caller, IReadOnlyList<string> Roles, OnBehalfOf? OnBehalfOf);

/// <summary>What the service says of itself: the section Service of appsettings.json.</summary>
internal sealed class DescriptionOptions
{
    public string Name { get; init; } = "";

    public string Greeting { get; init; } = "";
}
