"""Names and addresses: text in, the canonical value out, or `Invalid` with a hint."""

from __future__ import annotations

import ipaddress
import re

from scaffold.topology.messages import Invalid, shown
from scaffold.topology.model import Backend, Chown, HostPort, IdentityForm, ReadyPath, San, SanType, UnixSocket

LABEL_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
ENVIRONMENT_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"
VARIABLE_PATTERN = r"^[A-Za-z][A-Za-z0-9_]*$"
ANY_VARIABLE_PATTERN = r"^[A-Za-z_][A-Za-z0-9_-]*$"
CHECKOUT_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_./+@-]*$"
DIRECTORY_PATTERN = r"^(?!.*(^|/)\.{0,2}(/|$))[^/].*$"
READY_PATTERN = r"^/[!-~]*$"
COUNTRY_PATTERN = r"^[A-Z]{2}$"
TRUST_DOMAIN_PATTERN = r"^[a-z0-9._-]{1,255}$"
ROLE_PATTERN = r"^[A-Za-z0-9._-]{1,64}$"
CHOWN_PATTERN = r"^([a-z_][a-z0-9_.-]{0,31}|[0-9]{1,10})?(:([a-z_][a-z0-9_.-]{0,31}|[0-9]{1,10}))?$"
MODE_PATTERN = r"^0?[46][046]0$"
FILE_NAME_PATTERN = r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$"
PUBLISH_PATTERN = r"^http://[^/?#@\s]+/?$"
DOOR_PATTERN = r"^(127\.[0-9.]+|localhost|\[::1\]):[1-9][0-9]{0,4}$|^unix:/[A-Za-z0-9/._+@~=-]+$"
BACKEND_PATTERN = r"^(http://[^/?#@\s]+:[0-9]+/?|unix:/[A-Za-z0-9/._+@~=-]+)$"

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_DNS = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+")
_AUTHORITY = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?(\[[^\]]*\]|[^/?#:@]*)(?::\d*)?(?:[/?#]|$)")
_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}")
_SPIFFE_SEGMENT = re.compile(r"[A-Za-z0-9._-]+")

# Characters that make a line read otherwise than it is stored.
_BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def label(text: str) -> str:
    """A DNS label in lower case (RFC 1035 2.3.1, digits in front allowed by RFC 1123 2.1), at most 63 characters."""
    if _LABEL.fullmatch(text):
        return text
    if len(text) > 63:
        raise Invalid(f"{shown(text)} is longer than 63 characters", "a name is a DNS label: choose a shorter one")
    suggestion = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    hint = "a name is a DNS label: lower-case letters, digits and hyphens"
    raise Invalid(f"{shown(text)} is not a name", f"{hint}, such as {suggestion}" if suggestion else hint)


def role(text: str) -> str:
    """What a caller may be at a server. It is between commas in a header, so it holds nothing to be escaped."""
    if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", text):
        return text
    if len(text) > 64:
        raise Invalid(f"{shown(text)} is longer than 64 characters", "choose a shorter name for the role")
    hint = "a role has letters, digits, `.`, `-` and `_`"
    parts = [part for part in re.split(r"[^A-Za-z0-9._-]+", text) if part]
    if "," in text and len(parts) > 1:
        raise Invalid(f"{shown(text)} is not a role", f"{hint}; each is one of a list: [{', '.join(parts)}]")
    suggestion = "-".join(parts)
    raise Invalid(f"{shown(text)} is not a role", f"{hint}, such as {suggestion}" if suggestion else hint)


def text_without_controls(text: str) -> str:
    """Text that prints as it is stored: not blank, no control or bidirectional characters, no space at its ends."""
    import unicodedata

    if not text.strip():
        raise Invalid("the text is empty", "leave the key out where there is nothing to say")
    if text != text.strip():
        raise Invalid(f"{shown(text)} begins or ends with a space", f"write {shown(text.strip())}")
    if text.isascii() and text.isprintable():
        return text
    for character in text:
        if unicodedata.category(character) in {"Cc", "Cs", "Cn", "Co", "Zl", "Zp"} or character in _BIDI_CONTROLS:
            code = f"U+{ord(character):04X}"
            hint = _ESCAPED if unicodedata.category(character) == "Cc" else "remove it"
            raise Invalid(f"{shown(text)} holds the control character {code}", hint)
    return text


