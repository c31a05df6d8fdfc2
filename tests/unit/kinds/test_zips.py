"""A template in a zip file: whatever it says of itself, no more is unpacked than it may be, and nothing is left."""

from __future__ import annotations

import os
import resource
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from scaffold.kinds.zips import Bounds, CannotBeUnpacked, NotUnlocked, unpacked

MIB = 1 << 20


def packed(place: Path, files: Mapping[str, bytes]) -> Path:
    file = place / "template.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file


def refusal(file: Path, place: Path, bounds: Bounds) -> str:
    """Why it is none; nothing of it is left."""
    with pytest.raises(CannotBeUnpacked) as caught:
        unpacked(file, place / "unpacked", bounds)
    assert not (place / "unpacked").exists()
    return str(caught.value)


def test_what_is_in_the_folder_at_its_top(tmp_path: Path) -> None:
    file = packed(tmp_path, {"t/": b"", "t/a.txt": b"a", "t/b/c.txt": b"c", "__MACOSX/._t": b"x", "t/empty/": b""})

    found = unpacked(file, tmp_path / "unpacked")

    assert sorted(path.relative_to(found).as_posix() for path in found.rglob("*")) == ["a.txt", "b", "b/c.txt", "empty"]
    assert (found / "b" / "c.txt").read_bytes() == b"c"


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        (Bounds(octets=4 * MIB - 1), "it holds more than 3 MiB, or 50,000 files and folders"),
        (Bounds(entries=2), "it holds more than 256 MiB, or 2 files and folders"),
    ],
)
def test_more_than_a_template_may_be(bounds: Bounds, said: str, tmp_path: Path) -> None:
    file = packed(tmp_path, {"t/a": bytes(2 * MIB), "t/b": bytes(2 * MIB), "t/c": b""})

    assert refusal(file, tmp_path, bounds) == said
    assert unpacked(file, tmp_path / "unpacked", Bounds(octets=4 * MIB, entries=3)).is_dir()


@pytest.mark.parametrize("depth", [101, 3000])
def test_folders_in_each_other_without_end(depth: int, tmp_path: Path) -> None:
    file = packed(tmp_path, {"t/" + "d/" * depth + "a": b""})

    assert refusal(file, tmp_path, Bounds()) == "it holds folders in each other, more than 100 deep"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_none(make: Callable[[Path], None], tmp_path: Path) -> None:
    """A pipe would be waited for without end."""
    make(tmp_path / "template.zip")

    assert refusal(tmp_path / "template.zip", tmp_path, Bounds()) == "it is not a regular file"


def test_a_size_that_is_a_lie_is_not_believed(tmp_path: Path) -> None:
    """Its directory says ten octets; sixteen megabytes come of it."""
    file = packed(tmp_path, {"t/a": bytes(16 * MIB)})
    content = bytearray(file.read_bytes())
    entry = content.rindex(b"PK\x01\x02")
    struct.pack_into("<I", content, entry + 24, 10)  # APPNOTE.TXT 4.3.12: the uncompressed size
    file.write_bytes(content)
    with zipfile.ZipFile(file) as archive:
        assert archive.infolist()[0].file_size == 10

    assert refusal(file, tmp_path, Bounds(octets=MIB)) == "it is no whole zip file"


@pytest.mark.parametrize("name", ["t/../../evil", "t//etc/evil", "t/./a", "../evil/a", "/etc/evil"])
def test_a_name_that_leads_out(name: str, tmp_path: Path) -> None:
    file = packed(tmp_path, {name: b"evil"})

    assert refusal(file, tmp_path, Bounds()).startswith("it holds a name that points outside it: ")
    assert [path.name for path in tmp_path.iterdir()] == ["template.zip"]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "it is no whole zip file"), (b"PK\x03\x04", "it is no whole zip file"), (b"x" * 9999, "no whole zip file")],
)
def test_what_is_no_zip_file(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "template.zip").write_bytes(content)

    assert said in refusal(tmp_path / "template.zip", tmp_path, Bounds())


@pytest.mark.parametrize("files", [{}, {"a.txt": b"a"}])
def test_no_folder_at_its_top(files: Mapping[str, bytes], tmp_path: Path) -> None:
    assert refusal(packed(tmp_path, files), tmp_path, Bounds()) == "it has no folder at its top"


def test_damaged_content(tmp_path: Path) -> None:
    file = packed(tmp_path, {"t/a": b"a" * 999, "t/b": b"b"})
    content = bytearray(file.read_bytes())
    content[40] ^= 0xFF
    file.write_bytes(content)

    assert refusal(file, tmp_path, Bounds()) == "it is no whole zip file"


def test_one_with_a_password(tmp_path: Path) -> None:
    file = Path(__file__).parent.parent.parent / "apps" / "locked-service.zip"
    for password in (None, "another"):
        with pytest.raises(NotUnlocked, match="its password is another"):
            unpacked(file, tmp_path / "unpacked", password=password)
        assert not (tmp_path / "unpacked").exists()
    assert unpacked(file, tmp_path / "unpacked", password="hunter2").is_dir()


def test_nothing_is_left_where_the_disk_takes_no_more(tmp_path: Path) -> None:
    file = packed(tmp_path, {"t/a": b"a", "t/b": bytes(2 * MIB)})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            unpacked(file, tmp_path / "unpacked")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / "unpacked").exists()
