// The service: who may call is decided in Security/, before any endpoint runs. Endpoints are added here.
using Service;
using Service.Security;

var builder = WebApplication.CreateSlimBuilder(args);

// .NET caches CRLs and OCSP responses under HOME and believes them until they end: a cache of its own, shared with nobody.
Environment.SetEnvironmentVariable("HOME", Path.Combine(builder.Environment.ContentRootPath, ".home"));

var options = builder.Configuration.Get<ServiceOptions>() ?? throw new InvalidOperationException("appsettings.json is empty");
builder.Services.AddSingleton(options);
builder.Services.ConfigureHttpJsonOptions(json => json.SerializerOptions.PropertyNamingPolicy = Answer.Naming);
builder.AddMutualTls(options);

var app = builder.Build();

app.UseMutualTls();

app.MapGet("/", (HttpContext http) => new Answer(options.Service.Name, options.Service.Greeting, http.Caller(), http.OnBehalfOf()));
app.MapAccounts();

app.Run();
