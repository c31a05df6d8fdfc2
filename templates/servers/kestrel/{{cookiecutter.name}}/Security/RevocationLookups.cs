using System.Collections.Concurrent;
using System.Security.Cryptography.X509Certificates;

namespace Service.Security;

/// <summary>
/// Asks whether certificates are revoked, after the handshake and off the threads that serve: .NET fetches CRLs and OCSP
/// responses synchronously, and a source that accepts and never answers would otherwise hold a thread for each caller.
/// </summary>
internal sealed class RevocationLookups(MutualTlsOptions options, TimeProvider clock) : IDisposable
{
    private const int MostAtOnce = 8;

    private static readonly TimeSpan FailuresAreRememberedFor = TimeSpan.FromSeconds(10);

    private readonly SemaphoreSlim _free = new(MostAtOnce);
    private readonly ConcurrentDictionary<string, Lazy<Task<ChainVerdict>>> _underWay = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, Failure> _failures = new(StringComparer.Ordinal);

    /// <summary>
    /// Builds the chain again. What .NET has fetched before and still believes decides at once; only where that says nothing is
    /// anybody asked, once for each certificate however many connections it opens.
    /// </summary>
    public Task<ChainVerdict> LookUpAsync(PresentedChain chain, X509Certificate2Collection roots, X509Certificate2Collection intermediates)
    {
        var known = chain.Build(roots, intermediates, options.Tls.LooksUp ? X509RevocationMode.Offline : X509RevocationMode.NoCheck);
        if (!known.IsUnknown)
        {
            return Task.FromResult(known);
        }

        if (_failures.TryGetValue(chain.Key, out var failure) && clock.GetUtcNow() < failure.RememberedUntil)
        {
            return Task.FromResult(failure.Verdict);
        }

        return _underWay.GetOrAdd(chain.Key, _ => new(() => FetchAsync(chain, roots, intermediates))).Value;
    }

    public void Dispose() => _free.Dispose();

    private async Task<ChainVerdict> FetchAsync(PresentedChain chain, X509Certificate2Collection roots, X509Certificate2Collection intermediates)
    {
        await _free.WaitAsync();
        try
        {
            // A thread of its own: those of the pool, of which there may be two, go on serving.
            var verdict = await Task.Factory.StartNew(
                () => chain.Build(roots, intermediates, X509RevocationMode.Online),
                CancellationToken.None,
                TaskCreationOptions.LongRunning,
                TaskScheduler.Default);
            Remember(chain.Key, verdict);
            return verdict;
        }
        finally
        {
            _free.Release();
            _underWay.TryRemove(chain.Key, out _);
        }
    }

    private void Remember(string key, ChainVerdict verdict)
    {
        var now = clock.GetUtcNow();
        foreach (var (old, failure) in _failures)
        {
            if (failure.RememberedUntil <= now)
            {
                _failures.TryRemove(old, out _);
            }
        }

        if (verdict.IsUnknown)
        {
            _failures[key] = new Failure(verdict, now + FailuresAreRememberedFor);
        }
    }

    private sealed record Failure(ChainVerdict Verdict, DateTimeOffset RememberedUntil);
}
