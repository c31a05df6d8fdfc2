using System.Net;
using System.Net.Security;
using System.Net.Sockets;

namespace Service.Security;

/// <summary>
/// Keeps the stapled OCSP response from ageing. .NET fetches the next one by itself, but only when a handshake comes by in the
/// last five minutes of the one it has: after a quiet hour the first caller would find none. So the service now and then
/// shakes hands with itself.
/// </summary>
public sealed partial class StapleUpkeep(TlsMaterialStore store, ILogger<StapleUpkeep> logger) : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(5);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            try
            {
                await ShakeHandsAsync(store.Current.Server, stoppingToken);
            }
            catch (Exception exception) when (!stoppingToken.IsCancellationRequested)
            {
                LogFailed(exception.Message);
            }
        }
    }

    private static async Task ShakeHandsAsync(SslStreamCertificateContext own, CancellationToken cancelled)
    {
        using var listener = new TcpListener(IPAddress.Loopback, port: 0);
        listener.Start();
        using var calling = new TcpClient();
        await calling.ConnectAsync((IPEndPoint)listener.LocalEndpoint, cancelled);
        using var called = await listener.AcceptTcpClientAsync(cancelled);
        await using var client = new SslStream(calling.GetStream());
        await using var server = new SslStream(called.GetStream());
        await Task.WhenAll(
            server.AuthenticateAsServerAsync(new SslServerAuthenticationOptions { ServerCertificateContext = own }, cancelled),
            client.AuthenticateAsClientAsync(
                new SslClientAuthenticationOptions
                {
                    TargetHost = "localhost",
                    RemoteCertificateValidationCallback = (_, shown, _, _) => own.TargetCertificate.Equals(shown),
                },
                cancelled));
    }

    [LoggerMessage(EventId = 5, EventName = "StapleUpkeepFailed", Level = LogLevel.Warning, Message = "The stapled OCSP response could not be kept fresh: {Reason}")]
    private partial void LogFailed(string reason);
}
