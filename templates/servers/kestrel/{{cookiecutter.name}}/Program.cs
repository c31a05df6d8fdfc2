// Starts the service. Security/ decides who may call, before anything of App.cs sees a request: what is yours is added there.
using Service;
using Service.Security;

try
{
    var mutualTls = MutualTlsOptions.Load(OwnFolder.Find());

    // .NET caches CRLs and OCSP responses under HOME and uses them until they expire: a cache of its own, shared with nobody.
    // To start several services side by side, give each its own by SERVICE_HOME.
    var home = Environment.GetEnvironmentVariable("SERVICE_HOME") is { Length: > 0 } given ? given : Path.Combine(mutualTls.Folder, ".home");
    Environment.SetEnvironmentVariable("HOME", home);

    var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { Args = args, ContentRootPath = mutualTls.Folder });
    builder.AddMutualTls(mutualTls);
    App.AddServices(builder);
    builder.PutGuardFirst();

    var app = builder.Build();
    App.Map(app);

    await app.RunAsync();
    return 0;
}
catch (Exception exception) when (TlsMaterial.IsUnusable(exception))
{
    await Console.Error.WriteLineAsync($"This service cannot start as it lies here: {exception.Message}");
    return 1;
}
