"""What a check of verify that failed means, and what to do about it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from scaffold.plan.drift import changed_files
from scaffold.plan.model import Change
from scaffold.store.layout import party_paths
from scaffold.topology.address import Address
from scaffold.verify.model import Check, Observed, Probe

_RESTORE: Final = (
    "`scaffold plan` shows whether a file was edited, and `scaffold apply` restores it. If nothing differs, the "
    "template is wrong: `scaffold templates check` tests it."
)

_LETS_IN_STRANGER: Final = "{server} lets in {client}, which is not allowed: its allow list"

_LETS_IN: Final[Mapping[Probe, str]] = {
    Probe.EDGE: "{server} lets in {client}, whose certificate is broken on purpose or revoked.",
    Probe.NOT_ALLOWED: f"{_LETS_IN_STRANGER} is not asked.",
    Probe.OTHER_SUBJECT: "{server} trusts the headers of a caller instead of its certificate.",
    Probe.NO_CERTIFICATE: "{server} demands no certificate: everybody who reaches its port gets in.",
    Probe.FOREIGN_CA: "{server} trusts a CA by its name alone, and anybody can make a CA of that name.",
    Probe.SIBLING_CA: "{server} does not check which CA below its root has signed.",
    Probe.SAME_NAME_CA: "{server} distinguishes CAs by their names alone, and two have the same name.",
    Probe.SELF_SIGNED: "{server} does not verify the signature of a certificate.",
    Probe.EXPIRED: "{server} does not check when a certificate expires.",
    Probe.NOT_YET_VALID: "{server} does not check from when a certificate is valid.",
    Probe.SERVER_CERTIFICATE: "{server} does not check the extended key usage: a server's certificate gets in.",
    Probe.NO_EKU: "{server} accepts a certificate without extended key usage as a client's.",
    Probe.ISSUED_BY_LEAF: "{server} accepts certificates signed by a leaf: everybody with a certificate can make more.",
    Probe.OLD_TLS: "{server} speaks a version of TLS below the profile that the topology asks for.",
    Probe.REVOKED: "{server} does not check revocation: a revoked certificate gets in until it expires.",
    Probe.REVOKED_CA: "{server} does not check whether a CA of the chain is revoked.",
    Probe.FALSE_NAME: "{client} does not compare the server's name: any server below the root can pose as {server}.",
    Probe.FALSE_COMMON_NAME: (
        "{client} accepts a common name as a host name: every server below the root with the common name of "
        "{server} can pose as it."
    ),
    Probe.FALSE_LONE_COMMON_NAME: (
        "{client} accepts a common name as a host name if there is no other: every server with the common name "
        "of {server} can pose as it."
    ),
    Probe.FALSE_EXPIRED: "{client} does not check when a server's certificate expires.",
    Probe.FALSE_ROOT: "{client} trusts a root that is not the topology's: anybody can pose as {server}.",
    Probe.FALSE_EKU: "{client} does not check the extended key usage: any client can pose as {server}.",
    Probe.FALSE_REVOKED: "{client} does not check whether {server} is revoked.",
}
"""Of what gets in, or is believed, although it must not be."""

_LETS_IN_UNCHECKED: Final = (
    "The revocation status was not available, and the certificate was let in: `on_unavailable: refuse` forbids that."
)

_TAKES_NO_COMMON_NAME: Final = (
    "{client} is stricter than its template declares: it does not accept a common name as a host name."
)

_REFUSES: Final[Mapping[Probe, str]] = {
    Probe.CONTROL: "Even a fresh certificate without a fault is refused: the refusals above prove nothing yet.",
    Probe.STAPLE: "{server} staples no good OCSP response to its certificate.",
    Probe.HEALTH: "The health port must answer 200 on /healthz, and 404 elsewhere.",
    Probe.FORGED_HEADERS: "A caller that sends identity headers must be let in as itself.",
    Probe.FALSE_COMMON_NAME: _TAKES_NO_COMMON_NAME,
    Probe.FALSE_LONE_COMMON_NAME: _TAKES_NO_COMMON_NAME,
    Probe.TRUE_SERVER: "{client} refuses a sound certificate: its refusals of false servers prove nothing yet.",
}
"""Of what is refused although it must not be, where `expected` and `seen` do not say all."""

_EXPLAIN: Final = "`scaffold explain {client} {server}` shows each check, and the file and line that makes it."

_OUTPUT: Final = "`scaffold up --only {address}` shows the output of the server."

_RESTORE_THERE: Final = (
    "The server that runs there differs from what `scaffold apply` made: copy the folder of {address} to its "
    "host again, and restart it. `scaffold verify` without --running checks the folder itself."
)

_REACH: Final = "Start {address} there, or correct its `address` in the topology; or a firewall may be between."

_OUTPUT_THERE: Final = "See the output of {address} on its host."


def meaning(check: Check, drift: Collection[Change] = ()) -> str | None:
    """What a failed check says of its server or client, in one sentence, where that is not plain.

    `drift` is what was not as the topology says before.
    """
    match check.observed:
        case Observed.UNREACHABLE:
            return "There was no answer."
        case Observed.ALLOWED:
            said: str | None = _LETS_IN.get(check.probe, _LETS_IN_UNCHECKED)
            if check.probe is Probe.NOT_ALLOWED and (files := _changed(check.server, drift)):
                said = f"{_LETS_IN_STRANGER} differs from the topology ({files})."
        case Observed.REFUSED:
            said = _REFUSES.get(check.probe)
        case _:
            said = "That is neither an answer nor a refusal, so it proves nothing."
    return said.format(client=check.client, server=check.server) if said is not None else None


def _changed(server: str, drift: Collection[Change]) -> str:
    """Which files that decide who may call a server were changed: `tls/allowed.json differs`."""
    address = Address.server(server)
    folder = f"{party_paths(address.role, server).folder}/"
    files = [path.removeprefix(folder) for path in changed_files(drift).get(address, ())]
    return f"{', '.join(files)} {'differs' if len(files) == 1 else 'differ'}" if files else ""


def remedy(check: Check) -> str:
    """The next command, which is the same for many failures of one server."""
    match check.observed:
        case Observed.ALLOWED:
            said = _RESTORE
        case Observed.REFUSED:
            said = _EXPLAIN if check.probe in (Probe.EDGE, Probe.CONTROL) else _RESTORE
        case _:
            said = _OUTPUT
    return said.format(client=check.client, server=check.server, address=Address.server(check.server))


def remedy_there(check: Check) -> str:
    """The same of a server that runs by itself, which nobody here has started."""
    match check.observed:
        case Observed.UNREACHABLE:
            said = _REACH
        case Observed.ALLOWED:
            said = _RESTORE_THERE
        case Observed.REFUSED:
            said = _EXPLAIN if check.probe in (Probe.EDGE, Probe.CONTROL) else _RESTORE_THERE
        case _:
            said = _OUTPUT_THERE
    return said.format(client=check.client, server=check.server, address=Address.server(check.server))
