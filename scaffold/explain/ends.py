"""The two ends of a call as they are on the disk: what each shows, whom it trusts, and which of its lines says so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from types import MappingProxyType

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from scaffold.errors import PkiError, VerifyError
from scaffold.explain.model import Shown
from scaffold.kinds.catalogue import Kind
from scaffold.kinds.lines import PEER, Line, Peer, Point, find
from scaffold.pki import bundles
from scaffold.pki.names import rfc2253
from scaffold.settings import peers
from scaffold.store.archive import Pair, revoked_ever
from scaffold.store.files import read
from scaffold.store.layout import Layout, party_paths
from scaffold.store.ledger import Ledger, Revoked
from scaffold.topology.address import Address
from scaffold.topology.model import Client, Party, Server, Topology
from scaffold.verify.last_run import LastRun


@dataclass(frozen=True)
class World:
    """All that is explained from: the topology, what is on the disk, the state, what verify saw, and the time.

    `ledger` is what is known: with what folder and CRLs say beside the state. `changed` are the files of each
    server and client that decide a call and differ from the topology.
    """

    topology: Topology
    kinds: Mapping[Address, Kind]
    layout: Layout
    ledger: Ledger
    last_run: LastRun
    now: datetime
    changed: Mapping[Address, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))

    @cached_property
    def revoked(self) -> Mapping[Pair, Revoked]:
        """What was ever revoked, read once for however many calls. Raises StoreError."""
        return {**revoked_ever(self.layout, self.ledger).revoked, **self.ledger.revoked}


@dataclass(frozen=True, slots=True)
class Found:
    """The lines that make a check; `absent`: what the template says is in a file, and is not there."""

    lines: tuple[Line, ...] = ()
    absent: tuple[tuple[str, str], ...] = ()
    declared: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """One side of a call. `file` and `chain` are what it shows: None and nothing where that is not here.

    `trust_file` is what the other side's certificate must lead to, `pool` all that it has to build a chain with.
    """

    party: Party
    folder: str
    file: str | None
    chain: tuple[x509.Certificate, ...]
    trust_file: str | None
    trusted: tuple[x509.Certificate, ...]
    pool: tuple[x509.Certificate, ...]


def caller_end(world: World, caller: Party, server: Server) -> End:
    """The side that calls. Raises VerifyError where it has no project, or a file of it cannot be read."""
    paths = party_paths(caller.address.role, caller.name)
    if isinstance(caller, Client) and caller.external is not None:
        return End(caller, paths.folder, None, (), None, (), ())
    files = paths.client_side if isinstance(caller, Server) else paths.own
    common = paths.client_trust if isinstance(caller, Server) else paths.trust
    trust = common
    if server.name in caller.calls and peers.trusts_each_apart(world.topology, caller):
        trust = peers.trust_in(common, server.name)
    return _end(world, caller, files.certificate, trust)


def server_end(world: World, server: Server) -> End:
    """The side that is called. Raises VerifyError likewise."""
    paths = party_paths(server.address.role, server.name)
    return _end(world, server, paths.own.certificate, paths.trust)


def _end(world: World, party: Party, file: str, trust: str) -> End:
    paths = party_paths(party.address.role, party.name)
    if not world.layout.path(paths.folder).is_dir():
        raise VerifyError(
            f"{party.address} has no project in {world.layout.path(paths.folder)}", hint="run `scaffold apply` first"
        )
    trusted = _certificates(world.layout, trust)
    known = _certificates(world.layout, paths.intermediates)
    chain = _certificates(world.layout, file)
    return End(party, paths.folder, file, chain, trust, trusted, (*trusted, *known))


def _certificates(layout: Layout, file: str) -> tuple[x509.Certificate, ...]:
    """Those of a file; none where it is not there, as of one that holds no certificate."""
    found = read(layout.at(file))
    if found is None or b"-----BEGIN CERTIFICATE-----" not in found.content:
        return ()
    try:
        return bundles.load_certificates(found.content)
    except PkiError as error:
        hint = "`scaffold plan` says what differs, and `scaffold apply` restores it"
        raise VerifyError(f"{layout.path(file)} cannot be read: {error.message}", hint=hint) from error


def lines_of(world: World, end: End, points: Iterable[Point], other: Party, caller: Party) -> Found:
    """The lines of an end's project that make the checks `points`; `other` is the other side.

    A caller has no line about a server that it does not call, and none is missed.
    """
    if end.party.address not in world.kinds:  # external: no project
        return Found()
    declared = world.kinds[end.party.address].capabilities.lines
    about = Peer(other.name, caller.identity)
    lines: dict[Line, None] = {}
    absent: dict[tuple[str, str], None] = {}
    said = False
    for point in points:
        for file, texts in declared.get(point, {}).items():
            said = True
            path = f"{end.folder}/{file}"
            content = _text(world.layout, path)
            for text in texts:
                line = find(content, path, text, about)
                if line is not None:
                    lines.setdefault(line)
                elif PEER not in text or end.party is not caller or other.name in caller.calls:
                    absent.setdefault((path, text.replace("{peer}", about.name).replace("{identity}", about.identity)))
    return Found(tuple(lines), tuple(absent), said)


def _text(layout: Layout, path: str) -> str:
    found = read(layout.at(path))
    return "" if found is None else found.content.decode("utf-8", "replace")


def shown(certificate: x509.Certificate) -> Shown:
    """What of a certificate is told."""
    return Shown(
        rfc2253(certificate.subject),
        rfc2253(certificate.issuer),
        names_of(certificate),
        f"{certificate.serial_number:x}",
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
    )


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """The subject alternative names, of the types that are issued here."""
    try:
        value = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    return tuple(
        str(name.value)
        for name in value
        if isinstance(name, x509.DNSName | x509.IPAddress | x509.UniformResourceIdentifier | x509.RFC822Name)
    )


PURPOSES: Mapping[str, str] = {
    ExtendedKeyUsageOID.SERVER_AUTH.dotted_string: "serverAuth",
    ExtendedKeyUsageOID.CLIENT_AUTH.dotted_string: "clientAuth",
}


def purposes_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """The extended key usages by name; none where it has no such extension."""
    try:
        value = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    return tuple(PURPOSES.get(usage.dotted_string, usage.dotted_string) for usage in value)
