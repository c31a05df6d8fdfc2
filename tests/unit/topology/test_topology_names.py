"""Names, addresses and durations: canonical values, and refusals with a hint."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaffold.topology import names
from scaffold.topology.durations import LONGEST, format_duration, parse_duration
from scaffold.topology.messages import Invalid, nearest, shown
from scaffold.topology.model import HostPort, San, SanType, UnixSocket


@pytest.mark.parametrize(
    ("text", "type_", "value"),
    [
        ("Accounts.Banking.Internal", SanType.DNS, "accounts.banking.internal"),
        ("localhost", SanType.DNS, "localhost"),
        ("*.example.org", SanType.DNS, "*.example.org"),
        ("bücher.example", SanType.DNS, "xn--bcher-kva.example"),
        ("*.bücher.example", SanType.DNS, "*.xn--bcher-kva.example"),
        ("127.0.0.1", SanType.IP, "127.0.0.1"),
        ("0:0:0:0:0:0:0:1", SanType.IP, "::1"),
        ("FD00::00AB", SanType.IP, "fd00::ab"),
        ("email:Ops@Example.ORG", SanType.EMAIL, "Ops@example.org"),
        ("email:ops@bücher.example", SanType.EMAIL, "ops@xn--bcher-kva.example"),
        ("spiffe://bank/teller", SanType.URI, "spiffe://bank/teller"),
        ("uri:spiffe://bank/teller", SanType.URI, "spiffe://bank/teller"),
        ("uri:urn:uuid:f81d4fae", SanType.URI, "urn:uuid:f81d4fae"),
        ("uri:https://example.org/a%20b", SanType.URI, "https://example.org/a%20b"),
    ],
)
def test_a_name_is_read_in_its_canonical_form(text: str, type_: SanType, value: str) -> None:
    assert names.san(text) == San(type_, value)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", ""),
        ("a..b", ""),
        ("-a.example", ""),
        ("a_b.example", "underscores"),
        ("example.org.", "dot at the end"),
        ("a" * 64 + ".example", ""),
        (".".join(["a" * 60] * 5), "253"),
        ("127.0.0.256", ""),
        ("127.1", ""),
        ("010.0.0.1", ""),
        ("fe80::1%eth0", "interface"),
        ("*", "wildcard"),
        ("a.*.example", "wildcard"),
        ("*a.example", "wildcard"),
        ("localhost:8443", ""),
        ("https://example.org", "scheme, port and path: example.org"),
        ("ops@example.org", "email:ops@example.org"),
        ("email:ops", ""),
        ("email:o ps@example.org", ""),
        ("email:ćops@example.org", "ASCII"),
        ("uri:relative/path", ""),
        ("uri:urn:a b", ""),
        ("uri:urn:ć", "percent-encoded"),
        ("uri:urn:%zz", ""),
        ("a\nb", ""),
        ("a.example\n", ""),
        ("{{ 7*7 }}", ""),
        ("a\u202eb.example", ""),
    ],
)
def test_what_is_no_name_is_refused(text: str, hint: str) -> None:
    with pytest.raises(Invalid) as caught:
        names.san(text)
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("text", "backend"),
    [
        ("http://127.0.0.1:5000", HostPort("127.0.0.1", 5000)),
        ("http://127.0.0.1:5000/", HostPort("127.0.0.1", 5000)),
        ("HTTP://LocalHost:80", HostPort("127.0.0.1", 80)),
        ("http://[::1]:5000", HostPort("::1", 5000)),
        ("http://App.Example:5000", HostPort("app.example", 5000)),
        ("unix:/run/app/app.sock", UnixSocket("/run/app/app.sock")),
        ("unix:/" + "a" * 106, UnixSocket("/" + "a" * 106)),
    ],
)
def test_a_backend_is_a_place_for_plain_http(text: str, backend: object) -> None:
    assert names.backend(text) == backend


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("https://127.0.0.1:5000", "`upstream`"),
        ("http://127.0.0.1", "http://127.0.0.1:5000"),
        ("http://127.0.0.1:", "http://127.0.0.1:5000"),
        ("http://[::1]", "http://[::1]:5000"),
        ("http://127.0.0.1:0", "1 to 65535"),
        ("http://127.0.0.1:65536", "1 to 65535"),
        ("http://127.0.0.1:5000/api", "without a path"),
        ("http://127.0.0.1:5000?a", "without a path"),
        ("http://user:secret@127.0.0.1:5000", "only the server in front of it decides"),
        ("http://0.0.0.0:5000", "http://127.0.0.1:5000"),
        ("http://[::]:5000", "http://127.0.0.1:5000"),
        ("http://[::ffff:0.0.0.0]:5000", "http://127.0.0.1:5000"),
        ("http://[::ffff:0:0]:5000", "http://127.0.0.1:5000"),
        ("http://a b:5000", ""),
        ("ftp://127.0.0.1:21", "http://127.0.0.1:21"),
        ("127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("5000", "http://127.0.0.1:5000"),
        ("/run/app.sock", "unix:/run/app.sock"),
        ("unix:app.sock", "unix:/run/app/app.sock"),
        ("unix:@app", "absolute"),
        ("unix:/run/", "absolute"),
        ("unix:/run/../app.sock", "single slashes"),
        ("unix:/run//app.sock", "single slashes"),
        ("unix:/run/a pp.sock", "letters"),
        ('unix:/run/a"pp.sock', "letters"),
        ("unix:/run/$app.sock", "letters"),
        ("unix:/run/app.sock;", "letters"),
        ("unix:/run/äpp.sock", "letters"),
        ("unix:/run/app.sock\n", ""),
        ("unix:/" + "a" * 107, "shorter"),
    ],
)
def test_what_is_no_place_for_plain_http_is_refused(text: str, hint: str) -> None:
    with pytest.raises(Invalid) as caught:
        names.backend(text)
    assert hint in (caught.value.hint or "")
    assert "secret" not in caught.value.message + (caught.value.hint or "")


@pytest.mark.parametrize(
    "text",
    [
        "spiffe://bank",
        "spiffe://bank/",
        "spiffe:///teller",
        "spiffe://Bank/teller",
        "spiffe://bank:8443/teller",
        "spiffe://me@bank/teller",
        "spiffe://bank/a//b",
        "spiffe://bank/a/",
        "spiffe://bank/./a",
        "spiffe://bank/../a",
        "spiffe://bank/a?b",
        "spiffe://bank/a#b",
        "spiffe://bank/a%20b",
        "spiffe://bank/a\n",
        "SPIFFE://bank/a",
        "spiffe:bank/a",
        "spiffe://" + "b" * 256 + "/a",
        "spiffe://bank/" + "a" * 2_048,
    ],
)
def test_what_is_no_spiffe_id_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        names.uri(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8443", HostPort("127.0.0.1", 8443)),
        ("[::1]:8443", HostPort("::1", 8443)),
        ("[0:0::1]:1", HostPort("::1", 1)),
        ("Accounts.internal:65535", HostPort("accounts.internal", 65535)),
    ],
)
def test_an_address_is_read(text: str, address: HostPort) -> None:
    assert names.host_port(text) == address
    assert names.host_port(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "8443",
        "127.0.0.1",
        ":8443",
        "127.0.0.1:",
        "::1:8443",
        "[::1]",
        "[127.0.0.1]:1",
        "a:0",
        "a:65536",
        "a:08",
        "a:٣",
        "a b:1",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        names.host_port(text)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:9080", "http://127.0.0.1:9080"),
        ("HTTP://PKI.example.org/", "http://pki.example.org"),
        ("http://[::1]:80", "http://[::1]:80"),
        ("http://[0::1]", "http://[::1]"),
    ],
)
def test_a_publisher_is_read(text: str, url: str) -> None:
    assert names.publish_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "https://a",
        "a:80",
        "http://",
        "http://a/crl",
        "http://a?b",
        "http://a#b",
        "http://me@a",
        "http://a:b",
        "http://a:0",
        "ftp://a",
    ],
)
def test_what_is_no_publisher_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        names.publish_url(text)


@pytest.mark.parametrize(
    ("read", "good", "canonical"),
    [
        (names.network, "10.0.0.0/8", "10.0.0.0/8"),
        (names.network, "FD00::/8", "fd00::/8"),
        (names.network, "10.0.0.1", "10.0.0.1/32"),
        (names.dns_constraint, "Banking.Internal", "banking.internal"),
        (names.email_constraint, "ops@example.org", "ops@example.org"),
        (names.email_constraint, ".example.org", ".example.org"),
        (names.uri_constraint, "Example.org", "example.org"),
    ],
)
def test_a_constraint_is_read(read: Callable[[str], str], good: str, canonical: str) -> None:
    assert read(good) == canonical


@pytest.mark.parametrize(
    ("read", "bad", "hint"),
    [
        (names.network, "10.0.0.1/8", "10.0.0.0/8"),
        (names.network, "ten", "CIDR"),
        (names.dns_constraint, ".internal", "write internal"),
        (names.dns_constraint, "*.internal", "write internal"),
        (names.uri_constraint, "127.0.0.1", ""),
        (names.country, "nl", "NL"),
        (names.country, "NLD", "two letters"),
        (names.label, "My Server", "my-server"),
        (names.label, "аpi", ""),
        (names.label, "a" * 64, ""),
        (names.label, "api\n", "api"),
        (names.environment_variable, "$HOME", "without $"),
        (names.variable, "_private", ""),
    ],
)
def test_other_text_is_refused_with_a_hint(read: Callable[[str], str], bad: str, hint: str) -> None:
    with pytest.raises(Invalid) as caught:
        read(bad)
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize("text", ["", " ", " a", "a ", "a\nb", "a\x1bb", "a\u202eb", "a\u0085b", "a\u2028b", "a\0"])
def test_text_with_control_characters_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        names.text_without_controls(text)


@pytest.mark.parametrize("text", ["Contoso Bank", 'Quote " and \\', "Banka Ćao d.o.o.", "株式会社", "{{ 7*7 }}"])
def test_other_text_is_taken_as_it_is(text: str) -> None:
    assert names.text_without_controls(text) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1), ("5m", 300), ("24h", 86_400), ("90d", 7_776_000), ("2w", 1_209_600), ("1y", 31_536_000)],
)
def test_a_duration_is_read(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "0d", "-1d", "1", "d", "1.5d", "1 d", "90D", "01d", "1d\n", "٣d", "9999y", "9" * 400 + "d"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_duration(text)
    assert caught.value.hint


@given(st.integers(1, int(LONGEST.total_seconds())))
def test_a_duration_is_read_back_as_it_was_written(seconds: int) -> None:
    assert parse_duration(format_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


@given(st.text())
def test_any_text_is_a_name_or_is_refused(text: str) -> None:
    for read in (
        names.san,
        names.host_port,
        names.publish_url,
        names.network,
        names.email_constraint,
        names.uri,
        parse_duration,
    ):
        message = ""
        try:
            read(text)
        except Invalid as error:
            message = error.message
        assert message.isprintable()


@given(st.text())
def test_text_is_shown_on_one_line_that_moves_no_cursor(text: str) -> None:
    assert shown(text).isprintable()
    assert len(shown(text)) < 1_200


def test_the_nearest_name_is_a_hint() -> None:
    assert nearest("isuing", ["root", "issuing"]) == 'did you mean "issuing"?'
    assert nearest("x", ["root", "issuing"]) == "known: root, issuing"
    assert nearest("x", []) is None
    assert nearest("zzz", [f"server-{i}" for i in range(20)]) == (
        "known: " + ", ".join(f"server-{i}" for i in range(8)) + " and 12 more"
    )
