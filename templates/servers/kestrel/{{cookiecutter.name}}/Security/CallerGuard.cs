namespace Service.Security;

/// <summary>A caller that may call: its certificate, and its entry on the allow list.</summary>
internal sealed record AdmittedCaller(VerifiedCertificate Certificate, AllowedCaller Entry);

/// <summary>
/// Refuses every caller that is not on the allow list, for every path and method, before routing and before any policy. The list
/// is asked at each request: a caller that is taken off it is refused on connections that are open already.
/// </summary>
internal sealed class CallerGuard(RequestDelegate next, TlsMaterialStore store, TimeProvider clock)
{
    public async Task InvokeAsync(HttpContext http)
    {
        var certificate = http.Features.Get<VerifiedCertificate>();
        if (Complaint(certificate) is { } reason)
        {
            await RefuseAsync(http, reason);
            return;
        }

        if (store.Current.Allowed.Find(certificate!) is not { } entry)
        {
            await RefuseAsync(http, $"{certificate!.Identity} may not call this service with a certificate of this issuer");
            return;
        }

        http.Features.Set(new AdmittedCaller(certificate!, entry));
        using (certificate!.Serve())
        {
            await next(http);
        }
    }

    private string? Complaint(VerifiedCertificate? certificate) => certificate switch
    {
        null => "no verified certificate came with the connection",
        { Identity: null } => "the certificate does not carry exactly one URI name",
        _ when certificate.NotAfter < clock.GetUtcNow() => "the certificate has expired since the connection was opened",
        _ => null,
    };

    private static Task RefuseAsync(HttpContext http, string reason) =>
        new Refusal(reason).As(StatusCodes.Status403Forbidden).ExecuteAsync(http);
}