_ESCAPED = "remove it; of a path in double quotes, \\t and \\n are a tab and a line end: use single quotes, or /"


def path_text(text: str) -> str:
    """A file's path: any text without control characters."""
    return text_without_controls(text)


def any_variable(text: str) -> str:
    """The name of a variable of any cookiecutter template, private ones included."""
    if re.fullmatch(ANY_VARIABLE_PATTERN[1:-1], text):
        return text
    hint = "as its cookiecutter.json has it: project_slug"
    raise Invalid(f"{shown(text)} is not the name of a template's variable", hint)


def checkout(text: str) -> str:
    """A branch, tag or commit; git would take what begins with a hyphen for an option."""
    if re.fullmatch(CHECKOUT_PATTERN[1:-1], text):
        return text
    raise Invalid(f"{shown(text)} is not a branch, tag or commit", "main, v1.2 or 4f2a9c1")


def directory(text: str) -> str:
    """A folder within a repository."""
    if any(part in ("", ".", "..") for part in text_without_controls(text).split("/")):
        raise Invalid(f"{shown(text)} is not a folder within the template", "relative, and without `..`: services/api")
    return text


def ready_path(text: str) -> ReadyPath:
    """The path that answers 200 once an app is ready."""
    if re.fullmatch(READY_PATTERN[1:-1], text):
        return ReadyPath(text)
    raise Invalid(f"{shown(text)} is not a path", "/healthz, or {line: REGEX} for a line that it prints")


def ready_line(text: str) -> str:
    """The regular expression of a line that an app prints once it is ready."""
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise Invalid(f"{shown(text)} is not a regular expression: {error}", "such as: Running on http") from None
    return text


def argument(text: str) -> str:
    """One argument of a command."""
    if "\0" in text:
        raise Invalid("an argument holds a NUL character", "leave it out")
    return text


def chown(text: str) -> Chown:
    """`user`, `user:group` or `:group`, each by name or number (chown(1))."""
    found = re.fullmatch(CHOWN_PATTERN[1:-1], text)
    if found is None or not text.strip(":"):
        hint = "postgres:postgres, postgres, :ssl-cert, or numbers: 999:999"
        raise Invalid(f"{shown(text)} is not a user and group", hint)
    return Chown(found[1], found[3])


def mode(text: str) -> int:
    """The rights of a file with a secret, in octal: its owner reads it, perhaps its group, and nobody else."""
    if not re.fullmatch(MODE_PATTERN[1:-1], text):
        hint = "use 0600, 0640, 0440 or 0400: only the owner, and perhaps a group, may read a private key"
        raise Invalid(f"{shown(text)} are not the rights of a private key", hint)
    return int(text, 8)


def file_name(text: str) -> str:
    """The name of a file, without a folder."""
    if not re.fullmatch(FILE_NAME_PATTERN[1:-1], text):
        hint = "use letters, digits, `.`, `-` and `_`, and no dot at the beginning: server.crt"
        raise Invalid(f"{shown(text)} is not a file's name", hint)
    return text


def country(text: str) -> str:
    """Two upper-case letters, ISO 3166 (X.520 6.3.1, RFC 5280 appendix A)."""
    if re.fullmatch(r"[A-Z]{2}", text):
        return text
    hint = f"did you mean {text.upper()}?" if re.fullmatch(r"[A-Za-z]{2}", text) else "two letters: NL, RS, US"
    raise Invalid(f"{shown(text)} is not a country code", hint)


def environment_variable(text: str) -> str:
    """The name of an environment variable (POSIX.1-2017, base definitions 8.1, either case)."""
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text):
        return text
    raise Invalid(
        f"{shown(text)} is not the name of an environment variable",
        f"the variable's name, without $: {re.sub('[^A-Za-z0-9_]', '', text)[:60] or 'CA_PASSWORD'}",
    )


def variable(text: str) -> str:
    """The name of a template's variable."""
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", text):
        return text
    raise Invalid(
        f"{shown(text)} is not the name of a template's variable", "letters, digits and underscores: greeting"
    )


def dns(text: str) -> str:
    """A DNS name as lower-case A-labels, without wildcard (RFC 5280 4.2.1.6 and 7.2, RFC 5890).

    Each label at most 63 octets, the whole at most 253. Text whose last label is a number is an IP address gone wrong.
    """
    name = text.lower()
    if not name.isascii():
        name = _a_labels(text)
    if len(name) <= 253 and _DNS.fullmatch(name) and not name.rpartition(".")[2].isdigit():
        return name
    raise Invalid(f"{shown(text)} is neither a DNS name nor an IP address", _dns_hint(name))


