using System.Net;
using System.Text.Encodings.Web;
using System.Text.Json;
using Microsoft.AspNetCore.Http.Features;

namespace Service.Security;

/// <summary>One line for each request, refused ones too: the client's address, its identity, the request, the status.</summary>
internal sealed partial class AccessLog(RequestDelegate next, ILogger<AccessLog> logger)
{
    private static readonly JsonSerializerOptions Quoting = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public async Task InvokeAsync(HttpContext http)
    {
        var client = new IPEndPoint(http.Connection.RemoteIpAddress ?? IPAddress.None, http.Connection.RemotePort);
        var target = http.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget;
        var request = Quoted($"{http.Request.Method} {target} {http.Request.Protocol}");
        var isServed = false;
        try
        {
            await next(http);
            isServed = true;
        }
        finally
        {
            var identity = Quoted(http.Features.Get<VerifiedCertificate>()?.Identity);
            var status = isServed || http.Response.HasStarted ? http.Response.StatusCode : StatusCodes.Status500InternalServerError;
            LogRequest(client, identity, request, status);
        }
    }

    /// <summary>A caller chooses these words: none of them may end a line or look like another field.</summary>
    private static string Quoted(string? text) => text is null ? "none" : JsonSerializer.Serialize(text, Quoting);

    [LoggerMessage(EventId = 6, EventName = "Request", Level = LogLevel.Information, Message = "{Client} {Identity} {Request} {Status}")]
    private partial void LogRequest(IPEndPoint client, string identity, string request, int status);
}
