using System.Net;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Service.Security;

/// <summary>Wires mutual TLS into the host: the listener, the handshake, the guard before every request, and the caller as <c>User</c>.</summary>
internal static class MutualTls
{
    public static void AddMutualTls(this WebApplicationBuilder builder, MutualTlsOptions options)
    {
        RefuseOtherTls(builder.Configuration);
        var services = builder.Services;
        services.AddSingleton(options);
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton<TlsMaterialStore>();
        services.AddHostedService(provider => provider.GetRequiredService<TlsMaterialStore>());
        services.AddSingleton<ClientCertificateValidation>();
        services.AddSingleton<RevocationLookups>();
        services.AddSingleton<CallerConnections>();
        services.AddHostedService(provider => provider.GetRequiredService<CallerConnections>());
{%- if cookiecutter.calls %}
        services.AddSingleton<Calls>();
{%- endif %}
{%- if cookiecutter.staple %}
        services.AddHostedService<StapleUpkeep>();
{%- endif %}

        // AddAuthentication would also bring data protection, which writes keys of its own to the disk.
        services.AddAuthenticationCore(authentication =>
        {
            authentication.DefaultScheme = CallerAuthenticationHandler.Scheme;
            authentication.AddScheme<CallerAuthenticationHandler>(CallerAuthenticationHandler.Scheme, displayName: null);
        });
        services.AddTransient<CallerAuthenticationHandler>();
        services.AddWebEncoders();

        // GuardedPipeline decides who gets in. These policies are for whoever looks for them where ASP.NET Core keeps them.
        var callers = new AuthorizationPolicyBuilder().RequireClaim(CallerClaims.Allowed).Build();
        services.AddAuthorizationBuilder().SetDefaultPolicy(callers).SetFallbackPolicy(callers);

        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            var validation = kestrel.ApplicationServices.GetRequiredService<ClientCertificateValidation>();
            var connections = kestrel.ApplicationServices.GetRequiredService<CallerConnections>();
            Listen(kestrel, options.Listen, listener =>
            {
                // HTTP/3 would bring another TLS stack, with its own way of asking for certificates.
                listener.Protocols = HttpProtocols.Http1AndHttp2;
                listener.UseHttps(new TlsHandshakeCallbackOptions
                {
                    OnConnection = connection => ValueTask.FromResult(validation.OptionsFor(connection.Connection)),
                });
                listener.Use(next => connection => connections.ServeAsync(connection, next));
            });
{%- if cookiecutter.health %}
            if (!string.IsNullOrEmpty(options.Health))
            {
                Listen(kestrel, options.Health, listener => listener.Protocols = HttpProtocols.Http1);
            }
{%- endif %}
        });
    }

    /// <summary>The guard before all startup filters, those that the application has added by now too: they run inside it.</summary>
    public static void PutGuardFirst(this WebApplicationBuilder builder) =>
        builder.Services.Insert(0, ServiceDescriptor.Transient<IStartupFilter, GuardedPipeline>());

    /// <summary>An endpoint of TLS that a setting adds would ask nobody for a certificate, and Kestrel ends by a stack trace over it.</summary>
    /// <exception cref="IOException">There is one.</exception>
    private static void RefuseOtherTls(ConfigurationManager configuration)
    {
        foreach (var endpoint in configuration.GetSection("Kestrel:Endpoints").GetChildren())
        {
            if (endpoint["Url"] is { } url && url.StartsWith("https:", StringComparison.OrdinalIgnoreCase))
            {
                throw new IOException(
                    $"{endpoint.Path}:Url (in appsettings.json or the environment) is {url}, and TLS is served where {MutualTlsOptions.FileName} says, and nowhere else: take that endpoint out");
            }
        }
    }

    private static void Listen(KestrelServerOptions kestrel, string address, Action<ListenOptions> configure)
    {
        if (IPEndPoint.TryParse(address, out var endpoint) && address.EndsWith($":{endpoint.Port}", StringComparison.Ordinal))
        {
            kestrel.Listen(endpoint, configure);
            return;
        }

        var target = new Uri($"tcp://{address}");
        foreach (var resolved in Dns.GetHostAddresses(target.Host))
        {
            kestrel.Listen(resolved, target.Port, configure);
        }
    }
}
