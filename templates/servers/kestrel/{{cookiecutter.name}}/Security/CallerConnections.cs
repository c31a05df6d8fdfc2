using System.Collections.Concurrent;
using System.Net;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http.Features;

namespace Service.Security;

/// <summary>
/// Looks up each caller between its handshake and its first request, and again while its connection stays open: a
/// connection ends soon after the certificate that opened it is revoked, expires or loses its
/// root, and a request that goes on and on ends soon after its caller is taken off the allow list.
/// </summary>
internal sealed partial class CallerConnections(
    TlsMaterialStore store, RevocationLookups lookups, MutualTlsOptions options, TimeProvider clock, ILogger<CallerConnections> logger)
    : BackgroundService
{
    /// <summary>How many connections may wait for a look-up. Where a responder hangs, no more than these pile up.</summary>
    private const int MostWaiting = 256;

    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(15);

    private readonly ConcurrentDictionary<ConnectionContext, VerifiedCertificate> _open = new();
    private TlsMaterial? _checkedAgainst;
    private int _waiting;

    /// <summary>Serves HTTP on a connection whose handshake is over, or ends it. The caller learns no reason: the log tells it.</summary>
    public async Task ServeAsync(ConnectionContext connection, ConnectionDelegate next)
    {
        var certificate = connection.Features.GetRequiredFeature<VerifiedCertificate>();
        if (options.Tls.LooksUp && await ComplaintAsync(connection, certificate) is { } reason)
        {
            LogRefused(connection.RemoteEndPoint, reason);
            connection.Abort();
            return;
        }

        _open[connection] = certificate;
        try
        {
            await next(connection);
        }
        finally
        {
            _open.TryRemove(connection, out _);
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, clock);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            await EndWhatNoLongerHoldsAsync();
        }
    }

    private async Task<string?> ComplaintAsync(ConnectionContext connection, VerifiedCertificate certificate)
    {
        if (Interlocked.Increment(ref _waiting) > MostWaiting)
        {
            Interlocked.Decrement(ref _waiting);
            return "too many callers wait for a look-up";
        }

        try
        {
            var verdict = await LookUpAsync(certificate.Chain, store.Current);
            if (!verdict.IsAccepted(options.Tls.AllowsWhoCannotBeLookedUp))
            {
                return verdict.ToString();
            }

            if (verdict.IsUnknown)
            {
                LogUnchecked(connection.RemoteEndPoint, verdict.ToString());
            }

            return null;
        }
        finally
        {
            Interlocked.Decrement(ref _waiting);
        }
    }

    private Task<ChainVerdict> LookUpAsync(PresentedChain chain, TlsMaterial material) =>
        lookups.LookUpAsync(chain, material.Roots, material.Intermediates);

    /// <summary>Looks at each certificate once, however many connections it holds open.</summary>
    private async Task EndWhatNoLongerHoldsAsync()
    {
        var material = store.Current;
        var isNew = material != _checkedAgainst;
        _checkedAgainst = material;
        foreach (var (connection, certificate) in _open)
        {
            // The next request of such a caller is refused in HTTP. One that goes on and on would never come to that.
            if (certificate.IsServing && material.Allowed.Find(certificate) is null)
            {
                End(connection, "the caller is no longer allowed");
            }
        }

        await Task.WhenAll(_open.GroupBy(pair => pair.Value.Chain.Key).Select(async connections =>
        {
            var certificate = connections.First().Value;
            // Without look-ups a chain that held goes on holding until its certificate or tls/ says otherwise.
            if (!options.Tls.LooksUp && !isNew && clock.GetUtcNow() <= certificate.NotAfter)
            {
                return;
            }

            var verdict = await LookUpAsync(certificate.Chain, material);
            if (!verdict.IsAccepted(options.Tls.AllowsWhoCannotBeLookedUp))
            {
                foreach (var (connection, _) in connections)
                {
                    End(connection, verdict.ToString());
                }
            }
        }));
    }

    private void End(ConnectionContext connection, string reason)
    {
        LogEnded(connection.RemoteEndPoint, reason);
        connection.Abort(new ConnectionAbortedException(reason));
    }

    [LoggerMessage(EventId = 1, EventName = "ClientRefused", Level = LogLevel.Warning, Message = "Refused {Peer}: {Reason}")]
    private partial void LogRefused(EndPoint? peer, string reason);

    [LoggerMessage(EventId = 4, EventName = "ClientUnchecked", Level = LogLevel.Warning, Message = "Let in {Peer} as Tls:OnUnavailable says: {Reason}")]
    private partial void LogUnchecked(EndPoint? peer, string reason);

    [LoggerMessage(EventId = 8, EventName = "ConnectionEnded", Level = LogLevel.Warning, Message = "Ended the connection of {Peer}: {Reason}")]
    private partial void LogEnded(EndPoint? peer, string reason);
}
