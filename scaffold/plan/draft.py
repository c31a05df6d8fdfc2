"""A first topology from the certificates and keys that are there: what they say, and what nobody's certificate says."""

from __future__ import annotations

import enum
import os
import re
import shlex
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from scaffold.errors import PkiError
from scaffold.kinds.catalogue import Kind
from scaffold.pki import chains, keys, permits
from scaffold.pki import crl as crls
from scaffold.pki.chains import Path as ChainPath
from scaffold.pki.names import rfc2253
from scaffold.plan import revocations
from scaffold.plan.draft_kinds import Caller, Fitting, fitting, identity_for
from scaffold.store.found import Found
from scaffold.topology import names
from scaffold.topology.messages import Invalid
from scaffold.topology.scalars import listed, mapped, scalar

_FIRST_PORT: Final = 8443
_LONGEST_LABEL: Final = 63
_HOST: Final = re.compile(r"(?=.{4,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]")


@dataclass(frozen=True, slots=True)
class Draft:
    """The text of a topology, and sentences on what could not be put into it."""

    text: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """What a draft is given beside what was found: the topology's name, and the templates in order of preference."""

    name: str
    servers: Sequence[Kind]
    clients: Sequence[Kind]


def draft(found: Found, base: Path, choice: Choice, now: datetime) -> Draft:
    """A topology that is to be in the folder `base`, from which its paths lead to the files."""
    return _Drafting(found, base, choice, now).draft()


class _Use(enum.Enum):
    SERVER = enum.auto()
    CLIENT = enum.auto()


