"""What git leaves out: told before the first secret is there, and by exact names."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaffold.store import files, gitignore
from scaffold.store.files import Writer
from scaffold.store.layout import Layout
from tests.requirements import require_command


@pytest.mark.parametrize("path", ["servers/web/tls/key.pem", "pki/root/ca.key", "clients/a/tls/anything"])
def test_git_is_told_before_a_secret_is_there(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    writer = Writer(Layout(tmp_path))
    write = Writer._write_temporary
    monkeypatch.setattr(
        Writer,
        "_write_temporary",
        staticmethod(
            lambda temporary, *rest, **options: (die if b"secret" in rest else write)(temporary, *rest, **options)
        ),
    )
    with pytest.raises(KeyboardInterrupt):
        writer.write(path, b"secret", mode=files.SECRET_FILE)
    ignore = (tmp_path / path).parent / ".gitignore"
    assert ignore.read_text().startswith("#")
    assert stat.S_IMODE(ignore.stat().st_mode) == 0o644


def test_a_public_file_brings_none_along(tmp_path: Path) -> None:
    Writer(Layout(tmp_path)).write("servers/web/README.md", b"public")
    assert not list(tmp_path.rglob(".gitignore"))


def test_one_that_is_there_is_left_to_whoever_compares_it(tmp_path: Path) -> None:
    writer = Writer(Layout(tmp_path))
    writer.write("servers/web/tls/.gitignore", b"longer\n")
    writer.write("servers/web/tls/key.pem", b"secret", mode=files.SECRET_FILE)
    assert (tmp_path / "servers/web/tls/.gitignore").read_bytes() == b"longer\n"


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=12).filter(
    lambda name: name not in (".", "..", ".git", ".gitignore") and len(name.encode()) < 200
)


@given(public=st.sets(NAMES, max_size=4), secret=NAMES)
def test_a_name_means_itself_alone(public: set[str], secret: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    require_command("git")
    folder = tmp_path_factory.mktemp("names")
    git = ["git", "-c", "core.excludesFile=/dev/null", "-c", "core.ignoreCase=false"]
    subprocess.run([*git, "init", "--quiet", str(folder)], check=True)
    (folder / ".gitignore").write_bytes(gitignore.only(public - {secret}))
    for name in public | {secret}:
        (folder / name).write_bytes(b"")
    listed = subprocess.run(
        [*git, "-C", str(folder), "ls-files", "-z", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
    ).stdout.decode()
    wanted = {name for name in public - {secret} if name.isprintable()}
    assert set(filter(None, listed.split("\0"))) == wanted | {".gitignore"}
