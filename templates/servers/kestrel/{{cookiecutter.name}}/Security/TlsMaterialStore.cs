using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;

namespace Service.Security;

/// <summary>
/// Holds the material that new connections use, and replaces it when tls/ changes. The contents are compared, once a
/// second and on HUP: file system events miss a swapped symbolic link, a recreated folder and a mounted secret.
/// </summary>
internal sealed partial class TlsMaterialStore : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);
{%- if cookiecutter.staple %}

    private static readonly TimeSpan StapleArrivesWithin = TimeSpan.FromSeconds(2);
{%- endif %}

    private readonly TlsOptions _options;
{%- if cookiecutter.calls %}
    private readonly IReadOnlyCollection<CallOptions> _calls;
{%- endif %}
    private readonly string _root;
    private readonly ILogger<TlsMaterialStore> _logger;
    private readonly Lock _reading = new();
    private readonly PosixSignalRegistration? _hangUp;
    private string _seen;
    private string? _complaint;
    private volatile TlsMaterial _current;

    public TlsMaterialStore(MutualTlsOptions options, ILogger<TlsMaterialStore> logger)
    {
        _options = options.Tls;
{%- if cookiecutter.calls %}
        _calls = [.. options.Calls.Values];
{%- endif %}
        _root = options.Folder;
        _logger = logger;
        var files = ReadFiles();
        _current = TlsMaterial.From(files, _options{% if cookiecutter.calls %}, _calls{% endif %});
        _seen = files.Digest;
        // Before anything listens: without a handler HUP would end the process.
        _hangUp = OperatingSystem.IsWindows() ? null : PosixSignalRegistration.Create(PosixSignal.SIGHUP, OnHangUp);
    }

    /// <summary>The newest material that could be loaded whole. Older ones live on in the connections that use them.</summary>
    public TlsMaterial Current => _current;

    public override void Dispose()
    {
        _hangUp?.Dispose();
        base.Dispose();
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            Refresh();
        }
    }

    private void OnHangUp(PosixSignalContext signal)
    {
        signal.Cancel = true;
        Refresh();
    }

    /// <summary>
    /// A key and its certificate are renamed into place one after the other: a pair that does not match yet is tried
    /// again when it has changed, and the old one serves meanwhile.
    /// </summary>
    [SuppressMessage("Design", "CA1031", Justification = "Whatever is wrong with the files must not end the watch.")]
    private void Refresh()
    {
        lock (_reading)
        {
            try
            {
                var files = ReadFiles();
                if (files.Digest == _seen)
                {
                    return;
                }

                _seen = files.Digest;
{%- if cookiecutter.staple %}
                var newest = TlsMaterial.From(files, _options{% if cookiecutter.calls %}, _calls{% endif %});
                // Its OCSP response is on its way, and .NET does not say when it has come: nobody shall meet a handshake without it.
                Thread.Sleep(StapleArrivesWithin);
                _current = newest;
{%- else %}
                _current = TlsMaterial.From(files, _options{% if cookiecutter.calls %}, _calls{% endif %});
{%- endif %}
                _complaint = null;
                LogReloaded();
            }
            catch (Exception exception)
            {
                // Said once, not every second.
                if (_complaint != exception.Message)
                {
                    _complaint = exception.Message;
                    LogKept(exception.Message);
                }
            }
        }
    }

    private TlsFiles ReadFiles()
    {
        List<string> paths =
        [
{%- if cookiecutter.files.bundle %}
            _options.Bundle,
{%- else %}
            _options.Certificate,
            _options.Key,
{%- endif %}
            _options.Roots,
            _options.Intermediates,
{%- if cookiecutter.calls %}
            _options.ClientCertificate,
            _options.ClientKey,
            .. _calls.Select(call => call.Roots).Distinct(),
{%- endif %}
            _options.Allowed,
        ];
{%- if cookiecutter.files.bundle %}
        if (string.IsNullOrEmpty(Environment.GetEnvironmentVariable("PFX_PASSWORD")))
        {
            paths.Add(_options.BundlePassword);
        }
{% endif %}
        return new TlsFiles(_root, paths);
    }

    [LoggerMessage(EventId = 2, EventName = "TlsReloaded", Level = LogLevel.Information, Message = "tls/ has changed and is in use")]
    private partial void LogReloaded();

    [LoggerMessage(EventId = 3, EventName = "TlsKept", Level = LogLevel.Error, Message = "tls/ has changed and cannot be used, what was loaded before serves on: {Reason}")]
    private partial void LogKept(string reason);
}
