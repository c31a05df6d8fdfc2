"""A server that speaks something else than HTTP, by the program that its template brings for verify.

The program is called without arguments, and reads from its environment:

HOST, PORT         where the server listens
SERVER_NAME        the name by which it is asked for
CERTIFICATE, KEY   the certificate to show (leaf, then intermediates) and its key, PEM files; absent: show none
CLAIMED            the name of the server or client that the caller says it is
NEWEST             the newest TLS to speak: TLSv1.1 or TLSv1.2, and then what is older too; absent: any from TLS 1.2 on

It trusts whatever server it meets, and says by its exit code what became of the caller:

0  let in; standard output holds the JSON object that the template's own client prints for it
4  refused in the handshake, or the connection was closed
5  not reachable
6  refused after the handshake: by name, or for want of a certificate
7  refused for want of a version of TLS that both speak
8  cannot be tried here, for the reason in the last line of standard error
1  anything else

For a refusal and a failure the last line of standard error says why.
"""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Iterable
from pathlib import Path

from scaffold.kinds.catalogue import Kind
from scaffold.running.clients import Clients, Ran
from scaffold.topology.model import HostPort
from scaffold.verify.credentials import Credentials
from scaffold.verify.http import Http
from scaffold.verify.judge import last_line
from scaffold.verify.model import Layer
from scaffold.verify.protocol import Admitted, Closed, Denied, Failed, Outcome, ServerProtocol, Target, Unreachable
from scaffold.verify.tls import CannotOffer, alert_in

_VERSIONS = {ssl.TLSVersion.TLSv1_1: "TLSv1.1", ssl.TLSVersion.TLSv1_2: "TLSv1.2"}


class Conversation:
    """A protocol by a template's own program. Its key files lie in a folder that is there for the one call alone."""

    claims = True

    def __init__(self, name: str, program: Path, clients: Clients, inherits: Iterable[str] = ()) -> None:
        """`inherits` are the variables that its template declares, as in `Launch`."""
        self.name = name
        self._program = program
        self._clients = clients
        self._inherits = tuple(inherits)

    def call(
        self,
        target: Target,
        credentials: Credentials | None,
        *,
        claimed: str = "",
        newest: ssl.TLSVersion | None = None,
    ) -> Outcome:
        """As every protocol's. Raises VerifyError where the program cannot be started."""
        with tempfile.TemporaryDirectory(prefix="scaffold-probe-") as folder:  # 0700 by mkdtemp(3)
            told = {
                "HOST": target.address.host,
                "PORT": str(target.address.port),
                "SERVER_NAME": target.server_name,
                "CLAIMED": claimed,
            }
            if credentials is not None:
                told |= _written(credentials, Path(folder))
            if newest is not None:
                told["NEWEST"] = _VERSIONS[newest]
            return self._outcome(self._clients.run(self._program, (), self._inherits, told))

    def url(self, address: HostPort) -> str:
        """The protocol's name is the scheme."""
        return f"{self.name}://{address}/"

    def refused_in(self, words: str) -> str:
        """What OpenSSL calls an alert was in the handshake."""
        return Layer.TLS if alert_in(words) else self.name

    def _outcome(self, ran: Ran) -> Outcome:
        words = last_line(ran.complaint)
        match ran.status:
            case 0:
                return Admitted(self.name, "let in", ran.output.encode())
            case 4:
                return Closed(alert_in(words), after_handshake=False)
            case 5:
                return Unreachable(words)
            case 6:
                return Denied(self.name, words)
            case 7:
                return Closed("protocol version", after_handshake=False)
            case 8:
                raise CannotOffer(words)
            case status:
                return Failed(self.name, f"exit status {status}: {words}")


def protocol_of(kind: Kind, clients: Clients) -> ServerProtocol:
    """How a server of a kind is spoken to: by HTTP, or by the program of the kind's own, which `clients` run."""
    if kind.conversation is None:
        return Http()
    return Conversation(kind.capabilities.protocol, kind.conversation, clients, kind.capabilities.environment)


def _written(credentials: Credentials, folder: Path) -> dict[str, str]:
    files = {"CERTIFICATE": folder / "cert.pem", "KEY": folder / "key.pem"}
    files["CERTIFICATE"].write_bytes(credentials.certificates)
    files["KEY"].touch(mode=0o600)
    files["KEY"].write_bytes(credentials.key)
    return {name: str(path) for name, path in files.items()}
