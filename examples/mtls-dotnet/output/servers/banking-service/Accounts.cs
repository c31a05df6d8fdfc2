using Service.Security;

namespace Service;

/// <summary>One account of the bank.</summary>
internal sealed record Account(string Number, string Holder, decimal Balance, string Currency);

/// <summary>What the banking service is for.</summary>
internal static class Accounts
{
    private static readonly Dictionary<string, Account> Ledger = new(StringComparer.Ordinal)
    {
        ["1001"] = new("1001", "Ada Lovelace", 1234.50m, "EUR"),
        ["1002"] = new("1002", "Alan Turing", 88.00m, "EUR"),
    };

    public static void MapAccounts(this IEndpointRouteBuilder app)
    {
        // Only allowed callers come this far. RequireAuthorization says so where a reader looks for it; a policy can narrow it.
        var accounts = app.MapGroup("/accounts").RequireAuthorization();

        accounts.MapGet("/", () => Ledger.Values);
        accounts.MapGet("/{number}", (string number) => Ledger.TryGetValue(number, out var account)
            ? Results.Ok(account)
            : Results.NotFound(new Refusal("there is no such account")));
    }
}