def _a_labels(text: str) -> str:
    import idna

    try:
        return idna.encode(text, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError) as error:
        raise Invalid(f"{shown(text)} is not an internationalised DNS name", str(error)[:120]) from None


def _dns_hint(name: str) -> str | None:
    if name.endswith(".") and _DNS.fullmatch(name[:-1]):
        return "leave out the dot at the end"
    if "_" in name:
        return "host names have no underscores"
    if "://" in name:
        return f"write uri:{name[:60]} for a URI"
    if ":" in name:
        return "leave out the port"
    if "*" in name:
        return "a wildcard is the whole first label: *.example.org"
    if len(name) > 253:
        return "at most 253 characters"
    if re.fullmatch(r"[0-9.]+", name):
        return "an IPv4 address has four numbers from 0 to 255: 127.0.0.1"
    if " " in name or "," in name:
        return f"a list has commas and brackets: [{', '.join(re.split('[ ,]+', name.strip()))[:80]}]"
    return "letters, digits, hyphens and dots: api.example.org"


def ip(text: str) -> str:
    """An IPv4 or IPv6 address in its shortest form (RFC 5952), without a zone."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        hint = "four numbers from 0 to 255 (127.0.0.1), or IPv6 (::1)"
        raise Invalid(f"{shown(text)} is not an IP address", hint) from None
    if "%" in text:
        raise Invalid(f"{shown(text)} has a zone", "a certificate cannot name an interface: leave out what follows %")
    return str(address)


def _looks_like_ip(text: str) -> bool:
    return ":" in text or text.replace(".", "").isdigit()


def host(text: str) -> str:
    """An IP address, or a DNS name without wildcard."""
    return ip(text) if _looks_like_ip(text) else dns(text)


def host_port(text: str) -> HostPort:
    """`127.0.0.1:8443`, `accounts.internal:8443` or `[::1]:8443` (RFC 3986 3.2.2); the port is 1 to 65535."""
    if "//" in text:
        bare = text.partition("//")[2].partition("/")[0]
        hint = "host and port, without a scheme or a path: " + (bare[:60] if ":" in bare else f"{bare[:60]}:443")
        raise Invalid(f"{shown(text)} is not an address", hint)
    address, colon, port = text.rpartition(":")
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
        if ":" not in address:
            raise Invalid(f"{shown(text)} is not an address", "brackets are for IPv6: [::1]:8443")
    elif ":" in address:
        raise Invalid(f"{shown(text)} is not an address", "an IPv6 address is in brackets: [::1]:8443")
    if not colon or not address or not port:
        raise Invalid(f"{shown(text)} is not an address", f"write {_likely_address(text)}")
    if not re.fullmatch(r"[1-9][0-9]{0,4}", port) or int(port) > 65_535:
        hint = f"a port is a number from 1 to 65535, as in {text.rpartition(':')[0][:60]}:8443"
        raise Invalid(f"{shown(text)} has no port between 1 and 65535", hint)
    if address == "*":
        raise Invalid(f"{shown(text)} is not an address", f"write 0.0.0.0:{port} for all of IPv4")
    return HostPort(host(address), int(port))


def _likely_address(text: str) -> str:
    """What was probably meant by text without a host or without a port."""
    if (port := re.fullmatch(r":?([1-9][0-9]{0,4})", text)) is not None and int(port[1]) <= 65_535:
        return f"127.0.0.1:{port[1]}"
    bare = text.rstrip(":")
    return f"{bare}:8443" if _DNS.fullmatch(bare) and not bare.isdigit() else "host:port, such as 127.0.0.1:8443"


def publish_url(text: str) -> str:
    """`http://host[:port]`, canonical. Not https: RFC 5280 8 warns of needing a certificate to check a certificate."""
    if text.lower().startswith("https://"):
        hint = "write http://: CRLs, OCSP responses and CA certificates are signed themselves (RFC 5280 8)"
        raise Invalid("publish must be plain HTTP", hint)
    found = re.fullmatch(r"(?i:http)://([^/?#@]+)/?", text)
    if found is None:
        raise Invalid(f"{shown(text)} is not the URL of a publisher", _publish_hint(text))
    authority = found[1]
    if re.search(r":\d*$", authority) and not authority.endswith("]"):
        return f"http://{host_port(authority)}"
    address = host(authority.removeprefix("[").removesuffix("]") if authority.startswith("[") else authority)
    return f"http://[{address}]" if ":" in address else f"http://{address}"


def _publish_hint(text: str) -> str:
    bare = re.split(r"[/?#]", re.sub(r"^[a-z]+://", "", text, flags=re.IGNORECASE), maxsplit=1)[0]
    likely = bare if re.fullmatch(r"[\w.-]+(:[0-9]+)?", bare) else "127.0.0.1:9080"
    return f"write http://{likely}, without a path or a query"


def backend(text: str) -> Backend:
    """Where an app listens in plain HTTP: `http://host:port`, or `unix:/path`. `localhost` is read as 127.0.0.1."""
    if text.startswith("unix:"):
        return _unix_socket(text)
    if text.lower().startswith("https://"):
        hint = "the app speaks plain HTTP on loopback: http://127.0.0.1:5000; a server that speaks TLS is an `upstream`"
        raise Invalid("a backend is an app that speaks plain HTTP, and this is an https URL", hint)
    if "@" in text:
        raise Invalid(
            "a backend has no user and no password",
            "leave both out: only the server in front of it decides which callers are allowed",
        )
    found = re.fullmatch(r"(?i:http)://([^/?#]+)/?", text)
    if found is None:
        raise Invalid(f"{shown(text)} is not the address of a backend", _backend_hint(text))
    authority = found[1]
    if not re.search(r"\]:\d+$" if authority.startswith("[") else r":\d+$", authority):
        raise Invalid(f"{shown(text)} has no port", f"add its port: http://{authority.rstrip(':')[:60]}:5000")
    address = host_port(authority)
    if is_every_address(address.host):
        raise Invalid(f"nobody can call {address.host}", f"write http://127.0.0.1:{address.port}")
    return HostPort("127.0.0.1", address.port) if address.host == "localhost" else address


def _backend_hint(text: str) -> str:
    if text.startswith("/"):
        return f"a Unix socket is written unix:{text[:60]}"
    bare = re.split(r"[/?#]", re.sub(r"^[a-z]+:(//)?", "", text, flags=re.IGNORECASE), maxsplit=1)[0]
    likely = bare if re.fullmatch(r"[\w.-]+:[0-9]+", bare) else "127.0.0.1:5000"
    return f"write http://{likely}, without a path or a query, or unix:/path"


def door(text: str) -> Backend:
    """Where a program on the same machine finds a server in plain: a port on loopback, or `unix:/path`.

    `localhost` is read as 127.0.0.1.
    """
    if text.startswith("unix:"):
        return _unix_socket(text)
    if text.startswith("/"):
        raise Invalid(f"{shown(text)} is not an address", f"a Unix socket is written unix:{text[:60]}")
    address = host_port(text)
    if address.host == "localhost":
        return HostPort("127.0.0.1", address.port)
    if not _is_loopback(address.host):
        hint = (
            f"127.0.0.1:{address.port} is for programs of this machine alone, and unix:/path for those of one account"
        )
        raise Invalid(f"a door on {address.host} would let other machines call as this client", hint)
    return address


def is_every_address(host: str) -> bool:
    """Whether it means all addresses of a machine: where one can listen, and nobody can call, however it is written.

    `::ffff:0.0.0.0` is the IPv4 one in IPv6 (RFC 4291 2.5.5.2).
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_unspecified


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


