"""What names the version of an app's template, what is no part of it, and which answers it takes."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from scaffold.errors import KindError
from scaffold.kinds import app_child, app_templates, fetching
from scaffold.topology.model import App
from tests.requirements import require_command


def test_a_file_that_may_be_run_makes_another_version(tmp_path: Path) -> None:
    file = tmp_path / "run.sh"
    file.write_text("true\n")
    file.chmod(0o644)
    before = app_templates.digest(tmp_path)
    file.chmod(0o755)
    assert app_templates.digest(tmp_path) != before
    file.chmod(0o644)
    assert app_templates.digest(tmp_path) == before


def test_a_link_in_the_place_of_what_is_no_part_goes_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept.txt").write_text("kept")
    template = tmp_path / "template"
    template.mkdir()
    (template / "__pycache__").symlink_to(tmp_path / "elsewhere")
    fetching._drop_no_part(template)
    assert list(template.iterdir()) == []
    assert (tmp_path / "elsewhere" / "kept.txt").read_text() == "kept"


def test_beside_another_systems_folder_git_is_not_asked(tmp_path: Path) -> None:
    """Whoever packed a repository of Mercurial may have put a folder of git's into it."""
    require_command("git")
    for arguments in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "One"]):
        named = ["-c", "user.name=a", "-c", "user.email=a@b.example"]
        subprocess.run(["git", *named, *arguments], cwd=tmp_path, check=True)
    assert fetching.commit(tmp_path) is not None
    (tmp_path / ".hg").mkdir()
    assert fetching.commit(tmp_path) is None


@pytest.mark.parametrize(("answer", "is_one"), [("a", True), (("a", "b"), True), ("c", False), (("a", "c"), False)])
def test_each_answer_is_among_the_choices(answer: object, tmp_path: Path, *, is_one: bool) -> None:
    (tmp_path / "cookiecutter.json").write_text(json.dumps({"parts": ["a", "b"]}))
    app = App("./template", vars={"parts": answer})
    if is_one:
        app_templates.check_declared(app, tmp_path)
        return
    with pytest.raises(KindError, match='the variable "parts" cannot be'):
        app_templates.check_declared(app, tmp_path)


@pytest.mark.parametrize(
    ("path", "entry"),
    [
        ("inside/link", "inside/link"),
        ("inside/link/", "outside"),
        ("inside/link/.", "outside"),
        ("inside/..", ""),
        ("inside/folder/../file", "inside/file"),
    ],
)
def test_an_entry_is_where_its_folder_really_is(path: str, entry: str, tmp_path: Path) -> None:
    for name in ("inside/folder", "outside"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "inside" / "link").symlink_to(tmp_path / "outside")
    real = os.path.realpath(tmp_path)
    assert app_child._entry(f"{tmp_path}/{path}") == (os.path.join(real, entry) if entry else real)  # noqa: PTH118


def test_a_hook_takes_what_memory_it_takes_and_the_bound_is_there_again_after_it() -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_AS)
    seen = []

    def hook(*_: object) -> None:
        seen.append(resource.getrlimit(resource.RLIMIT_AS)[0])
        raise ValueError("the hook fails")

    bound = 1 << 46
    resource.setrlimit(resource.RLIMIT_AS, (bound, before[1]))
    try:
        with pytest.raises(ValueError, match="the hook fails"):
            app_child._unbounded(hook)("post_gen_project")
        after = resource.getrlimit(resource.RLIMIT_AS)[0]
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert seen == [before[1]]
    assert after == bound
