using System.Net.Security;
using System.Net.Sockets;
using Service.Security;

namespace Service;

/// <summary>Calls other servers with this service's client certificate, and takes none for the one that is meant but itself.</summary>
public sealed class Calls(TlsMaterialStore store, ServiceOptions options, IConfiguration configuration)
{
    private readonly TlsProfile _profile = new(options.Tls);

    /// <returns>What came back; 404 for an unknown name, 502 where the server is not to be trusted, refuses or is not there.</returns>
    public async Task<IResult> CallAsync(string name, CancellationToken cancelled)
    {
        if (!options.Calls.TryGetValue(name, out var call))
        {
            return Results.NotFound(new Refusal("this service does not call a server of that name"));
        }

        var target = new Uri($"https://{DialNow(name, call)}");
        var validation = new ServerCertificateValidation(store.Current, options.Tls, call.Identity);
        // A handler for each call: it uses the certificates of this moment. A service that calls often keeps one for each TlsMaterial.
        using var client = new HttpClient(HandlerFor(target, validation)) { Timeout = TimeSpan.FromSeconds(15) };
        try
        {
            using var answer = await client.GetAsync(new UriBuilder(Uri.UriSchemeHttps, call.ServerName, target.Port).Uri, cancelled);
            var body = await answer.Content.ReadAsStringAsync(cancelled);
            return Results.Text(body, answer.Content.Headers.ContentType?.ToString(), statusCode: (int)answer.StatusCode);
        }
        catch (Exception exception) when (!cancelled.IsCancellationRequested && exception is HttpRequestException or OperationCanceledException or IOException)
        {
            return Results.Json(new Refusal($"{name}: {Explain(validation, exception)}"), statusCode: StatusCodes.Status502BadGateway);
        }
    }

    private string DialNow(string name, CallOptions call) =>
        configuration[$"CALL_{name.ToUpperInvariant().Replace('-', '_')}"] is { Length: > 0 } moved ? moved : call.Dial;

    private SocketsHttpHandler HandlerFor(Uri target, ServerCertificateValidation validation) => new()
    {
        AllowAutoRedirect = false,
        // The certificate is for the server itself; a proxy of the environment has no part in this.
        UseProxy = false,
        SslOptions = new SslClientAuthenticationOptions
        {
            ClientCertificateContext = store.Current.Client,
            CertificateChainPolicy = validation.Policy(),
            RemoteCertificateValidationCallback = validation.Accept,
            EnabledSslProtocols = _profile.Protocols,
            CipherSuitesPolicy = _profile.CipherSuites,
        },
        ConnectCallback = async (_, cancelled) =>
        {
            var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            try
            {
                await socket.ConnectAsync(target.IdnHost, target.Port, cancelled);
                return new NetworkStream(socket, ownsSocket: true);
            }
            catch
            {
                socket.Dispose();
                throw;
            }
        },
    };

    /// <summary>Our own verdict comes first; after it, a connection that ends is the server's verdict on us.</summary>
    private static string Explain(ServerCertificateValidation validation, Exception exception) => (validation.Accepted, exception) switch
    {
        (false, _) => $"I do not trust the server: {validation.Reason}",
        (_, OperationCanceledException) => "not reachable: it did not answer in time",
        (true, _) => "the server refused me",
        (_, HttpRequestException { HttpRequestError: HttpRequestError.ConnectionError or HttpRequestError.NameResolutionError }) =>
            $"not reachable: {exception.GetBaseException().Message}",
        _ => $"the handshake failed: {exception.GetBaseException().Message}",
    };
}
