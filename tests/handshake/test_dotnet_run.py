"""run.sh of the .NET kinds: what it builds, when, and in which folders and homes; the client shows most of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.handshake import dotnet_lab as lab
from tests.handshake.nginx_lab import Authority, allow, call_of, client
from tests.requirements import require_command

require_command("dotnet")

SAYS = """namespace Client.Three.Folders.Deep;

internal static class Says
{
    public const string Word = "%s";
}
"""


@pytest.fixture(scope="module")
def rendered(root: Authority, ca: Authority, tmp_path_factory: pytest.TempPathFactory) -> lab.Project:
    """A client that nobody has built, with a source file of its team's three folders deep."""
    folder = tmp_path_factory.mktemp("rendered") / "teller"
    made = lab.client_project(folder, root, ca, [call_of("desk", 1, "localhost")])
    made.render()
    made.tls.mkdir()
    made.edit(
        "Program.cs", "using Client;\n", "using Client;\n\nConsole.WriteLine(Client.Three.Folders.Deep.Says.Word);\n"
    )
    _say(folder, "before")
    return made


def _say(folder: Path, word: str) -> None:
    deep = folder / "Three" / "Folders" / "Deep"
    deep.mkdir(parents=True, exist_ok=True)
    (deep / "Says.cs").write_text(SAYS % word)


