// Calls the server that is named, at the URL that is given, or every server that this client may call.
using Client;

// .NET caches CRLs and OCSP responses under HOME and believes them until they end: a cache of its own, shared with nobody.
// Whoever starts several side by side gives each its own by SERVICE_HOME.
var home = Environment.GetEnvironmentVariable("SERVICE_HOME") is { Length: > 0 } given ? given : Path.GetFullPath(".home");
Environment.SetEnvironmentVariable("HOME", home);

try
{
    var options = ClientOptions.Load("appsettings.json");
    if (!options.TryChoose(args, out var calls, out var complaint))
    {
        Console.Error.WriteLine(complaint);
        return (int)Outcome.Usage;
    }

    var caller = new Caller(options.Tls, TlsMaterial.From(options.Tls));
    var outcome = Outcome.Answered;
    foreach (var call in calls)
    {
        var result = await caller.CallAsync(call);
        (result.Outcome == Outcome.Answered ? Console.Out : Console.Error).WriteLine(result.Text);
        outcome = outcome == Outcome.Answered ? result.Outcome : outcome;
    }

    return (int)outcome;
}
catch (Exception exception) when (TlsMaterial.IsUnusable(exception))
{
    Console.Error.WriteLine($"This client cannot be used as it lies here: {exception.Message}");
    return (int)Outcome.Failed;
}
