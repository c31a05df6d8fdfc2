"""Templates of apps as people publish them, each rendered by cookiecutter; and those that go wrong or are hostile."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import resource
import select
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scaffold.errors import KindError
from scaffold.kinds.app_rendering import USUAL, Bounds, RenderedApp, render_app
from scaffold.kinds.app_templates import digest, fetched
from scaffold.topology.model import App
from tests.requirements import require

APPS = Path(__file__).parent.parent.parent / "apps"

Render = Callable[..., RenderedApp]


@pytest.fixture
def render(tmp_path: Path) -> Render:
    """Renders a template of tests/apps, or the one in `tmp_path / "template"`."""

    def render(app: App, base: Path = APPS, bounds: Bounds = USUAL) -> RenderedApp:
        place = tmp_path / f"place-{len(list(tmp_path.iterdir()))}"
        for name in ("fetched", "rendered"):
            (place / name).mkdir(parents=True)
        return render_app(app, fetched(app, base, place / "fetched"), place / "rendered", bounds)

    return render


def text(app: RenderedApp, name: str) -> str:
    return app.files[name].content.decode()


# --- As they are published ---


def test_hooks_remove_what_was_not_chosen(render: Render) -> None:
    answers = {"project_name": "Shop API", "database": "sqlite", "use_docker": False}
    made = render(App("./fastapi-service", vars=answers))

    assert sorted(made.files) == [
        "pyproject.toml",
        "run.sh",
        "shop_api/__init__.py",
        "shop_api/database.py",
        "shop_api/main.py",
    ]
    assert "from shop_api import database" in text(made, "shop_api/main.py")
    assert made.files["run.sh"].executable
    assert made.folder.name == "shop-api"


def test_a_hook_that_refuses_an_answer_is_heard(render: Render) -> None:
    with pytest.raises(KindError) as caught:
        render(App("./fastapi-service", vars={"project_slug": "9lives"}))

    assert "Traceback" not in caught.value.message
    assert "Hook script failed (exit status: 1)" in caught.value.message
    assert "ERROR: '9lives' is no name of a Python module" in caught.value.message


def test_braces_of_go_are_copied_and_not_rendered(render: Render) -> None:
    made = render(App("./go-service", vars={"app_name": "shop", "license": "BSD-3"}))

    assert text(made, "go.mod").startswith("module github.com/someone/shop\n")
    assert text(made, "web/index.tmpl") == '{{ define "index" }}<h1>{{ .Title }}</h1>{{ end }}\n'
    assert "{{ range .Items }}" in text(made, "web/list.gohtml")
    assert text(made, "LICENSE").strip() == "BSD 3-Clause"


def test_variables_of_every_sort(render: Render) -> None:
    answers = {
        "log_level": "debug",
        "answers_json": False,
        "workers": 2,
        "labels": {"team": "shop"},
        "_private": "told",
    }
    made = render(App("./small-service", vars=answers))

    app = text(made, "app.py")
    assert 'NAME = "SMALL_SERVICE"' in app
    assert "LABELS = {'team': 'shop', 'tier': 'one'}" in app
    assert "WORKERS = 2" in app
    assert "DEBUG = True\n\n\nclass Handler" in app  # trim_blocks and lstrip_blocks of _jinja2_env_vars
    assert text(made, "static/page.html") == "<p>{{ not.cookiecutters }}</p>\n"
    assert json.loads(text(made, "settings.json")) == {"private": "told", "json": False, "tag": "a"}


def test_extensions_of_the_template_itself(render: Render) -> None:
    assert text(render(App("./extended-service")), "README.md") == "# EXTENDED!\n\na-long-title\n"


def test_an_extension_that_is_installed_beside_scaffold(render: Render) -> None:
    require(importlib.util.find_spec("jinja2_time"), "jinja2_time (pip install jinja2-time)")
    assert re.fullmatch(r"Copyright 20\d\d\n", text(render(App("./dated-service")), "NOTICE"))


def test_an_extension_that_is_not_there_says_what_to_install(render: Render, tmp_path: Path) -> None:
    template = write(tmp_path, {"slug": "x", "_extensions": ["jinja2_of_nobody.TimeExtension"]}, {"a.txt": "a"})
    with pytest.raises(KindError) as caught:
        render(App(str(template)))

    assert "it needs the module jinja2_of_nobody" in caught.value.message
    assert caught.value.hint is not None
    assert f"{sys.executable} -m pip install jinja2-of-nobody" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "hook", "hint"),
    [
        ("post_gen_project.py", "import slugify_of_nobody\n", "-m pip install slugify-of-nobody"),
        ("post_gen_project.py", "import subprocess\nsubprocess.run(['no-poetry'])\n", "needs no-poetry: install that"),
        ("post_gen_project.sh", "#!/bin/sh\nno-npm install\n", "needs no-npm: install that"),
        ("post_gen_project.sh", "#!/usr/bin/env no-ruby\n", "needs no-ruby: install that"),
        ("post_gen_project.rb", "#!/nowhere/ruby\n", "names the program that runs it: install that"),
        ("pre_prompt.py", "import nobody\n", "-m pip install nobody"),
        ("pre_prompt.sh", "#!/bin/sh\necho it needs docker\nexit 1\n", "do what its hook says"),
        ("post_gen_project.py", "import os\nos.remove('Dockerfile')\n", "do what its hook says"),
        ("post_gen_project.py", "raise SystemExit(1)\n", "fix the template, or choose another"),
    ],
)
def test_what_a_hook_lacks_is_what_to_install(name: str, hook: str, hint: str, render: Render, tmp_path: Path) -> None:
    template = write(tmp_path, {"slug": "x"}, {"a.txt": "a"})
    (template / "hooks").mkdir()
    (template / "hooks" / name).write_text(hook)
    (template / "hooks" / name).chmod(0o755)

    assert hint in str(refusal_of(render, template).hint)


def refusal_of(render: Render, template: Path) -> KindError:
    with pytest.raises(KindError) as caught:
        render(App(str(template)))
    return caught.value


def test_shaped_like_a_large_public_template(render: Render, tmp_path: Path) -> None:
    """Names rendered from names, random secrets, the year, an answer as a boolean and one as yes or no, both hooks."""
    require(importlib.util.find_spec("jinja2_time"), "jinja2_time (pip install jinja2-time)")
    values = {
        "project_name": "My Awesome Shop",
        "slug": "{{ cookiecutter.project_name|slugify(separator='_') }}",
        "cloud_provider": ["AWS", "None"],
        "use_celery": False,
        "use_docker": "y",
        "ports": {"web": 5000, "{{ cookiecutter.slug }}": "80"},
        "_secret": "kept",
        "__year": "{% now 'utc', '%Y' %}",
        "__prompts__": {"cloud_provider": {"__prompt__": "Whose computers", "AWS": "Amazon's"}, "use_celery": "Tasks"},
        "_extensions": [
            "jinja2_time.TimeExtension",
            "cookiecutter.extensions.SlugifyExtension",
            "cookiecutter.extensions.RandomStringExtension",
        ],
    }
    hooks = {
        "pre": "import sys\nsys.exit(0 if '{{ cookiecutter.slug }}'.isidentifier() else 1)\n",
        "post": "import os\nif '{{ cookiecutter.use_celery }}' != 'True':\n    os.remove('tasks.py')\n"
        "assert '{{ cookiecutter.use_docker }}' == 'y'\n",
    }
    files = {
        ".env": "SECRET={{ random_ascii_string(24) }}\nPORT={{ cookiecutter.ports[cookiecutter.slug] }}\n",
        "LICENSE": "{{ cookiecutter.__year }} {{ cookiecutter.cloud_provider }} {{ cookiecutter._secret }}",
        "tasks.py": "",
    }
    made = render(App(str(write(tmp_path, values, files, hooks)), vars={"cloud_provider": "None"}))

    assert made.folder.name == "my_awesome_shop"
    assert sorted(made.files) == [".env", "LICENSE"]
    assert re.fullmatch(r"SECRET=\w{24}\nPORT=80\n", text(made, ".env"))
    assert re.fullmatch(r"20\d\d None kept", text(made, "LICENSE"))


def test_a_zip_file_with_a_password(render: Render, monkeypatch: pytest.MonkeyPatch) -> None:
    for password in ("", "other"):
        monkeypatch.setenv("COOKIECUTTER_REPO_PASSWORD", password)
        with pytest.raises(KindError, match=r"cannot be fetched: .* protected repository") as caught:
            render(App("locked-service.zip"))
        assert "COOKIECUTTER_REPO_PASSWORD in the environment" in str(caught.value.hint)
    monkeypatch.setenv("COOKIECUTTER_REPO_PASSWORD", "hunter2")
    made = render(App("locked-service.zip"))
    assert text(made, "a.txt") == "a\n"
    assert "hunter2" not in text(made, "seen.txt")  # what its hook has seen of the environment


def test_a_template_in_a_submodule_is_not_fetched_and_that_is_said(render: Render, tmp_path: Path) -> None:
    inner = write(tmp_path / "inner", {"slug": "x"}, {"a.txt": "a"})
    outer = write(tmp_path / "outer", {"slug": "x"}, {"a.txt": "a"})
    for one in (inner, outer):
        git(one, "init", "--quiet")
        if one is outer:
            git(one, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "part")
        git(one, "add", ".")
        git(one, "commit", "--quiet", "-m", "one")

    with pytest.raises(KindError) as caught:
        render(App(f"git+file://{outer}", directory="part"))
    assert "fetches no submodules" in str(caught.value.hint)
    assert sorted(render(App(f"git+file://{outer}")).files) == ["a.txt"]


@pytest.mark.parametrize("template", ["git+file:///nowhere/service", "hg+https://example.com/service"])
def test_a_program_that_fetches_and_is_not_there(
    template: str, render: Render, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(KindError) as caught:
        render(App(template))
    assert f"'{template[: template.index('+')]}' is not installed" in caught.value.message
    assert "install that program" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("app", "file", "line"),
    [
        (App("./many-services"), "app.py", '"""hello: who calls'),
        (App("./many-services", directory="worker", vars={"queue": "mail"}), "worker.py", 'QUEUE = "mail"'),
        (App("./monorepo", directory="services/web", vars={"greeting": "hi"}), "app.py", 'GREETING = "hi"'),
    ],
)
def test_one_template_of_several(app: App, file: str, line: str, render: Render) -> None:
    made = render(app)

    assert sorted(made.files) == [file]
    assert line in text(made, file)