class _Drafting:
    """One draft as it is being made."""

    def __init__(self, found: Found, base: Path, choice: Choice, now: datetime) -> None:
        self._found = found
        self._base = base.absolute()
        self._name = choice.name
        self._notes: list[str] = []
        cas = [one for one in found.certificates if chains.is_ca(one)]
        leaves = [one for one in found.certificates if not chains.is_ca(one)]
        self._pool = cas
        self._leaves = self._newest(leaves, now)
        self._cas = _labels([one for one in cas if self._has_a_place(one)])
        self._servers = _labels([one for one in self._leaves if _use(one) is _Use.SERVER])
        self._clients = _labels([one for one in self._leaves if _use(one) is _Use.CLIENT])
        paths = list(self._paths())
        self._server_kind = fitting(choice.servers, paths, list(self._callers()))
        self._client_kind = fitting(choice.clients, paths)

    def _paths(self) -> Iterator[ChainPath]:
        """The CAs above all that are in the draft; where the root is missing, those that were found."""
        for one in (*self._leaves, *self._cas):
            try:
                path = chains.up_to_root(one, self._pool)
            except PkiError:
                path = (one, *(ca for ca in self._pool if ca != one and chains.signed_by(one, ca)))
            yield tuple(ca for ca in path if chains.is_ca(ca))

    def _callers(self) -> Iterator[Caller]:
        for leaf in self._clients:
            if self._issuer(leaf) is not None and self._issuer_here(leaf) is None:
                says_purpose = not any(permits.purpose_refusals(leaf, "client"))
                yield Caller(rfc2253(leaf.subject), _identities(leaf), says_purpose)

    def draft(self) -> Draft:
        lines = [
            "# yaml-language-server: $schema=topology.schema.json",
            "# Drafted from existing certificates. They do not say which calls are allowed: fill in `calls`.",
            "version: 1",
            f"name: {self._name}",
            *self._section("cas", self._ca_lines()),
            *self._section("servers", self._server_lines()),
            *self._section("clients", self._client_lines()),
        ]
        self._note_objections()
        self._note_the_rest()
        return Draft("\n".join(lines) + "\n", tuple(self._notes))

    @staticmethod
    def _section(name: str, lines: Iterable[str]) -> list[str]:
        written = list(lines)
        return ["", f"{name}:", *written] if written else []

    # --- CAs ---

    def _has_a_place(self, ca: x509.Certificate) -> bool:
        """Whether it issues here, or vouches for a client: those above a server's certificate are named with it."""
        return self._key(ca) is not None or any(
            _use(leaf) is _Use.CLIENT and chains.signed_by(leaf, ca) for leaf in self._leaves
        )

    def _ca_lines(self) -> Iterator[str]:
        if not self._cas:
            yield "  root: {}  # none was found: apply creates this one"
        for ca, label in self._cas.items():
            key = self._key(ca)
            files = {
                "certificate": self._found.certificates[ca],
                "key": key,
                "chain": self._chain(ca),
                "crl": self._crl(ca),
            }
            if key is not None and files["crl"] is not None:
                self._notes.append(f"{label}: its CRL is signed elsewhere while `crl` is given, and here without it")
            yield f"  {scalar(label)}:  # {self._about(ca)}"
            yield f"    existing: {self._files(files)}"

    def _chain(self, ca: x509.Certificate) -> Path | None:
        """One file with all that is above a CA; a note where there is none."""
        if chains.is_anchor(ca):
            return None
        try:
            above = chains.up_to_root(ca, self._pool)[1:]
        except PkiError as error:
            self._notes.append(f"{rfc2253(ca.subject)}: {error}; `chain` must have the certificates above it")
            return None
        return self._file_of(ca, above)

    def _intermediates(self, leaf: x509.Certificate) -> Path | None:
        """One file with the CAs between a server's certificate and its root; `_root` says where there is no root."""
        try:
            return self._file_of(leaf, chains.up_to_root(leaf, self._pool)[1:-1])
        except PkiError:
            return None

    def _file_of(self, below: x509.Certificate, above: Sequence[x509.Certificate]) -> Path | None:
        """One file with all of `above`, where that of `below` has not; a note where there is none."""
        if set(above) <= set(self._found.files[self._found.certificates[below]]):
            return None
        whole = [path for path, held in self._found.files.items() if set(above) <= set(held)]
        if not whole:
            parts = " ".join(shlex.quote(self._path(self._found.certificates[one])) for one in above)
            self._notes.append(
                f"{rfc2253(below.subject)}: put the certificates above it into one file, its `chain`: cat {parts}"
            )
        return whole[0] if whole else None

    def _crl(self, ca: x509.Certificate) -> Path | None:
        found = self._found.crls.items()
        return next((path for path, lists in found if any(crls.signed_by(one, ca) for one in lists)), None)

    # --- Servers and clients ---

    def _server_lines(self) -> Iterator[str]:
        for port, (leaf, label) in enumerate(self._servers.items(), _FIRST_PORT):
            yield f"  {scalar(label)}:  # {self._about(leaf)}"
            yield _template(self._server_kind)
            yield f"    listen: 127.0.0.1:{port}"
            yield f"    names: {_list(self._names(leaf))}"
            if (issuer := self._issuer_here(leaf)) is not None:
                yield f"    issuer: {scalar(issuer)}  # its key is here: apply issues a new certificate"
                continue
            files = {
                "certificate": self._found.certificates[leaf],
                "key": self._key(leaf),
                "chain": self._intermediates(leaf),
                "trust": self._root(leaf),
            }
            yield from self._refusal(leaf, "server")
            yield f"    existing: {self._files(files)}"

    def _client_lines(self) -> Iterator[str]:
        whom = ", ".join(self._servers.values()) or "there are none yet"
        known: set[tuple[str, str]] = set()
        for leaf, label in self._clients.items():
            issuer, identity = self._issuer(leaf), identity_for(self._server_kind.kind, _identities(leaf))
            why = self._no_client(issuer, identity, known)
            if issuer is None or why is not None:
                self._notes.append(f"{rfc2253(leaf.subject)} was left out: {why}")
                continue
            known.add((issuer, identity))
            yield f"  {scalar(label)}:  # {self._about(leaf)}"
            key = self._key(leaf)
            if self._issuer_here(leaf) is not None:
                yield _template(self._client_kind)
                yield f"    issuer: {scalar(issuer)}  # its key is here: apply issues a new certificate"
                if said := self._usable_names(leaf):
                    yield f"    names: {_list(said)}"
            elif key is None:
                yield from self._revocation(leaf)
                yield f"    external: {mapped([f'issuer: {scalar(issuer)}', f'identity: {scalar(identity)}'])}"
            else:
                files = {"certificate": self._found.certificates[leaf], "key": key}
                yield _template(self._client_kind)
                yield f"    issuer: {scalar(issuer)}"
                yield from self._refusal(leaf, "client")
                yield f"    existing: {self._files(files, identity=identity)}"
            yield f"    calls: []  # of these: {whom}"

    def _refusal(self, leaf: x509.Certificate, role: str) -> Iterator[str]:
        """A comment on a certificate that is taken over as it is, and that `plan` refuses."""
        yield from self._revocation(leaf)
        findings = [finding.words for finding in permits.purpose_refusals(leaf, role)]
        if role == "server" and not self._usable_names(leaf):
            findings.append("has no name that callers could expect")
        if findings:
            yield _printable(f"    # plan refuses this certificate: it {' and '.join(findings)}; have a new one issued")

    def _revocation(self, leaf: x509.Certificate) -> Iterator[str]:
        """A comment on what the newest CRL of its CA says of a leaf."""
        for ca in (ca for ca in self._cas if chains.signed_by(leaf, ca)):
            lists = [one for found in self._found.crls.values() for one in found if crls.signed_by(one, ca)]
            for newest in sorted(lists, key=revocations.age)[-1:]:
                for one in crls.listed(newest, {leaf.serial_number}):
                    yield f"    # revoked on {one.when:%Y-%m-%d} ({one.reason}): the CRL of its CA lists it"

    @staticmethod
    def _no_client(issuer: str | None, identity: str, known: Container[tuple[str, str]]) -> str | None:
        """Why a client cannot be in the draft."""
        if issuer is None:
            return "the certificate of its CA was not found"
        if (issuer, identity) in known:
            return f"another certificate of {issuer} has {identity} too"
        try:
            names.stated_identity(identity)
        except Invalid as error:
            return error.message
        return None

    def _issuer(self, leaf: x509.Certificate) -> str | None:
        return next((label for ca, label in self._cas.items() if chains.signed_by(leaf, ca)), None)

    def _issuer_here(self, leaf: x509.Certificate) -> str | None:
        """The CA that issued it, where that can do so again."""
        return next(
            (label for ca, label in self._cas.items() if self._key(ca) is not None and chains.signed_by(leaf, ca)), None
        )

    def _root(self, leaf: x509.Certificate) -> Path:
        """The file of the root that vouches for a server; one that is to be found yet, where none is there."""
        try:
            return self._found.certificates[chains.up_to_root(leaf, self._pool)[-1]]
        except PkiError as error:
            self._notes.append(f"{rfc2253(leaf.subject)}: {error}; give the file of its root as `trust`")
            return self._base / "root.pem"

    def _names(self, leaf: x509.Certificate) -> list[str]:
        if found := self._usable_names(leaf):
            return found
        name = _host_name(leaf) or "localhost"
        said = f"has no name that callers could expect: `names` has {name} for now"
        self._notes.append(f"{rfc2253(leaf.subject)} {said}")
        return [name]

    def _usable_names(self, leaf: x509.Certificate) -> list[str]:
        found = []
        for name in _said_names(leaf):
            try:
                names.san(name)
            except Invalid as error:
                self._notes.append(f"{rfc2253(leaf.subject)}: its name {name} was left out: {error.message}")
            else:
                found.append(name)
        return list(dict.fromkeys(found))

    # --- What all have ---

    def _newest(self, leaves: Sequence[x509.Certificate], now: datetime) -> list[x509.Certificate]:
        """Of each holder the certificate that ends last, and none that has ended or that nothing can be done with."""
        newest: dict[tuple[str, tuple[str, ...]], x509.Certificate] = {}
        for leaf in leaves:
            who = rfc2253(leaf.subject)
            if leaf.not_valid_after_utc <= now:
                self._notes.append(f"{who} was left out: it expired on {leaf.not_valid_after_utc:%Y-%m-%d}")
            elif _use(leaf) is None:
                self._notes.append(f"{who} was left out: it is neither for a server nor for a client")
            elif _use(leaf) is _Use.SERVER and self._key(leaf) is None and not self._is_issued_here(leaf):
                self._notes.append(f"{who} was left out: neither its key nor that of its CA was found")
            else:
                holder = who, tuple(_said_names(leaf))
                before = newest.get(holder)
                if before is None or before.not_valid_after_utc < leaf.not_valid_after_utc:
                    newest[holder] = leaf
        return list(newest.values())

    def _is_issued_here(self, leaf: x509.Certificate) -> bool:
        return any(self._key(ca) is not None and chains.signed_by(leaf, ca) for ca in self._pool)

    def _key(self, certificate: x509.Certificate) -> Path | None:
        return self._found.keys.get(keys.spki(certificate))

    def _about(self, certificate: x509.Certificate) -> str:
        return f"{_printable(rfc2253(certificate.subject))}, until {certificate.not_valid_after_utc:%Y-%m-%d}"

    def _files(self, files: Mapping[str, Path | None], *, identity: str | None = None) -> str:
        entries = [f"{field}: {scalar(self._path(path))}" for field, path in files.items() if path is not None]
        return mapped(entries if identity is None else [*entries, f"identity: {scalar(identity)}"])

    def _path(self, path: Path) -> str:
        return os.path.relpath(path.absolute(), self._base)

    def _note_objections(self) -> None:
        """What `plan` refuses as soon as somebody calls whoever has the template."""
        for fit, role in ((self._server_kind, self._servers), (self._client_kind, self._clients)):
            if role:
                self._notes += [f"template {fit.kind.name}: {objection}" for objection in fit.objections]

    def _note_the_rest(self) -> None:
        known = {keys.spki(one) for one in self._found.certificates}
        self._notes += [
            f"{self._path(path)} is a key, and no certificate for it was found"
            for public, path in self._found.keys.items()
            if public not in known
        ]
        self._notes += [
            f"{self._path(path)} is encrypted, so its certificate is not known; add it as `key`, with `key_password`"
            for path in self._found.encrypted
        ]
        self._notes += [f"{self._path(path)} {why}" for path, why in self._found.left.items()]


