"""A topology at work in a test session: its certificates, TLS contexts, deliberate faults, and running servers.

    def test_the_teller_gets_in(scaffold_env):
        with scaffold_env.start("accounts"):
            context = scaffold_env.ssl_context("teller")
            assert urllib.request.urlopen(scaffold_env.url("accounts"), context=context).status == 200

Everything lies in a temporary folder. A project is rendered when its server is started; servers listen on free ports.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn

from scaffold.cli.clock import now
from scaffold.errors import AddressError
from scaffold.pki.randomness import OPERATING_SYSTEM, Randomness
from scaffold.store.layout import Layout, ca_paths, party_paths
from scaffold.testing import certificates
from scaffold.topology import graph
from scaffold.topology.address import Address, Part, Role
from scaffold.topology.load import load
from scaffold.topology.messages import nearest
from scaffold.topology.model import Party, RevocationCheck, Server, TlsProfile, Topology

if TYPE_CHECKING:
    import ssl

    from scaffold.testing.broken import Broken
    from scaffold.testing.servers import Running, Started

Unavailable = Callable[[str], NoReturn]
"""Is told why a server cannot be started on this machine, and ends the test."""


@dataclass(frozen=True, slots=True)
class Files:
    """Paths of what a server, client or CA proves itself with, or of something broken in its place.

    `certificate` is followed by what is sent after it; `trust` holds the roots of its peers; `crl` the CRLs that it
    checks them by, None where it checks none. `address` says whose it is.
    """

    address: Address
    certificate: Path
    key: Path
    trust: Path
    crl: Path | None
    folder: Path


class Environment:
    """A context manager: what was started is stopped at its end."""

    def __init__(
        self, t: Topology, out: Path, moment: datetime, randomness: Randomness, unavailable: Unavailable
    ) -> None:
        """Takes the folder `out` as it is: `of` makes a new one."""
        self.topology = t
        self._layout = Layout(out)
        self._moment = moment
        self._randomness = randomness
        self._unavailable = unavailable
        self._stack = contextlib.ExitStack()
        self._running: Running | None = None
        self._broken = 0

    @classmethod
    def of(cls, file: Path, folder: Path, *, unavailable: Unavailable) -> Environment:
        """The topology in `file` with new certificates in `folder`. Raises TopologyError and other ScaffoldErrors.

        What it publishes moves to a free port, so that sessions do not get into each other's way; not where it is
        reproducible, since the port is in the certificates.
        """
        t = certificates.without_passwords(load(file))
        if t.publish is not None and t.reproducible is None:
            from scaffold.running.ports import free_addresses

            [free] = free_addresses(1)
            t = replace(t, publish=f"http://{free}")
        moment = now() if t.reproducible is None else t.reproducible.at
        made = cls(t, folder / t.name, moment, _source(t), unavailable)
        if certificates.is_made_here(t):
            certificates.make(t, made._layout, moment, made._randomness)
        else:
            made._apply()
        return made

    def __enter__(self) -> Environment:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    # --- What lies there ---

    def files(self, address: str) -> Files:
        """Of `client.teller`, `server.accounts`, `ca.root`, or of a name that is one thing alone.

        `server.gateway.client-certificate` is the one with which a server calls others. Raises AddressError.
        """
        found = self._address(address)
        if found.role is Role.CA:
            paths = ca_paths(found.name)
            root = ca_paths(graph.root_of(self.topology, found.name).name).certificate
            crl = self._layout.path(paths.crl)
            at = self._layout.path
            return Files(found, at(paths.certificate), at(paths.key), at(root), crl, at(paths.folder))
        return self._of_party(found, self._party(found))

    def _of_party(self, address: Address, party: Party) -> Files:
        from scaffold.settings.peers import anchors, callee_issuers, needs_crls, peer_issuers, trusted_cas

        calls_as_server = address.part is Part.CLIENT_CERTIFICATE
        paths = party_paths(address.role, address.name)
        own = paths.client_side if calls_as_server and party.has_second else paths.own
        trust = self._layout.path(paths.client_trust if calls_as_server else paths.trust)
        peers = callee_issuers(self.topology, party) if calls_as_server else peer_issuers(self.topology, party)
        trusted = anchors(self.topology, peers)
        if isinstance(party, Server) and not calls_as_server:
            trusted = trusted_cas(self.topology, party)
        self._write_where_missing(trust, (self._ca(name) for name in trusted))
        crl = self._layout.path(paths.crl) if needs_crls(self.topology, party) else None
        if crl is not None:
            each = dict.fromkeys(ca.name for name in peers for ca in graph.chain(self.topology, name))
            self._write_where_missing(crl, (self._layout.path(ca_paths(name).crl) for name in each))
        at = self._layout.path
        return Files(address, at(own.certificate), at(own.key), trust, crl, at(paths.folder))

    def _ca(self, name: str) -> Path:
        return self._layout.path(ca_paths(name).certificate)

    @staticmethod
    def _write_where_missing(path: Path, sources: Iterator[Path]) -> None:
        """Apply writes the same once it renders the project."""
        if not path.exists():
            path.write_bytes(b"".join(dict.fromkeys(source.read_bytes() for source in sources)))

    def ssl_context(self, party: str | Files) -> ssl.SSLContext:
        """For a client, or a server that calls: a context to call with. For a server: one to listen with.

        It demands and checks the peer's certificate, the CRLs too where the topology says so.
        """
        import ssl

        files = self.files(party) if isinstance(party, str) else party
        if files.address.role is Role.CA:
            raise AddressError(f"{files.address} is neither a server nor a client", hint="a CA makes no connections")
        listens = files.address.role is Role.SERVER and files.address.part is not Part.CLIENT_CERTIFICATE
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if listens else ssl.PROTOCOL_TLS_CLIENT)
        context.verify_mode = ssl.CERT_REQUIRED
        of = self._party(files.address)
        context.minimum_version = ssl.TLSVersion.TLSv1_3 if of.tls is TlsProfile.MODERN else ssl.TLSVersion.TLSv1_2
        context.load_verify_locations(files.trust)
        context.load_cert_chain(files.certificate, files.key)
        if files.crl is not None and of.check_revocation is RevocationCheck.CRL:
            context.load_verify_locations(files.crl)
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
        return context

    def broken(self, client: str, fault: str) -> Files:
        """A certificate of a client (or server) with exactly that fault, made now: an `expired` one ended a minute ago.

        One without the fault would be accepted, and a `revoked` one is, by whoever does not check revocation. Servers
        of this session that do so refuse it once this returns. Raises
        ValueError for a fault that there is not, with the nearest, and ScaffoldError where it cannot be made: a CA's
        key may not be here.
        """
        from scaffold.testing.broken import make

        files = self.files(client)
        party = self._party(files.address)
        self._broken += 1
        folder = self._layout.out.parent / "broken" / f"{self._broken}-{party.name}-{fault}"
        moment = now()
        made = make(self.topology, self._layout, files.address, files.certificate.read_bytes(), fault, moment)
        if made.revoked:
            self._revoke(files.address, party, made, moment)
        folder.mkdir(parents=True, mode=0o700)
        certificate, key = folder / "cert.pem", folder / "key.pem"
        certificate.write_bytes(made.certificates)
        key.touch(0o600)
        key.write_bytes(made.key)
        return Files(files.address, certificate, key, files.trust, files.crl, folder)

    # --- What runs ---

    def start(self, *servers: str) -> Started:
        """Renders and starts servers (where none is named, all that can be) and the upstreams behind them, and waits
        until they accept connections. What runs already goes on.

        They run until the session ends, or until the end of a `with` block: what it returns is a context manager, which
        stops what this call has started. Where a server's program is not installed the test is skipped, with the
        reason. Raises ScaffoldError.
        """
        from scaffold.testing.servers import Running

        if self._running is None:
            self._running = Running(self.topology, self._layout, self._unavailable, self._apply)
            self._stack.enter_context(contextlib.closing(self._running))
        if servers:
            return self._running.start(self._server(name) for name in servers)
        return self._running.start(filter(self._running.can_start, self.topology.servers.values()))

    def url(self, server: str) -> str:
        """`https://localhost:20123/`: where a server listens once it is started, by a name of its certificate that can
        be dialled on this machine; before that, where the topology says.
        """
        found = self._server(server)
        where = self._running.address(found) if self._running is not None else None
        port, host = (found.dial if where is None else where).port, found.dial.host
        names = [san.value for san in found.names]
        here = next((name for name in ("localhost", "127.0.0.1", "::1") if name in names), host)
        return f"https://{f'[{here}]' if ':' in here else here}:{port}/"

    def _apply(self, only: Callable[[Address], bool] = lambda address: True) -> None:
        from scaffold.testing.servers import apply

        apply(self.topology, self._layout, self._moment, self._randomness, only)

    def _revoke(self, address: Address, party: Party, made: Broken, moment: datetime) -> None:
        """As `scaffold revoke` does, for a certificate that is in no project; what runs here refuses it then."""
        from scaffold.testing.servers import record_revoked

        record_revoked(self.topology, self._layout, address, party, made.certificates, moment)
        started = self._running.names if self._running is not None else frozenset()
        self._apply(lambda one: one.role is Role.CA or (one.role is Role.SERVER and one.name in started))
        if self._running is not None:
            self._running.wait_until_refused(made)

    # --- Names ---

    def _address(self, text: str) -> Address:
        known = tuple(graph.addresses(self.topology))
        if "." in text:
            found = Address.parse(text, known)
            named = [found] if found.entity in known else []
        else:
            named = [one for one in known if one.name == text]
        if len(named) == 1:
            return named[0]
        if named:
            raise AddressError(f"{text} is {' and '.join(map(str, named))}", hint="write which")
        raise AddressError(f"there is no {text} in {self.topology.name}", hint=nearest(text, map(str, known)))

    def _party(self, address: Address) -> Party:
        parties = self.topology.servers if address.role is Role.SERVER else self.topology.clients
        if (found := parties.get(address.name)) is None:
            raise AddressError(f"{address} is neither a server nor a client")
        party: Party = found
        return party

    def _server(self, name: str) -> Server:
        found = self._address(name) if "." in name else Address.server(name)
        if found.role is not Role.SERVER or found.name not in self.topology.servers:
            hint = nearest(name, self.topology.servers)
            raise AddressError(f"{name} is no server of {self.topology.name}", hint=hint)
        return self.topology.servers[found.name]


def _source(t: Topology) -> Randomness:
    if t.reproducible is None:
        return OPERATING_SYSTEM
    from scaffold.cli.source import source_of
    from scaffold.store.secrets import Secrets

    return source_of(t, Secrets(os.environ))
