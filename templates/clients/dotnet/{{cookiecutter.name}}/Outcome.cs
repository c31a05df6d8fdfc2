namespace Client;

/// <summary>How the calls went: the exit code. Of several calls that failed, the first one's.</summary>
internal enum Outcome
{
    Answered = 0,
    Failed = 1,
    Usage = 2,
    ServerNotTrusted = 3,
    RefusedByServer = 4,
    NotReachable = 5,
}

/// <param name="Text">The answer, or one sentence on why there is none.</param>
internal sealed record Result(Outcome Outcome, string Text);