LONGEST_SOCKET_PATH = 107
"""Bytes: `sun_path` of unix(7) has 108, the last of which is the end."""


def _unix_socket(text: str) -> UnixSocket:
    """Its path is in configurations: what any of them would have to quote is refused."""
    path = text.removeprefix("unix:")
    if not path.startswith("/") or path.endswith("/"):
        raise Invalid(f"{shown(text)} is not a Unix socket", "an absolute path: unix:/run/app/app.sock")
    if not re.fullmatch(r"[A-Za-z0-9/._+@~=-]+", path) or any(part in {"", ".", ".."} for part in path[1:].split("/")):
        hint = "letters, digits and . _ - + @ ~ = between single slashes: unix:/run/app/app.sock"
        raise Invalid(f"{shown(text)} has a path that not every server supports", hint)
    if len(path) > LONGEST_SOCKET_PATH:
        hint = "choose a shorter folder, such as /run/app"
        raise Invalid(f"the path of a Unix socket has {LONGEST_SOCKET_PATH} bytes at most (unix(7))", hint)
    return UnixSocket(path)


def trust_domain(text: str) -> str:
    """A SPIFFE trust domain's name (SPIFFE-ID 2.1): lower-case letters, digits, dots, hyphens, underscores."""
    if _TRUST_DOMAIN.fullmatch(text):
        return text
    bare = re.sub(r"^spiffe://", "", text, flags=re.IGNORECASE).rstrip("/").lower()
    likely = _TRUST_DOMAIN.fullmatch(bare)
    hint = f"write {bare[:60]}" if likely else "lower-case letters, digits, dots and hyphens: bank.example"
    raise Invalid(f"{shown(text)} is not a SPIFFE trust domain", hint)