def _printable(text: str) -> str:
    """A text that ends no comment."""
    return "".join(one if one.isprintable() else "?" for one in text)


def _template(fit: Fitting) -> str:
    """The line that names a template, with the reason where it is not the usual one."""
    why = "" if fit.instead is None else f"  # {_printable(fit.instead)}"
    return f"    template: {scalar(fit.kind.name)}{why}"


def _list(items: Sequence[str]) -> str:
    return listed([scalar(item) for item in items])


def _labels(certificates: Sequence[x509.Certificate]) -> dict[x509.Certificate, str]:
    """A name of its own for each, by its common name or the first of its other names."""
    found: dict[x509.Certificate, str] = {}
    for one in certificates:
        common = [str(name.value) for name in one.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        said = [*common, *_said_names(one), "unnamed"]
        slugs = (re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:_LONGEST_LABEL].strip("-") for text in said)
        slug = next(filter(None, slugs))
        taken, number, label = set(found.values()), 2, slug
        while label in taken:
            label, number = f"{slug[: _LONGEST_LABEL - 4]}-{number}", number + 1
        found[one] = label
    return found


def _use(leaf: x509.Certificate) -> _Use | None:
    """What a certificate is for: by its extended key usage, and without one by its names (RFC 5280 4.2.1.12)."""
    try:
        purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return _Use.SERVER if _said_names(leaf) or _host_name(leaf) else _Use.CLIENT
    except ValueError:
        return None
    if ExtendedKeyUsageOID.SERVER_AUTH in purposes:
        return _Use.SERVER
    return _Use.CLIENT if ExtendedKeyUsageOID.CLIENT_AUTH in purposes else None