def test_parts_hooks_in_sh_links_and_a_repository_of_its_own(render: Render) -> None:
    made = render(App("./composed-service"))

    assert sorted(made.files) == ["app.py", "assets/logo.png", "settings.composed.ini"]
    assert text(made, "settings.composed.ini").startswith("# Owned by somebody\n[app]\nname = composed\n")
    assert made.files["assets/logo.png"].content.startswith(b"\x89PNG")
    assert (made.folder / "settings.ini").readlink() == Path("settings.composed.ini")
    assert (made.folder / ".git" / "HEAD").is_file()


def test_a_zip_file(render: Render, tmp_path: Path) -> None:
    shutil.copytree(APPS / "go-service", tmp_path / "zipped" / "go-service")
    shutil.make_archive(str(tmp_path / "service"), "zip", tmp_path / "zipped", "go-service")

    made = render(App("service.zip"), tmp_path)

    assert text(made, "go.mod").startswith("module github.com/someone/hello\n")


@pytest.mark.parametrize("part", [".git", ".hg", "hooks/__pycache__", "{{cookiecutter.slug}}/.git"])
def test_nothing_is_rendered_that_has_no_part_in_the_digest(part: str, render: Render, tmp_path: Path) -> None:
    """What a zip brings in folders that the digest leaves out could be another program each time."""
    template = write(tmp_path, {"slug": "x", "template": [f"x ({part})"]}, {"a.txt": "a"})
    inner = template / part / "{{cookiecutter.inner}}"
    inner.mkdir(parents=True)
    (template / part / "cookiecutter.json").write_text('{"inner": "x"}')
    (inner / "evil.txt").write_text("evil")
    shutil.make_archive(str(tmp_path / "service"), "zip", tmp_path, "template")

    with pytest.raises(KindError):
        render(App("service.zip"), tmp_path)
    (tmp_path / "fetched").mkdir()
    found = fetched(App("service.zip"), tmp_path, tmp_path / "fetched")
    assert sorted(path.name for path in found.root.rglob("*")) == sorted(
        path.relative_to(template).name
        for path in template.rglob("*")
        if not str(path).startswith(str(template / part))
    )
    assert found.version == digest(template)


