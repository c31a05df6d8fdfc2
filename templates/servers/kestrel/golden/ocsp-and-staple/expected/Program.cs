// The service: who may call is decided in Security/, before any endpoint runs. Endpoints are added here.
using Service;
using Service.Security;

var builder = WebApplication.CreateSlimBuilder(args);

// .NET caches CRLs and OCSP responses under HOME and believes them until they end: a cache of its own, shared with nobody.
// Whoever starts several services side by side gives each its own by SERVICE_HOME.
var home = Environment.GetEnvironmentVariable("SERVICE_HOME") is { Length: > 0 } given ? given : Path.Combine(builder.Environment.ContentRootPath, ".home");
Environment.SetEnvironmentVariable("HOME", home);

try
{
    var options = builder.Configuration.Get<ServiceOptions>() ?? throw new ArgumentException("appsettings.json is empty");
    builder.Services.AddSingleton(options);
    builder.Services.ConfigureHttpJsonOptions(json => json.SerializerOptions.PropertyNamingPolicy = Answer.Naming);
    builder.AddMutualTls(options);

    var app = builder.Build();

    app.UseMutualTls();

    app.MapGet("/", (HttpContext http) => new Answer(options.Service.Name, options.Service.Greeting, http.Caller(), http.OnBehalfOf()));
    app.MapAccounts();

    app.Run();
    return 0;
}
catch (Exception exception) when (TlsMaterial.IsUnusable(exception))
{
    Console.Error.WriteLine($"This service cannot start as it lies here: {exception.Message}");
    return 1;
}
