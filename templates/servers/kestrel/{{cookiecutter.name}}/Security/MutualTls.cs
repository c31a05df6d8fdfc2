using System.Net;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;

namespace Service.Security;

/// <summary>Wires mutual TLS into the host: the listener, the handshake, authentication and authorization.</summary>
public static class MutualTls
{
    public static void AddMutualTls(this WebApplicationBuilder builder, ServiceOptions options)
    {
        var services = builder.Services;
        services.AddSingleton<TlsMaterialStore>();
        services.AddHostedService(provider => provider.GetRequiredService<TlsMaterialStore>());
        services.AddSingleton<ClientCertificateValidation>();
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

        // As the fallback it also guards the endpoint that somebody adds tomorrow and forgets to guard.
        var callers = new AuthorizationPolicyBuilder().RequireClaim(CallerClaims.Drawn).Build();
        services.AddAuthorizationBuilder().SetDefaultPolicy(callers).SetFallbackPolicy(callers);

        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            var validation = kestrel.ApplicationServices.GetRequiredService<ClientCertificateValidation>();
            Listen(kestrel, options.Listen, listener =>
            {
                // HTTP/3 would bring another TLS stack, with its own way of asking for certificates.
                listener.Protocols = HttpProtocols.Http1AndHttp2;
                listener.UseHttps(new TlsHandshakeCallbackOptions
                {
                    OnConnection = connection => ValueTask.FromResult(validation.OptionsFor(connection.Connection)),
                });
            });
{%- if cookiecutter.health %}
            if (!string.IsNullOrEmpty(options.Health))
            {
                Listen(kestrel, options.Health, listener => listener.Protocols = HttpProtocols.Http1);
            }
{%- endif %}
        });
    }

    public static void UseMutualTls(this WebApplication app)
    {
        // Plain connections end here, wherever they came in: nothing behind this line is ever served without TLS.
        app.MapWhen(http => http.Features.Get<ITlsHandshakeFeature>() is null, plain => plain.Run(AnswerInPlainAsync));
        app.UseAuthentication();
        app.UseAuthorization();
    }

    private static Task AnswerInPlainAsync(HttpContext http)
    {
{%- if cookiecutter.health %}
        if (HttpMethods.IsGet(http.Request.Method) && http.Request.Path == "/healthz")
        {
            return http.Response.WriteAsync("ok");
        }
{% endif %}
        http.Response.StatusCode = StatusCodes.Status404NotFound;
        return Task.CompletedTask;
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
