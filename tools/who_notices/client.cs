// .NET's TLS: a line "PORT ROOT" in, "accepts" or "refuses REASON" out.
//
//     dotnet run client.cs <cases

#:property PublishAot=false

using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

while (Console.ReadLine() is { } line)
{
    var given = line.Split(' ');
    Console.WriteLine(Call(int.Parse(given[0]), given[1]));
}

static string Call(int port, string root)
{
    var policy = new X509ChainPolicy
    {
        TrustMode = X509ChainTrustMode.CustomRootTrust,
        RevocationMode = X509RevocationMode.NoCheck,
    };
    policy.CustomTrustStore.ImportFromPemFile(root);
    using var connection = new TcpClient("localhost", port);
    using var stream = new SslStream(connection.GetStream());
    try
    {
        stream.AuthenticateAsClient(new SslClientAuthenticationOptions
        {
            TargetHost = "localhost",
            CertificateChainPolicy = policy,
        });
        return "accepts";
    }
    catch (Exception refusal) when (refusal is AuthenticationException or IOException)
    {
        return "refuses " + refusal.Message.ReplaceLineEndings(" ");
    }
}
