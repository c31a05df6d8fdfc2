"""Passwords that people provide, in whatever way an editor or a shell has written them."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaffold.errors import SecretError
from scaffold.store import secrets
from scaffold.store.layout import Layout
from scaffold.store.secrets import Secrets
from scaffold.topology.model import EnvSecret, FileSecret

OWNER = "server.web.bundle"


def from_file(content: bytes, folder: Path) -> bytes:
    path = folder / "password"
    path.write_bytes(content)
    return Secrets().given(FileSecret(path), OWNER)


def from_environment(text: str) -> bytes:
    return Secrets({"PASSWORD": text}).given(EnvSecret("PASSWORD"), OWNER)


def test_text_in_utf_8_is_the_same_under_every_locale() -> None:
    """Where the locale has no such letters, Python shows their octets as what is no text."""
    read = "pässword".encode().decode("ascii", "surrogateescape")
    assert from_environment(read) == from_environment("pässword") == "pässword".encode()


@pytest.mark.parametrize(
    "content",
    [
        b"hunter2",
        b"hunter2\n",
        b"hunter2\r\n",
        b"hunter2\nand a remark\n",
        codecs.BOM_UTF8 + b"hunter2\r\n",
        "\ufeffhunter2\r\n".encode("utf-16-le"),
        "\ufeffhunter2\n".encode("utf-16-be"),
    ],
)
def test_the_first_line_is_the_password_however_it_is_written(content: bytes, tmp_path: Path) -> None:
    assert from_file(content, tmp_path) == b"hunter2"


@pytest.mark.parametrize("password", ["  two words ", "pässwörd", "пароль", "秘密", "🔑"])
def test_spaces_and_any_script_are_part_of_it(password: str, tmp_path: Path) -> None:
    assert from_file(f"{password}\n".encode(), tmp_path) == password.encode()
    assert from_environment(password) == password.encode()


def test_a_password_is_no_longer_than_openssl_reads(tmp_path: Path) -> None:
    longest = "ä" * 511 + "x"
    assert from_file(longest.encode() + b"\n", tmp_path) == from_environment(longest) == longest.encode()
    with pytest.raises(SecretError, match=r"^server\.web\.bundle: the password in .* has 1,024 octets, and OpenSSL"):
        from_file("ä".encode() * 512 + b"\n", tmp_path)
    with pytest.raises(SecretError, match="the password in the environment variable PASSWORD has 3,000 octets"):
        from_environment("x" * 3000)


def test_a_seed_may_be_longer() -> None:
    assert Secrets({"SEED": "x" * 3000}).given(EnvSecret("SEED"), "reproducible", "seed") == b"x" * 3000


@pytest.mark.parametrize("content", [b"", b"\n", codecs.BOM_UTF8, codecs.BOM_UTF8 + b"\r\n", codecs.BOM_UTF16_LE])
def test_an_empty_line_is_none(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(SecretError, match="its password is not in"):
        from_file(content, tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("pässwörd\n".encode("latin-1"), "is not text in UTF-8"),
        (codecs.BOM_UTF16_LE + b"h\0u", "is not text in UTF-8"),
        (codecs.BOM_UTF32_LE + "hunter2".encode("utf-32-le"), "holds a control character"),
        (b"hunter\x002\n", "holds a control character"),
        (b"hunter2\rnext\n", "holds a control character"),
    ],
)
def test_what_two_programs_would_read_in_two_ways_is_refused(content: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(SecretError, match=said) as caught:
        from_file(content, tmp_path)
    assert OWNER in str(caught.value)
    assert "hunter" not in str(caught.value)


def test_a_variable_is_read_like_a_file() -> None:
    assert from_environment("\ufeffhunter2\r\n") == b"hunter2"
    with pytest.raises(SecretError, match="holds a control character"):
        from_environment("hunter2\nnext")
    with pytest.raises(SecretError, match="is not text in UTF-8"):
        from_environment("p\udce4ss")  # how os.environ shows a byte of Latin-1
    with pytest.raises(SecretError, match="its password is not in the environment variable"):
        from_environment("")


@given(content=st.binary(max_size=40))
def test_any_bytes_are_a_password_or_a_clear_error(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    try:
        found = from_file(content, tmp_path_factory.getbasetemp())
    except SecretError:
        return
    assert found
    assert "\ufeff" not in found.decode()[:1]


def test_looking_asks_nobody(tmp_path: Path) -> None:
    assert secrets.seen(FileSecret(tmp_path / "nothing")) is None
    (tmp_path / "password").write_bytes(b"hunter2\n")
    assert secrets.seen(FileSecret(tmp_path / "password")) == b"hunter2"


def test_a_kept_password_survives_an_editor(tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(codecs.BOM_UTF8 + b"generated\r\n")
    assert secrets.kept(Layout(tmp_path), "kept") == b"generated"
    (tmp_path / "kept").write_bytes(b"\n")
    assert secrets.kept(Layout(tmp_path), "kept") is None
    assert secrets.kept(Layout(tmp_path), "nothing") is None