def test_a_git_folder_in_a_zip_does_not_say_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    template = write(tmp_path, {"slug": "x"}, {"a.txt": "a"})
    git(template, "init", "--quiet")
    git(template, "add", ".")
    git(template, "commit", "--quiet", "-m", "one")
    shutil.make_archive(str(tmp_path / "service"), "zip", tmp_path, "template")
    packed = (tmp_path / "service.zip").read_bytes()
    monkeypatch.setattr("requests.get", lambda *_, **__: SimpleNamespace(iter_content=lambda **_: iter((packed,))))
    (tmp_path / "fetched").mkdir()

    found = fetched(App("https://example.com/service.zip"), tmp_path, tmp_path / "fetched")

    assert found.version == digest(template)


def git(folder: Path, *arguments: str) -> str:
    known = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *known, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_a_repository_at_a_commit(render: Render, tmp_path: Path) -> None:
    template = write(tmp_path, {"slug": "x"}, {"version.txt": "one\n"})
    git(template, "init", "--quiet")
    git(template, "add", ".")
    git(template, "commit", "--quiet", "-m", "one")
    git(template, "tag", "v1")
    (template / "{{cookiecutter.slug}}" / "version.txt").write_text("two\n")
    git(template, "commit", "--quiet", "-am", "two")

    first, newest = App(str(template), checkout="v1"), App(f"git+file://{template}")

    assert text(render(first), "version.txt") == "one\n"
    assert text(render(newest), "version.txt") == "two\n"
    (tmp_path / "fetched").mkdir()
    assert fetched(first, tmp_path, tmp_path / "fetched").version == git(template, "rev-parse", "v1")