def spiffe_id(text: str) -> str:
    """A workload's SPIFFE ID (SPIFFE-ID 2 and 3): trust domain in lower case and a path, at most 2,048 bytes."""
    if len(text) > 2_048:
        raise Invalid("the SPIFFE ID is longer than 2,048 bytes")
    domain, slash, path = text.removeprefix("spiffe://").partition("/")
    if not _TRUST_DOMAIN.fullmatch(domain):
        hint = "lower-case letters, digits, dots, hyphens and underscores; no port, no user"
        raise Invalid(f"{shown(text)} has no valid SPIFFE trust domain", hint)
    if not slash or not path:
        raise Invalid(
            f"{shown(text)} names no workload", f"a path follows the trust domain: spiffe://{domain[:60]}/teller"
        )
    for segment in path.split("/"):
        if segment in {"", ".", ".."} or not _SPIFFE_SEGMENT.fullmatch(segment):
            hint = "segments of letters, digits, dots, hyphens and underscores; no . or .., no slash at the end"
            raise Invalid(f"{shown(text)} is not a SPIFFE ID", hint)
    return text


def uri(text: str) -> str:
    """An absolute URI in ASCII (RFC 5280 4.2.1.6, RFC 3986 3); where its scheme is spiffe, a SPIFFE ID."""
    if text.lower().startswith(("dns:", "subject:")):
        raise Invalid(f"{shown(text)} cannot be an identity in a certificate made here", "use another scheme")
    if text.lower().startswith("spiffe:"):
        if not text.startswith("spiffe://"):
            raise Invalid(f"{shown(text)} is not a SPIFFE ID", "spiffe://trust-domain/path")
        return spiffe_id(text)
    if len(text) > 2_048 or not _URI.fullmatch(text):
        raise Invalid(f"{shown(text)} is not an absolute URI in ASCII", "scheme:rest, other characters percent-encoded")
    return text


def uri_host(text: str) -> str | None:
    """The host of a URI in lower case, None where it has no authority (RFC 3986 3.2)."""
    found = _AUTHORITY.match(text)
    return found[1].lower() or None if found else None


def email(text: str) -> str:
    """A mailbox in ASCII, its domain as A-labels (RFC 5280 4.2.1.6 and 7.5)."""
    local, at, domain = text.rpartition("@")
    if not at or len(local) > 64 or not _LOCAL_PART.fullmatch(local):
        raise Invalid(f"{shown(text)} is not an e-mail address", "name@example.org, the name in ASCII")
    return f"{local}@{dns(domain)}"


def san(text: str) -> San:
    """A subject alternative name from the list `names`: DNS name, IP address, `email:…`, `spiffe://…` or `uri:…`."""
    if text.startswith("email:"):
        return San(SanType.EMAIL, email(text.removeprefix("email:")))
    if text.startswith("uri:"):
        return San(SanType.URI, uri(text.removeprefix("uri:")))
    if text.startswith("spiffe:"):
        return San(SanType.URI, uri(text))
    if "@" in text and "/" not in text:
        raise Invalid(f"{shown(text)} is neither a DNS name nor an IP address", f"write email:{text[:60]}")
    if "//" in text or "/" in text:
        raise Invalid(f"{shown(text)} is neither a DNS name nor an IP address", _url_hint(text))
    if (with_port := re.fullmatch(r"\[?([^\[\]]+?)\]?:[0-9]+", text)) is not None and not _is_ip(text):
        raise Invalid(
            f"{shown(text)} is neither a DNS name nor an IP address", f"without the port: {with_port[1][:60]}"
        )
    if _looks_like_ip(text):
        return San(SanType.IP, ip(text))
    if text.startswith("*."):
        return San(SanType.DNS, f"*.{dns(text[2:])}")
    return San(SanType.DNS, dns(text))


