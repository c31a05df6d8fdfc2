"""One call that the topology does not list, with the caller's own certificate: does the server refuse it, and how."""

from __future__ import annotations

from dataclasses import replace

from scaffold.errors import VerifyError
from scaffold.kinds.catalogue import Kind
from scaffold.running.clients import Clients
from scaffold.settings.peers import server_name
from scaffold.store.layout import Layout
from scaffold.topology.model import HostPort, Party, Server
from scaffold.verify import cases, http, judge
from scaffold.verify.conversation import protocol_of
from scaffold.verify.credentials import Credentials, shown_by
from scaffold.verify.judge import Finding
from scaffold.verify.model import Observed
from scaffold.verify.protocol import Failed, Outcome, Target
from scaffold.verify.tls import CannotOffer


def attempt(layout: Layout, kind: Kind, caller: Party, server: Server, at: HostPort, path: str | None) -> Finding:
    """What a `server` of a `kind`, listening `at`, does with the caller, and in which layer.

    Over HTTP it is asked for `path`, or else for who called. Whoever answers there is believed to be the server.

    Raises VerifyError where the caller's certificate is not here, or cannot be shown.
    """
    credentials, target = _credentials(layout, caller), Target(at, server_name(server))
    try:
        if kind.conversation is None:
            return _of_http(target, credentials, path)
        return judge.admission(protocol_of(kind, Clients()).call(target, credentials, claimed=caller.name))
    except CannotOffer as error:
        raise VerifyError(f"the certificate of {caller.address} cannot be used here: {error}") from error


def _credentials(layout: Layout, caller: Party) -> Credentials:
    if cases.is_external(caller):
        raise VerifyError(f"{caller.address} is external: its certificate is not here")
    if not cases.has_key_here(caller):
        raise VerifyError(f"{caller.address} has its key on its own host, so its certificate cannot be used here")
    return shown_by(layout, caller)


def _of_http(target: Target, credentials: Credentials, path: str | None) -> Finding:
    """A server refuses before it looks what it is asked for: with any other answer, a 404 too, it let the caller in."""
    outcome: Outcome = http.meaning(http.call(target, credentials, http.CALLER if path is None else path))
    finding = judge.admission(outcome)
    return replace(finding, observed=Observed.ALLOWED) if isinstance(outcome, Failed) else finding