def test_nothing_of_the_persons_own_changes_what_is_rendered(
    render: Render, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".cookiecutterrc").write_text("default_context: {slug: theirs, owner: them}\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("COOKIECUTTER_CONFIG", str(home / ".cookiecutterrc"))
    monkeypatch.setenv("A_PASSWORD", "hunter2")
    hook = "import os, resource\n"
    hook += "open('seen.txt', 'w').write(' '.join(sorted(os.environ)))\n"
    hook += "open('memory.txt', 'w').write(str(resource.getrlimit(resource.RLIMIT_AS)))\n"
    template = write(tmp_path, {"slug": "mine", "owner": "me"}, {"a.txt": "{{cookiecutter.owner}}"}, {"post": hook})

    made = render(App(str(template)))

    assert (made.folder.name, text(made, "a.txt")) == ("mine", "me")
    assert "A_PASSWORD" not in text(made, "seen.txt")
    assert text(made, "memory.txt") == str(resource.getrlimit(resource.RLIMIT_AS))  # a hook may be a compiler
    assert sorted(path.name for path in home.iterdir()) == [".cookiecutterrc"]


# --- As they should not be ---


def write(
    folder: Path, values: Mapping[str, Any], files: Mapping[str, str], hooks: Mapping[str, str] | None = None
) -> Path:
    """A template whose root folder is called by `slug`."""
    template = folder / "template"
    root = template / "{{cookiecutter.slug}}"
    root.mkdir(parents=True)
    (template / "cookiecutter.json").write_text(json.dumps(values))
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    for when, content in (hooks or {}).items():
        (template / "hooks").mkdir(exist_ok=True)
        (template / "hooks" / f"{when}_gen_project.py").write_text(content)
    return template


def refusal(render: Render, template: Path, bounds: Bounds = USUAL, **answers: object) -> KindError:
    with pytest.raises(KindError) as caught:
        render(App(str(template), vars=answers), bounds=bounds)
    assert caught.value.hint
    assert "Traceback" not in caught.value.message
    return caught.value


@pytest.mark.parametrize("leads", ["../../../../../written.txt", "{tmp_path}/written.txt"])
def test_a_path_that_leads_out_is_not_written(leads: str, render: Render, tmp_path: Path) -> None:
    where = leads.format(tmp_path=tmp_path)
    template = write(tmp_path, {"slug": "x", "where": where}, {"{{cookiecutter.where}}": "out"})

    assert "it writes outside its own folder" in refusal(render, template).message
    assert not list(tmp_path.rglob("written.txt"))
    assert not (tmp_path.parent / "written.txt").exists()


@pytest.mark.parametrize("others", ["one among several", "old form", "by its Jinja"])
def test_a_template_that_chooses_one_outside_of_it(others: str, render: Render, tmp_path: Path) -> None:
    """Nobody has seen what lies there, and it may be another tomorrow."""
    outside = write(tmp_path / "outside", {"slug": "x"}, {"a.txt": "a"}, {"post": "open('ran', 'w')\n"})
    up = "../" * 12 + str(outside).removeprefix("/")
    values = {
        "one among several": {"templates": {"a": {"path": up, "title": "a", "description": "a"}}},
        "old form": {"template": [f"x ({up})"]},
        "by its Jinja": {"template": [f"x ({{{{ '..' }}}}{up.removeprefix('..')})"]},
    }[others]
    template = tmp_path / "template"
    template.mkdir()
    (template / "cookiecutter.json").write_text(json.dumps(values))

    assert "it chooses a template that lies outside of it: ../" in refusal(render, template).message


def test_a_template_may_choose_one_beside_its_own_folder(render: Render, tmp_path: Path) -> None:
    beside = write(tmp_path / "all", {"slug": "x"}, {"a.txt": "a"}, {"post": "open('ran', 'w')\n"})
    (tmp_path / "all" / "chooses").mkdir()
    (tmp_path / "all" / "chooses" / "cookiecutter.json").write_text(json.dumps({"template": ["x (../template)"]}))
    app = App(str(beside.parent), directory="chooses")

    assert sorted(render(app).files) == ["a.txt", "ran"]
    (tmp_path / "fetched").mkdir()
    assert fetched(app, tmp_path, tmp_path / "fetched").would_run[0] == "the hook template/hooks/post_gen_project.py"


@pytest.mark.parametrize(
    ("files", "hooks", "said"),
    [
        ({"a.txt": "a"}, {"post": "print('no database')\nraise SystemExit(3)\n"}, "it printed:\n  no database"),
        ({"a.txt": "a", "b.txt": "{{ cookiecutter.greting }}"}, {}, "has no attribute 'greting'"),
        ({"a.txt": "a", "b.txt": "{% if %}"}, {}, "Expected an expression, got 'end of statement block'"),
        ({"a.txt": "a", "b.txt": "{{ 1 // 0 }}"}, {}, "ZeroDivisionError"),
    ],
)
def test_what_is_said_is_why_it_failed(
    files: Mapping[str, str], hooks: Mapping[str, str], said: str, render: Render, tmp_path: Path
) -> None:
    """Cookiecutter removes what it has made by then, by names in open folders."""
    template = write(tmp_path, {"slug": "x"}, {**files, "folder/c.txt": "c"}, hooks)
    (template / "{{cookiecutter.slug}}" / "link").symlink_to("../hooks")

    message = refusal(render, template).message
    assert said in message
    assert "outside its own folder" not in message


@pytest.mark.parametrize(
    "written",
    [
        "os.remove('victim.txt', dir_fd=os.open(where, os.O_RDONLY))",
        "os.rename('a', 'victim.txt', dst_dir_fd=os.open(where, os.O_RDONLY))",
        "os.mkdir('victim', dir_fd=os.open(where, os.O_RDONLY))",
        "os.remove(where + '/victim.txt')",
        "os.chmod('leads', 0o600)",
        "os.link('leads', 'linked')",
        "shutil.rmtree(where)",
    ],
)
def test_what_code_of_a_template_writes_elsewhere_is_stopped(written: str, render: Render, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "victim.txt").write_text("victim")
    template = write(tmp_path, {"slug": "x", "_extensions": ["own.Own"]}, {"a.txt": "a"})
    (template / "own.py").write_text(
        f"import os, shutil\nfrom jinja2.ext import Extension\nwhere = {str(elsewhere)!r}\n"
        "os.symlink(where + '/victim.txt', 'leads')\n"
        f"{written}\nclass Own(Extension):\n    pass\n"
    )

    assert "it writes outside its own folder" in refusal(render, template).message
    assert [path.name for path in elsewhere.iterdir()] == ["victim.txt"]


@pytest.mark.parametrize("slug", ["..", "", "a/.."])
def test_a_root_folder_without_a_name(slug: str, render: Render, tmp_path: Path) -> None:
    template = write(tmp_path, {"slug": slug}, {"a.txt": "a"})

    assert "the name of its own folder is empty" in refusal(render, template).message


@pytest.mark.parametrize("leads", ["/etc/passwd", "../../secret.txt"])
def test_a_link_in_a_template_that_leads_out_of_it(leads: str, render: Render, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("hunter2")
    template = write(tmp_path, {"slug": "x"}, {"a.txt": "a"})
    (template / "{{cookiecutter.slug}}" / "b.txt").symlink_to(leads)

    said = refusal(render, template).message
    assert "has a symbolic link to a place outside it: {{cookiecutter.slug}}/b.txt" in said


@pytest.mark.parametrize(("leads", "said"), [("'/etc/passwd'", "/etc/passwd"), ("os.path.abspath('a.txt')", "a.txt")])
def test_a_link_that_a_hook_makes_and_that_leads_out(leads: str, said: str, render: Render, tmp_path: Path) -> None:
    """An absolute one leads to where it was rendered, and nowhere from where the app will stand."""
    template = write(tmp_path, {"slug": "x"}, {"a.txt": "a"}, {"post": f"import os\nos.symlink({leads}, 'b')\n"})

    message = refusal(render, template).message
    assert "b is a symbolic link that leads out of it, to " in message
    assert message.endswith(said)


def test_a_loop_without_an_end(render: Render, tmp_path: Path) -> None:
    endless = "{% for _ in range(99999999) %}{% for _ in range(99999999) %}{% endfor %}{% endfor %}"
    template = write(tmp_path, {"slug": "x"}, {"a.txt": endless})

    said = refusal(render, template, replace(USUAL, seconds=0.5)).message
    assert "it is not rendered after 0.5 s of the processor's time" in said


def test_a_hook_without_an_end(render: Render, tmp_path: Path) -> None:
    hook = "import os, time\nprint('waiting', os.getpid(), flush=True)\ntime.sleep(3600)\n"
    template = write(tmp_path, {"slug": "x"}, {"a.txt": "a"}, {"pre": hook})

    for within in (5.0, 30.0, 90.0):  # a busy machine may not have begun by then
        error = refusal(render, template, replace(USUAL, within=within))
        assert f"it is not rendered after {within:g} s, hooks included" in error.message
        if "it printed:" in error.message:
            break

    assert "it printed:\n  waiting" in error.message
    assert "remove from the hooks what waits for input" in str(error.hint)
    assert ends(int(error.message.rpartition("waiting ")[2]))


def ends(pid: int, within: float = 120.0) -> bool:
    """Whether there is no such process any more, or soon: one that was killed takes its time on a busy machine."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([process], [], [], within)[0])
    finally:
        os.close(process)


def test_more_than_fits_in_memory(render: Render, tmp_path: Path) -> None:
    template = write(tmp_path, {"slug": "x"}, {"a.txt": "{{ 'x' * 10 ** 9 }}"})

    bounds = replace(USUAL, memory=256 * 1024 * 1024)
    assert "it takes more than 256 MiB of memory" in refusal(render, template, bounds).message


def test_more_than_an_app_may_be(render: Render, tmp_path: Path) -> None:
    hook = "for number in range(20):\n    open(str(number), 'w').write('x' * 2 ** 20)\n"
    template = write(tmp_path, {"slug": "x"}, {"a.txt": "a"}, {"post": hook})

    assert "it makes more than 16 MiB" in refusal(render, template, replace(USUAL, octets=16 << 20)).message


@pytest.mark.parametrize(
    ("own", "answer"),
    [
        ({"variable_start_string": "<<", "variable_end_string": ">>"}, "<< 7 * 7 >>"),
        ({"block_start_string": "<%", "block_end_string": "%>"}, "<% if 1 %>x<% endif %>"),
        ({"line_statement_prefix": "%%"}, "a\n  %% set x = 1"),
        ({"variable_start_string": "<<", "variable_end_string": ">>"}, ["a", {"b": "<< 7 >>"}]),
        ({"variable_start_string": "<<", "variable_end_string": ">>"}, {"<< 7 >>": "b"}),
    ],
)
@pytest.mark.parametrize("chosen", [False, True], ids=["itself", "one among several"])
def test_what_a_template_has_in_place_of_braces_is_no_answer_either(
    own: Mapping[str, str], answer: object, chosen: bool, render: Render, tmp_path: Path
) -> None:
    template = write(tmp_path, {"slug": "x", "said": "hello", "_jinja2_env_vars": own}, {"a.txt": "a"})
    begins, ends = own.get("variable_start_string", "{{"), own.get("variable_end_string", "}}")
    (template / "{{cookiecutter.slug}}").rename(template / f"{begins}cookiecutter.slug{ends}")
    if chosen:
        template = template.rename(tmp_path / "inner")
        template = Path(shutil.move(template, tmp_path / "template" / "inner")).parent
        (template / "cookiecutter.json").write_text('{"template": ["x (inner)"]}')

    assert 'the variable "said" holds what the template' in refusal(render, template, said=answer).message
    render(App(str(template), vars={"said": "< < 7 > >, 100 %% and <"}))


@pytest.mark.parametrize("name", ["_extensions", "_jinja2_env_vars"])
def test_what_decides_what_is_run_is_no_answer(name: str, render: Render, tmp_path: Path) -> None:
    template = write(tmp_path, {"slug": "x", name: [] if name == "_extensions" else {}}, {"a.txt": "a"})

    said = refusal(render, template, **{name: ["jinja2.ext.do"]}).message
    assert said == f'"{name}" is the template\'s own, and no answer: it decides what of it is run'


def test_a_file_that_is_neither_text_nor_binary_is_named(render: Render, tmp_path: Path) -> None:
    template = write(tmp_path, {"slug": "x"}, {"a.txt": "a"})
    (template / "{{cookiecutter.slug}}" / "b.txt").write_bytes("café {{ 1 }}\n".encode("latin-1") * 40)

    said = refusal(render, template).message
    assert said.endswith("{{cookiecutter.slug}}/b.txt is neither text in UTF-8 nor binary")


def test_a_name_that_is_not_utf8(render: Render, tmp_path: Path) -> None:
    template = write(tmp_path, {"slug": "x"}, {"a.txt": "a"}, {"post": "open(b'caf\\xe9', 'w')\n"})
    assert r"it makes a file whose name is not UTF-8: 'caf\udce9'" in refusal(render, template).message

    (template / "{{cookiecutter.slug}}" / os.fsdecode(b"caf\xe9")).write_text("")
    assert "has a file name that is not UTF-8" in refusal(render, template).message


def test_rights_that_a_hook_gives_to_all_are_taken_away(render: Render, tmp_path: Path) -> None:
    hook = (
        "import os\nos.mkdir('shared')\nos.chmod('shared', 0o1777)\nopen('shared/b', 'w')\n"
        "os.chmod('shared/b', 0o666)\nos.chmod('run.sh', 0o6777)\nos.symlink('run.sh', 'start')\nos.chmod('.', 0o777)\n"
    )
    made = render(App(str(write(tmp_path, {"slug": "x"}, {"run.sh": "x"}, {"post": hook}))))

    modes = {name: (made.folder / name).stat().st_mode & 0o7777 for name in ("run.sh", "shared", "shared/b", ".")}
    assert modes == {"run.sh": 0o775, "shared": 0o775, "shared/b": 0o664, ".": 0o775}


def test_a_large_file_is_one_that_can_be_replaced_later(render: Render, tmp_path: Path) -> None:
    made = render(App(str(write(tmp_path, {"slug": "x"}, {"large.txt": "x" * (2 << 20)}))))

    assert len(made.files["large.txt"].content) == 2 << 20


def test_a_variable_that_there_is_not_in_a_file(render: Render, tmp_path: Path) -> None:
    template = write(tmp_path, {"slug": "x"}, {"a.txt": "{{ cookiecutter.greting }}"})

    said = refusal(render, template).message
    assert "a.txt" in said
    assert "greting" in said


# --- What is known before anything is run ---


@pytest.mark.parametrize(
    ("app", "message", "hint"),
    [
        (App("./nothing"), 'the template "./nothing" is not a folder', "gh:owner/name"),
        (App("./monorepo"), "has no cookiecutter.json", "gh:owner/name"),
        (App("./monorepo", directory="services"), "directory services", None),
        (App("./small-service", vars={"sluk": "x"}), 'has no variable "sluk"', 'did you mean "slug"?'),
        (App("./small-service", vars={"log_level": "loud"}), "cannot be 'loud'", "it is one of info, debug"),
        (App("./none.zip"), "cannot be fetched", None),
        (App("git+file:///nonexistent/at/all"), "cannot be fetched", None),
        (App("./small-service", checkout="v1"), "cannot be fetched", None),
    ],
)
def test_what_is_no_template(app: App, message: str, hint: str | None, render: Render) -> None:
    with pytest.raises(KindError) as caught:
        render(app)

    assert message in caught.value.message
    assert hint is None or hint in (caught.value.hint or "")


def test_what_would_be_run(tmp_path: Path) -> None:
    for name in ("fastapi-service", "extended-service", "many-services"):
        (tmp_path / name).mkdir()
    said = [
        fetched(App(f"./{name}"), APPS, tmp_path / name).would_run
        for name in ("fastapi-service", "extended-service", "many-services")
    ]

    assert said[0][0] == "the hooks hooks/post_gen_project.py, hooks/pre_gen_project.py"
    assert said[1][0].startswith("the Jinja extensions local_extensions.shout")
    assert said[2] == ("the Jinja in its files, which can run any command",)


@pytest.mark.parametrize(
    ("name", "runs"),
    [
        ("post_gen_project.s-h", True),
        ("post_gen_project.", True),
        ("pre_prompt", True),
        ("post_gen_project.py~", False),
        ("post_gen_project.tar.gz", False),
        ("my_post_gen_project.py", False),
    ],
)
def test_each_hook_that_is_run_is_listed(name: str, runs: bool, render: Render, tmp_path: Path) -> None:
    """By what cookiecutter really runs."""
    template = write(tmp_path, {"slug": "x"}, {"a.txt": "a"})
    (template / "hooks").mkdir()
    (template / "hooks" / name).write_text(f"#!/bin/sh\ntouch '{tmp_path}/ran'\n")
    (tmp_path / "fetched").mkdir()

    listed = fetched(App(str(template)), tmp_path, tmp_path / "fetched").would_run
    assert (f"the hook hooks/{name}" in listed) is runs
    with contextlib.suppress(KindError):
        render(App(str(template)))
    assert (tmp_path / "ran").exists() is runs


def test_what_a_template_of_templates_renders_first_cannot_be_read_yet(tmp_path: Path, render: Render) -> None:
    template = write(tmp_path, {"slug": "x"}, {"cookiecutter.json": '{"a": {{ 1 }}}'})
    (tmp_path / "fetched").mkdir()

    found = fetched(App(str(template)), tmp_path, tmp_path / "fetched")

    assert found.would_run[0] == "what {{cookiecutter.slug}}/cookiecutter.json names: it cannot be read"
    assert text(render(App(str(template))), "cookiecutter.json") == '{"a": 1}'