def _alternative_names(leaf: x509.Certificate) -> x509.SubjectAlternativeName | None:
    try:
        return leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return None


def _said_names(leaf: x509.Certificate) -> list[str]:
    """The names of a certificate, as `names` has them; those of other types are left out."""
    found = _alternative_names(leaf)
    if found is None:
        return []
    uris = found.get_values_for_type(x509.UniformResourceIdentifier)
    return [
        *found.get_values_for_type(x509.DNSName),
        *map(str, found.get_values_for_type(x509.IPAddress)),
        *(f"email:{name}" for name in found.get_values_for_type(x509.RFC822Name)),
        *(uri if uri.startswith("spiffe:") else f"uri:{uri}" for uri in uris),
    ]


def _host_name(leaf: x509.Certificate) -> str | None:
    """The common name, where it is a host's: what servers had before there were subject alternative names."""
    for attribute in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME):
        text = str(attribute.value).lower()
        if _HOST.fullmatch(text) or text == "localhost":
            return text
    return None


def _identities(leaf: x509.Certificate) -> list[str]:
    """How servers can know a client, the best first: its one URI, or else a DNS name; its subject."""
    found = _alternative_names(leaf)
    uris = found.get_values_for_type(x509.UniformResourceIdentifier) if found is not None else []
    dns = found.get_values_for_type(x509.DNSName) if found is not None else []
    plain = [name for name in dns if not name.startswith("*")]
    subject = f"subject:{rfc2253(leaf.subject)}"
    if len(uris) == 1:
        return [uris[0] if uris[0].startswith("spiffe:") else f"uri:{uris[0]}", subject]
    return [f"dns:{plain[0]}", subject] if plain and not uris else [subject]
