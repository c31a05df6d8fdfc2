using System.Text.Json;

namespace Service.Security;

/// <summary>Who serves, who called, and on whose behalf.</summary>
/// <param name="Caller">The identity (URI) in the caller's certificate.</param>
/// <param name="Roles">What the caller may be here.</param>
/// <param name="OnBehalfOf">The caller for which a gateway of this service calls.</param>
internal sealed record WhoCalled(string Server, string Caller, IReadOnlyList<string> Roles, OnBehalfOf? OnBehalfOf);

/// <summary>Why a request was not served.</summary>
internal sealed record Refusal(string Error)
{
    public IResult As(int status) => Results.Json(this, OwnAnswers.Json, statusCode: status);
}

/// <summary>
/// Answers the paths that every server of a topology has, right behind the guard: whatever the application routes,
/// demands or rewrites, who called can be asked here.
/// </summary>
{%- if cookiecutter.calls %}
internal sealed class OwnAnswers(RequestDelegate next, MutualTlsOptions options, Calls calls)
{%- else %}
internal sealed class OwnAnswers(RequestDelegate next, MutualTlsOptions options)
{%- endif %}
{
    public const string CallerPath = "/.mtls/caller";

    /// <summary>Of what is answered here; the application may set others for what it answers.</summary>
    public static JsonSerializerOptions Json { get; } = new(JsonSerializerDefaults.Web) { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    public Task InvokeAsync(HttpContext http)
    {
        var path = http.Request.Path;
        if (path == CallerPath)
        {
            return AnswerAsync(http, () => Task.FromResult(Results.Json(http.WhoCalled(options.Name), Json)));
        }
{%- if cookiecutter.calls %}

        if (path.StartsWithSegments("/call", out var name) && name.HasValue)
        {
            return AnswerAsync(http, () => calls.CallAsync(name.Value![1..], CallerPath, http.RequestAborted));
        }
{%- endif %}

        return next(http);
    }

    private static async Task AnswerAsync(HttpContext http, Func<Task<IResult>> answer)
    {
        if (HttpMethods.IsGet(http.Request.Method) || HttpMethods.IsHead(http.Request.Method))
        {
            await (await answer()).ExecuteAsync(http);
            return;
        }

        http.Response.Headers.Allow = "GET, HEAD";
        await new Refusal("only GET is answered").As(StatusCodes.Status405MethodNotAllowed).ExecuteAsync(http);
    }
}