def _url_hint(text: str) -> str:
    """Of a URL people mean the host; of another URI, an identity."""
    scheme, _, rest = text.rpartition("//")
    bare = re.split(r"[/?#]", rest, maxsplit=1)[0] if scheme or rest != text else text.partition("/")[0]
    if scheme and scheme.lower() not in {"http:", "https:", "tls:", "tcp:", "wss:", "ws:", "grpc:"}:
        return f"write uri:{text[:60]} for an identity"
    host_ = bare.rpartition(":")[0] if re.search(r":[0-9]+$", bare) else bare
    return f"a name is a host alone, without scheme, port and path: {host_[:60]}"


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def stands_for(name: str, expected: str) -> bool:
    """Whether a name in a certificate is the one that is expected; `*.` stands for one whole label (RFC 9525 6.3)."""
    return name == expected or (name.startswith("*.") and "." in expected and name[2:] == expected.partition(".")[2])


def is_identity(name: San) -> bool:
    """Whether a name is the one that says who its bearer is: the URI."""
    return name.type is SanType.URI


def stated_identity(text: str) -> str:
    """How a caller with a certificate from elsewhere is known: `spiffe://…`, `uri:…`, `dns:…` or `subject:…`."""
    if text.startswith("dns:"):
        return f"dns:{dns(text.removeprefix('dns:').strip())}"
    if text.startswith("subject:"):
        from scaffold.topology import distinguished_names

        name = text_without_controls(text.removeprefix("subject:").strip())
        distinguished_names.parse(name)
        return f"subject:{name}"
    if "=" in text and not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", text):
        raise Invalid(f"{shown(text)} is not an absolute URI in ASCII", f"of a subject, write subject:{text[:60]}")
    return uri(text.removeprefix("uri:"))


def form_of(identity: str) -> IdentityForm:
    """Of what sort an identity is."""
    scheme = identity.partition(":")[0]
    return IdentityForm(scheme) if scheme in (IdentityForm.DNS, IdentityForm.SUBJECT) else IdentityForm.URI


def default_identity(trust_domain: str, role: str, name: str) -> str:
    """The SPIFFE ID of an entity that names none; `role` is `server` or `client`."""
    return f"spiffe://{trust_domain}/{role}/{name}"


def wrong_identity(identity: str) -> str:
    """What a certificate with `fault: wrong-name` says instead of the allowed identity."""
    return f"{identity}/wrong-name"


def network(text: str) -> str:
    """An IP network in CIDR notation (RFC 4632), for a name constraint (RFC 5280 4.2.1.10)."""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        pass
    try:
        hint = f"the network is {ipaddress.ip_network(text, strict=False)}"
    except ValueError:
        hint = "write it in CIDR notation: 10.0.0.0/8, fd00::/8"
    raise Invalid(f"{shown(text)} is not an IP network", hint)


def dns_constraint(text: str) -> str:
    """A DNS subtree: the name itself and everything below it (RFC 5280 4.2.1.10); no dot in front, no wildcard."""
    if text.startswith((".", "*.")):
        rest = text.lstrip("*.")
        raise Invalid(
            f"{shown(text)} is not a DNS subtree", f"write {rest}: it covers all names below it (RFC 5280 4.2.1.10)"
        )
    return dns(text)


def email_constraint(text: str) -> str:
    """A mailbox, a host, or `.domain` for all hosts below it (RFC 5280 4.2.1.10)."""
    return email(text) if "@" in text else uri_constraint(text)


def uri_constraint(text: str) -> str:
    """A host, or `.domain` for all hosts below it (RFC 5280 4.2.1.10)."""
    return f".{dns(text[1:])}" if text.startswith(".") else dns(text)


def covers(name: str, expected: str) -> bool:
    """Whether a DNS name in a certificate is that of the host `expected` (RFC 9525 6.3): a wildcard is one label."""
    name, expected = name.lower(), expected.lower()
    return parent(expected) == name[2:] if name.startswith("*.") else name == expected


def parent(name: str) -> str:
    """A DNS name without its first label."""
    return name.partition(".")[2]
