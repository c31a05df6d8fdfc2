"""The Markdown of what was measured, what templates declare and what the guide says, and its place in a document."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Iterable, Sequence

from caller import Refusal
from measure import Handshake, Measured
from methods import Scale, Source
from OpenSSL import SSL

from scaffold.kinds import catalogue
from scaffold.topology.model import OnUnavailable, RevocationCheck

HANDSHAKES, CALLERS, FETCHES, RENEWALS = 3_600, 100, 4, 1.5
"""An hour: calls, callers, runs of refresh.timer, and renewals of one certificate of 1 h, at two thirds of its life."""

GUIDE = {
    "CRL": ("❌", "High", "Low", "Low", "Medium"),
    "OCSP": ("✅", "Medium", "Medium", "Medium", "High"),
    "OCSP stapling": ("✅", "Low", "Medium", "High", "Low"),
    "short-lived": ("❌", "Low", "High", "High", "Low"),
}
"""The four rows of the guide's table, as they are: real-time, client load, server load, reliability, latency."""


def insert(text: str, document: str, name: str) -> str:
    """`document` with `text` between the markers of that name. Raises ValueError where it has none."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    before, found, rest = document.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"the document has no markers {begin.strip()} and {end}")
    return f"{before}{begin}\n{text}\n\n{end}{after}"


# --- What the templates declare --------------------------------------------------------------------------------------


def declared() -> str:
    """What each built-in template can do of revocation, from its own cookiecutter.json."""
    rows = []
    for role in ("server", "client"):
        for folder in sorted((catalogue.templates_folder() / f"{role}s").iterdir()):
            can = catalogue.load(folder, folder.name, builtin=True).capabilities
            staples = {"staple-file": "from a file", "staple": "fetches it itself"}
            staple = next((words for word, words in staples.items() if word in can.supports), "no")
            if role == "client":
                staple = "demands it" if "demands_staple" in can.supports else "does not ask"
            must = "–" if role == "client" else "yes" if "must_staple" in can.supports else "no"
            checks = ", ".join(one for one in RevocationCheck if one in can.check_revocation)
            otherwise = ", ".join(one for one in OnUnavailable if one in can.on_unavailable)
            callees = ", ".join(one for one in RevocationCheck if one in can.checks_callees - {RevocationCheck.NONE})
            rows.append((f"{role} `{folder.name}`", checks, callees or "no", otherwise, staple, must))
    head = (
        "template",
        "`check_revocation`",
        "checks servers that it calls",
        "`on_unavailable`",
        "staple",
        "`must_staple`",
    )
    return _table(head, rows, numbers=False)


# --- What was measured -----------------------------------------------------------------------------------------------


def tables(results: Sequence[Measured], scale: Scale, load: float, took: float) -> str:
    """All of it."""
    parts = (
        _conditions(scale, load, took),
        "## From `scaffold revoke` to the first refusal",
        _revocations(results, scale),
        "## While the publisher is down",
        _absences(results, scale),
        "## A handshake",
        _handshakes(results),
        "## Staying fresh, once",
        _upkeeps(results),
        "## An hour",
        _hours(results),
        "## Beside the guide",
        _beside(results, scale),
    )
    return "\n\n".join(parts)


def _conditions(scale: Scale, load: float, took: float) -> str:
    nginx = _said("nginx", "-v").rpartition("/")[2]
    openssl = " ".join(_said("openssl", "version").split()[:2])
    client = SSL.SSLeay_version(SSL.SSLEAY_VERSION).decode().split()[1]
    return (
        f"Measured in one run of {took:.0f} s on {os.cpu_count()} cores ({platform.machine()}, Linux) whose load was "
        f"{load:.1f} before it began, with nginx {nginx}, {openssl}, Python {platform.python_version()}; the client is "
        f"pyOpenSSL on OpenSSL {client}, TLS 1.3, P-256 keys, one intermediate. Trust the ratios, not the seconds.\n\n"
        f"Handshakes, with the default lives of CRLs and answers: {scale.calls} calls with each method and as many of "
        f"plain mutual TLS, taken in turns. For all other tables hours are scaled to seconds: a CRL lives "
        f"{scale.crl} s, an OCSP response {scale.ocsp} s, a short-lived certificate {scale.lifetime} s, "
        f"and refresh.sh runs every {scale.refresh} s. Beside OCSP, nginx’ CRLs are left at a day, so that the answer "
        "expires first."
    )


def _said(*command: str) -> str:
    path = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin"
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"PATH": path})
    return (done.stdout + done.stderr).strip()


def _revocations(results: Sequence[Measured], scale: Scale) -> str:
    rows = []
    for one in results:
        seen = one.revocation
        refused = f"never (watched for {seen.watched:.0f} s)" if seen.refused is None else f"{seen.refused.after:.1f}"
        reason = "–" if seen.refused is None else _short(seen.refused.reason)
        rows.append((one.method.title, f"{seen.command:.1f}", refused, reason, *_bound(one, scale)))
        if one.method.source == "ocsp":
            rows.append(_of_who_asks(seen.other))
        if one.method.source == "staple":
            still = "never: still in" if seen.other is None else f"{seen.other.after:.1f}"
            rows.append(("OCSP stapling, caller that demands none", "", still, "–", "no check", "never"))
    head = ("method", "the command, s", "first refusal, s", "its words", "what it waited for", "by default, at most")
    return _table(head, rows, numbers=False)


def _of_who_asks(refused: Refusal | None) -> tuple[str, ...]:
    after, reason = ("never", "–") if refused is None else (f"{refused.after:.1f}", _short(refused.reason))
    return ("OCSP, asked at every handshake", "", after, reason, "publisher: 1 s", "seconds")


def _bound(one: Measured, scale: Scale) -> tuple[str, str]:
    match one.method.source:
        case "crl":
            return f"publisher: 1 s, refresh.sh: {scale.refresh} s", "16 minutes (the timer)"
        case "staple":
            return f"publisher: 1 s, refresh.sh: {scale.refresh} s", "16 minutes (the timer)"
        case "ocsp":
            return f"the answer that nginx remembers: {scale.ocsp} s", "1 h (`ocsp: 1h`)"
        case "renewal":
            return f"the certificate’s expiry, {one.revocation.left:.1f} s away", "its lifetime"
        case "nothing":
            return "no check", "its lifetime"


def _absences(results: Sequence[Measured], scale: Scale) -> str:
    rows = []
    until = {
        "crl": (f"the CRL’s expiry ({scale.crl} s)", "12 h to 1 d"),
        "ocsp": (f"the remembered answer’s expiry ({scale.ocsp} s)", "up to 1 h; new callers 0"),
        "staple": (f"the staple’s expiry ({scale.ocsp} s)", "30 min to 1 h"),
        "renewal": ("it needs no publisher; without `renew --watch`: the certificate’s expiry", "no end"),
        "nothing": ("it needs none", "no end"),
    }
    for one in results:
        away = one.absence
        known, new = (_after(refused, away.watched) for refused in (away.known, away.new))
        again = "–" if away.known is None else f"{away.again:.1f}"
        rows.append((one.method.title, known, new, *until[one.method.source], again))
    head = (
        "method",
        "refused after, s",
        "a new caller",
        "until",
        "with the default lives",
        "back in after, s",
    )
    note = (
        "“A new caller” is a caller about which nothing is remembered; for stapling, a caller that demands no staple."
    )
    return f"{_table(head, rows, numbers=False)}\n\n{note}"


def _after(refused: Refusal | None, watched: float) -> str:
    if refused is None:
        return f"still in ({watched:.0f} s)"
    return f"{refused.after:.1f}: {_short(refused.reason)}"


def _short(reason: str) -> str:
    return re.sub(r"^the client certificate was not accepted: ", "", reason).replace("|", "/")


def _handshakes(results: Sequence[Measured]) -> str:
    rows = [
        (
            one.title,
            f"{one.ratio:.2f}",
            f"{one.lowest:.2f}–{one.highest:.2f}",
            f"{one.client_cpu / one.plain_client_cpu:.2f}",
            f"{one.server_cpu / one.plain_server_cpu:.2f}",
            f"{one.bytes:,.0f}",
            f"{one.publisher_cpu / one.plain_server_cpu:.2f}",
        )
        for one in _rows(results)
    ]
    head = (
        "method",
        "latency ×",
        "min–max ×",
        "client’s CPU ×",
        "server’s CPU ×",
        "bytes",
        "publisher’s CPU",
    )
    note = (
        "Ratios to plain mutual TLS in the same run: connection, handshake and one GET; medians of time, means of "
        "CPU; the publisher’s CPU in plain handshakes of nginx. The row “none” compares plain mutual TLS with itself: "
        "its spread is the noise."
    )
    return f"{_table(head, rows)}\n\n{note}"


def _rows(results: Iterable[Measured]) -> list[Handshake]:
    return [row for one in results for row in one.handshakes]


def _upkeeps(results: Sequence[Measured]) -> str:
    unit = _plain(results)
    what: dict[Source, str] = {
        "crl": "refresh.sh, nothing new",
        "ocsp": "one question",
        "staple": "refresh.sh, nothing new",
        "renewal": "one renewal",
        "nothing": "nothing",
    }
    rows = [
        (
            one.method.title,
            what[one.method.source],
            f"{one.upkeep.bytes:,.0f}",
            *(f"{cpu / unit:,.0f}" for cpu in (one.upkeep.host_cpu, one.upkeep.publisher_cpu, one.upkeep.ca_cpu)),
            f"{one.revocation.ca_cpu / unit:,.0f}",
        )
        for one in results
    ]
    head = ("method", "what", "bytes", "server’s host", "publisher", "CA", "CA, one `revoke`")
    note = (
        f"CPU in plain handshakes of nginx ({unit * 1000:.2f} ms each); bytes between host and publisher, or of the "
        "new chain."
    )
    return f"{_table(head, rows)}\n\n{note}"


def _plain(results: Sequence[Measured]) -> float:
    """CPU that nginx spends on a plain handshake, over all methods."""
    rows = _rows(results)
    return sum(row.plain_server_cpu for row in rows) / len(rows)


def _hours(results: Sequence[Measured]) -> str:
    unit = _plain(results) * HANDSHAKES
    client_unit = sum(row.plain_client_cpu for row in _rows(results)) / len(_rows(results)) * HANDSHAKES
    rows = []
    for one in results:
        times = {"crl": FETCHES, "staple": FETCHES, "ocsp": CALLERS, "renewal": CALLERS * RENEWALS, "nothing": 0}[
            one.method.source
        ]
        row = one.handshakes[0]
        server = HANDSHAKES * (row.server_cpu - row.plain_server_cpu) + times * one.upkeep.host_cpu
        client = HANDSHAKES * (row.client_cpu - row.plain_client_cpu)
        shares = (
            (client, client_unit),
            (server, unit),
            (times * one.upkeep.publisher_cpu, unit),
            (times * one.upkeep.ca_cpu, unit),
        )
        percent = (f"{100 * cost / whole:+.0f} %" for cost, whole in shares)
        rows.append((one.method.title, *percent, f"{times:,.0f}", f"{times * one.upkeep.bytes / 1024:,.0f}"))
    head = ("method", "clients", "server", "publisher", "CA", "fetches, questions or renewals", "KiB")
    note = (
        f"Computed from the tables above: one server, {CALLERS} callers, {HANDSHAKES:,} handshakes, the rendered timer "
        f"({FETCHES} fetches), `ocsp: 1h`, callers’ certificates of 1 h. CPU beyond that of plain mutual TLS, in "
        "percent of what that takes of the clients (first column) or of nginx (the others). With OCSP, nginx fetches "
        "CRLs too: add the row of its CRL."
    )
    return f"{_table(head, rows)}\n\n{note}"


def _beside(results: Sequence[Measured], scale: Scale) -> str:
    unit = _plain(results)
    unquoted = dict(GUIDE)
    rows: list[tuple[str, ...]] = []
    for one in results:
        title = one.method.title
        row = one.handshakes[0]
        method = title.partition(",")[0]
        if (guide := unquoted.pop(method, None)) is not None:
            rows.append((f"{method}: the guide", *guide))
        client = f"{row.client_cpu / row.plain_client_cpu:.2f} × CPU"
        server = f"nginx {row.server_cpu / row.plain_server_cpu:.2f} × CPU{_behind(one, unit)}"
        latency = f"{row.ratio:.2f} ×" if len(one.handshakes) == 1 else f"{row.ratio:.2f} ×; asked {_asked(one)} ×"
        rows.append(
            (f"**{title}: measured**", _reaction(one, scale), client, server, _reliability(one, scale), latency)
        )
    head = ("method", "real-time", "client load", "server load", "reliability", "latency")
    return _table(head, rows, numbers=False)


def _asked(one: Measured) -> str:
    return f"{one.handshakes[1].ratio:.2f}"


def _behind(one: Measured, unit: float) -> str:
    """What the publisher or the CA has to do for it, in CPU of plain handshakes."""
    if one.method.source == "nothing":
        return ""
    if one.method.source == "renewal":
        return f"; CA {one.upkeep.ca_cpu / unit:,.0f} handshakes’ CPU a renewal"
    what = "question" if one.method.source == "ocsp" else "fetch"
    cpu = one.upkeep.publisher_cpu / unit
    return f"; publisher {cpu:,.1f} handshakes’ CPU and {one.upkeep.bytes / 1024:,.1f} KiB a {what}"


def _reaction(one: Measured, scale: Scale) -> str:
    seen = one.revocation
    if seen.refused is None:
        return "never"
    after = f"{seen.refused.after:.1f} s"
    match one.method.source:
        case "ocsp":
            asked = "never" if seen.other is None else f"{seen.other.after:.1f} s"
            return f"{after} (answers live {scale.ocsp} s); asked each time {asked}"
        case "renewal":
            return f"{after} (it had {seen.left:.1f} s left)"
        case _:
            return f"{after} (fetched every {scale.refresh} s)"


def _reliability(one: Measured, scale: Scale) -> str:
    away = one.absence
    if away.known is None:
        return "still in"
    life = scale.crl if one.method.source == "crl" else scale.ocsp
    known = f"in for {away.known.after:.0f} of {life} s"
    if one.method.source == "ocsp" and away.new is not None:
        return f"{known}; a new caller for {away.new.after:.1f} s"
    return known


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: bool = True) -> str:
    rule = ["---"] + ["---:" if numbers else "---"] * (len(head) - 1)
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join(rule)}|"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])