def _run(
    folder: Path, environment: Mapping[str, str] | None = None, cwd: str = "/"
) -> subprocess.CompletedProcess[str]:
    """run.sh with an argument that ends the client at once, started from somewhere else."""
    quick = {**lab.QUIET, "RunAnalyzers": "false"}
    return subprocess.run(
        [folder / "run.sh", "nobody"], cwd=cwd, env={**os.environ, **quick, **(environment or {})},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.fixture(scope="module")
def built(rendered: lab.Project) -> Path:
    done = _run(rendered.folder)
    assert (done.returncode, done.stdout) == (2, "before\n"), done
    assert 'There is no server "nobody"' in done.stderr
    return rendered.folder


@pytest.fixture
def project(built: Path, tmp_path: Path) -> Path:
    """A copy of the built client with the times of its files."""
    return Path(shutil.copytree(built, tmp_path / "teller"))


def _program(folder: Path) -> Path:
    return folder / "bin" / "Release" / "net10.0" / "teller-client.dll"


def test_what_has_not_changed_is_not_built_again(project: Path) -> None:
    before = _program(project).stat().st_mtime_ns
    hidden = {"PATH": _without_building(project)}
    assert _run(project, hidden).stdout == "before\n"
    assert _program(project).stat().st_mtime_ns == before


def _without_building(project: Path) -> str:
    """A PATH whose dotnet runs programs and refuses to build any."""
    place = project.parent / "no-build"
    place.mkdir()
    real = shutil.which("dotnet")
    (place / "dotnet").write_text(f'#!/bin/sh\n[ "$1" != build ] || exit 99\nexec "{real}" "$@"\n')
    (place / "dotnet").chmod(0o755)
    return f"{place}:{os.environ['PATH']}"


def test_a_source_three_folders_deep_that_changes_is_built(project: Path) -> None:
    _say(project, "after")
    assert _run(project, {"PATH": _without_building(project)}).returncode == 99  # it wants to build
    assert _run(project).stdout == "after\n"


@pytest.mark.long
def test_a_source_that_came_or_went_is_built_whatever_its_date(project: Path) -> None:
    old = project / "Three" / "Old.cs"
    old.write_text("namespace Client.Three;\n\ninternal static class Old;\n")
    os.utime(old, (1, 1))
    hidden = {"PATH": _without_building(project)}
    assert _run(project, hidden).returncode == 99
    assert _run(project).returncode == 2
    assert _run(project, hidden).returncode == 2
    old.unlink()
    assert _run(project, hidden).returncode == 99


@pytest.mark.parametrize("folder", ["bin/Three", "obj/Three", ".git/Three"])
def test_what_the_build_does_not_read_is_no_reason_to_build(folder: str, project: Path) -> None:
    (project / folder).mkdir(parents=True)
    (project / folder / "Generated.cs").write_text("not C#")
    assert _run(project, {"PATH": _without_building(project)}).returncode == 2


@pytest.mark.long
def test_a_build_that_fails_is_tried_again(project: Path) -> None:
    (project / "Three" / "Wrong.cs").write_text("not C#")
    assert _run(project).returncode not in (0, 2)
    assert _run(project).returncode not in (0, 2)
    (project / "Three" / "Wrong.cs").unlink()
    assert _run(project).returncode == 2


# --- What decides is in every build ----------------------------------------------------------------------------------

TAKES_OUT = """<Project>
  <ItemGroup>
    <Compile Remove="%s" />
  </ItemGroup>
</Project>
"""
TAKES_OUT_LATE = """<Project>
  <Target Name="Late" BeforeTargets="CoreCompile">
    <ItemGroup>
      <Compile Remove="%s" />
    </ItemGroup>
  </Target>
  <Target Name="DemandScaffoldsSources" />
</Project>
"""
ERROR = "    <Error Condition"


def _doctored(folder: Path, source: str, taking_out: str, by: str) -> None:
    """The same source stands elsewhere, where it could say anything."""
    (folder / "Mine").mkdir()
    shutil.copyfile(folder / source, folder / "Mine" / Path(source).name)
    (folder / by).write_text(taking_out % source)


@pytest.mark.parametrize(
    "taking_out", [pytest.param(TAKES_OUT, marks=pytest.mark.long), TAKES_OUT_LATE], ids=["at once", "late"]
)
def test_no_source_of_scaffolds_is_taken_out_of_the_build(taking_out: str, project: Path) -> None:
    _doctored(project, "ServerCertificateValidation.cs", taking_out, "Directory.Build.targets")
    done = _run(project)
    assert done.returncode not in (0, 2)
    assert "takes scaffold's sources out of the build" in done.stdout + done.stderr
    assert "ServerCertificateValidation.cs" in done.stdout + done.stderr
    rules = project / "teller.csproj"
    rules.write_text(rules.read_text().replace(ERROR, "    <Message Condition"))
    assert _run(project).returncode == 2, "without that it is built"


def test_the_guard_of_a_service_is_in_its_build(root: Authority, ca: Authority, tmp_path: Path) -> None:
    made = lab.server_project(tmp_path / "desk", root, ca, [allow("teller", ca)])
    made.render()
    made.tls.mkdir(exist_ok=True)
    _doctored(made.folder, "Security/CallerGuard.cs", TAKES_OUT, "App.props")
    done = _run(made.folder)
    assert done.returncode not in (0, 2)
    assert "takes scaffold's sources out of the build" in done.stdout + done.stderr


@pytest.mark.long
@pytest.mark.parametrize("home", ["/nonexistent", None], ids=["nonexistent", "unset"])
def test_it_builds_for_a_user_without_a_home(home: str | None, rendered: lab.Project, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(rendered.folder, tmp_path / "teller", ignore=shutil.ignore_patterns("bin", "obj")))
    bare = {name: value for name, value in os.environ.items() if name not in ("HOME", "DOTNET_CLI_HOME")}
    done = subprocess.run(
        [copied / "run.sh", "nobody"], cwd="/", env={**bare, **lab.QUIET, **({"HOME": home} if home else {})},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "before\n"), done


def test_the_service_builds_and_serves_for_a_user_without_a_home(
    root: Authority, ca: Authority, tmp_path: Path
) -> None:
    made = lab.server_project(tmp_path / "desk", root, ca, [allow("teller", ca)], files=lab.PFX).write()
    for name in ("bin", "obj"):
        shutil.rmtree(made.folder / name)
    with lab.running(made, HOME="/nonexistent", SERVICE_HOME="") as project:
        assert project.ask(client(ca, "teller")).status == 200


@pytest.mark.parametrize("name", ["a%20b", "a;b", "a*b", "a?b", "a@(b)", "a\\b"])
def test_a_folder_that_msbuild_cannot_build_in_is_named(name: str, rendered: lab.Project, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(rendered.folder, tmp_path / name, ignore=shutil.ignore_patterns("bin", "obj")))
    done = _run(copied)
    assert done.returncode == 1
    assert done.stderr.startswith("run.sh: MSBuild takes ")
    assert done.stderr.rstrip("\n").endswith(str(copied))


@pytest.mark.long
def test_a_folder_of_other_characters_is_built_in(rendered: lab.Project, tmp_path: Path) -> None:
    name = "a b#c&d'e\"f$(g)h%i@j[k]\u00e9"
    copied = Path(shutil.copytree(rendered.folder, tmp_path / name, ignore=shutil.ignore_patterns("bin", "obj")))
    assert _run(copied).stdout == "before\n"
