namespace Service.Security;

/// <summary>
/// Puts the guard before everything that the application adds, routing and its short circuits included: what a startup
/// filter adds runs first, wherever in App.cs the rest is written.
/// </summary>
internal sealed partial class GuardedPipeline(IConfiguration configuration, ILogger<GuardedPipeline> logger) : IStartupFilter
{
    public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next)
    {
        // It was once here, and who sets it there believes that it counts.
        foreach (var section in (string[])["Tls", "Calls"])
        {
            if (configuration.GetSection(section).Exists())
            {
                LogNotRead(section, MutualTlsOptions.FileName);
            }
        }

        return app =>
        {
            app.UseMiddleware<PlainConnections>();
            app.UseMiddleware<AccessLog>();
            app.UseMiddleware<CallerGuard>();
            app.UseMiddleware<OwnAnswers>();
            next(app);
        };
    }

    [LoggerMessage(EventId = 7, EventName = "NotRead", Level = LogLevel.Warning,
        Message = "The configuration (appsettings, environment or command line) has a section {Section}, which is not read: {File} alone decides who gets in")]
    private partial void LogNotRead(string section, string file);
}
