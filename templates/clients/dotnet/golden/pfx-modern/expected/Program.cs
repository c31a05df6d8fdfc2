// Calls the server that is named, at the URL that is given, or every server that this client may call.
using Client;

// .NET caches CRLs and OCSP responses under HOME and believes them until they end: a cache of its own, shared with nobody.
Environment.SetEnvironmentVariable("HOME", Path.GetFullPath(".home"));

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
