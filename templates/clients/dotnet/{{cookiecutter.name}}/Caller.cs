using System.Net;
using System.Net.Security;
using System.Net.Sockets;

namespace Client;

/// <summary>Makes calls, and distinguishes which side refused.</summary>
internal sealed class Caller(TlsOptions options, TlsMaterial material)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(15);

    private readonly TlsProfile _profile = new(options);

    public async Task<Result> CallAsync(CallOptions call)
    {
        var validation = new ServerCertificateValidation(material, options, call);
        var target = new Uri($"https://{call.DialNow}");
        using var handler = HandlerFor(target, validation);
        using var client = new HttpClient(handler, disposeHandler: false) { Timeout = Patience };
        try
        {
            // The name in the URL is what SNI, the Host header and the check of the certificate go by.
            using var answer = await client.GetAsync(new Uri($"https://{Bracketed(call.ServerName)}:{target.Port}{call.Path}"));
            var body = (await answer.Content.ReadAsStringAsync()).Trim();
            return answer.StatusCode switch
            {
                HttpStatusCode.OK => new Result(Outcome.Answered, body),
                HttpStatusCode.Forbidden or HttpStatusCode.BadRequest => Refused(call, $"HTTP {(int)answer.StatusCode} {body}"),
                _ => new Result(Outcome.Failed, $"{call.Name}: the server answered HTTP {(int)answer.StatusCode} {body}"),
            };
        }
        catch (Exception exception) when (exception is HttpRequestException or OperationCanceledException or IOException)
        {
            return Explain(call, validation, exception);
        }
    }

    private SocketsHttpHandler HandlerFor(Uri target, ServerCertificateValidation validation) => new()
    {
        AllowAutoRedirect = false,
        // The certificate is for the server itself; a proxy of the environment has no part in this.
        UseProxy = false,
        ConnectTimeout = TimeSpan.FromSeconds(10),
        SslOptions = new SslClientAuthenticationOptions
        {
            ClientCertificateContext = material.Client,
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
    private static Result Explain(CallOptions call, ServerCertificateValidation validation, Exception exception) => (validation.Accepted, exception) switch
    {
        (false, _) => NotTrusted(call, validation.Reason),
        (_, OperationCanceledException) => NotReachable(call, "it did not answer in time"),
        (true, _) => Refused(call, Innermost(exception)),
        (_, HttpRequestException { HttpRequestError: HttpRequestError.ConnectionError or HttpRequestError.NameResolutionError }) =>
            NotReachable(call, Innermost(exception)),
        // OpenSSL's word for an error that the other side sent.
        (null, _) when Innermost(exception).Contains("alert", StringComparison.Ordinal) => Refused(call, Innermost(exception)),
        (null, _) => NotTrusted(call, $"it does not speak TLS as it must: {Innermost(exception)}"),
    };

    private static Result NotTrusted(CallOptions call, string reason) =>
        new(Outcome.ServerNotTrusted, $"{call.Name}: I do not trust the server: {reason}");

    private static Result Refused(CallOptions call, string reason) =>
        new(Outcome.RefusedByServer, $"{call.Name}: the server refused me: {reason}");

    private static Result NotReachable(CallOptions call, string reason) =>
        new(Outcome.NotReachable, $"{call.Name}: not reachable: {reason}");

    private static string Innermost(Exception exception) => exception.GetBaseException().Message.ReplaceLineEndings(" ");

    private static string Bracketed(string host) => IPAddress.TryParse(host, out var ip) && ip.AddressFamily == AddressFamily.InterNetworkV6 ? $"[{host}]" : host;
}
