// The service. Security/ decides who may call, before anything of this file sees a request. Endpoints are added here.
using Service;
using Service.Security;

try
{
    var mutualTls = MutualTlsOptions.Load(OwnFolder.Find());

    // .NET caches CRLs and OCSP responses under HOME and believes them until they end: a cache of its own, shared with nobody.
    // Whoever starts several services side by side gives each its own by SERVICE_HOME.
    var home = Environment.GetEnvironmentVariable("SERVICE_HOME") is { Length: > 0 } given ? given : Path.Combine(mutualTls.Folder, ".home");
    Environment.SetEnvironmentVariable("HOME", home);

    var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { Args = args, ContentRootPath = mutualTls.Folder });
    var about = builder.Configuration.GetSection("Service").Get<DescriptionOptions>() ?? new DescriptionOptions();
    builder.Services.ConfigureHttpJsonOptions(json => json.SerializerOptions.PropertyNamingPolicy = Answer.Naming);
    builder.AddMutualTls(mutualTls);

    var app = builder.Build();

    app.MapGet("/", (HttpContext http) => new Answer(about.Name, about.Greeting, http.Caller(), [], http.OnBehalfOf()));
    app.MapAccounts();

    await app.RunAsync();
    return 0;
}
catch (Exception exception) when (TlsMaterial.IsUnusable(exception))
{
    await Console.Error.WriteLineAsync($"This service cannot start as it lies here: {exception.Message}");
    return 1;
}
