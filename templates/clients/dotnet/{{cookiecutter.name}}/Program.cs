// Calls the server that is named, at the URL that is given, or every server that this client may call.
using Client;

try
{
    // Paths are relative to the client's own folder, whatever folder it is started from.
    Directory.SetCurrentDirectory(OwnFolder.Find());

    // .NET caches CRLs and OCSP responses under HOME and uses them until they expire: a cache of its own, shared with nobody.
    // To start several side by side, give each its own by SERVICE_HOME.
    var home = Environment.GetEnvironmentVariable("SERVICE_HOME") is { Length: > 0 } given ? given : Path.GetFullPath(".home");
    Environment.SetEnvironmentVariable("HOME", home);

    var options = ClientOptions.Load();
    if (!options.TryChoose(args, out var calls, out var complaint))
    {
        await Console.Error.WriteLineAsync(complaint);
        return (int)Outcome.Usage;
    }

    var caller = new Caller(options.Tls, TlsMaterial.From(options.Tls, options.Calls));
    var outcome = Outcome.Answered;
    foreach (var call in calls)
    {
        var result = await caller.CallAsync(call);
        await (result.Outcome == Outcome.Answered ? Console.Out : Console.Error).WriteLineAsync(result.Text);
        outcome = outcome == Outcome.Answered ? result.Outcome : outcome;
    }

    return (int)outcome;
}
catch (Exception exception) when (TlsMaterial.IsUnusable(exception))
{
    await Console.Error.WriteLineAsync($"This client cannot be used as it lies here: {exception.Message}");
    return (int)Outcome.Failed;
}
