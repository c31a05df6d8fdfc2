using Microsoft.AspNetCore.Connections.Features;

namespace Service.Security;

/// <summary>Ends what came without TLS, wherever it came in: nothing behind this is ever served in plain HTTP.</summary>
internal sealed class PlainConnections(RequestDelegate next)
{
    public Task InvokeAsync(HttpContext http) =>
        http.Features.Get<ITlsHandshakeFeature>() is null ? AnswerAsync(http) : next(http);

    private static Task AnswerAsync(HttpContext http)
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
}
