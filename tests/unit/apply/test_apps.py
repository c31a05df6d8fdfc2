"""Apps from templates: made once, a person's from then on, and merged where they ask for it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from scaffold.apply import Outcome, apply
from scaffold.apply import apps as applied_apps
from scaffold.cli.apps import Apps, with_trust_notes
from scaffold.errors import KindError, Overtaken, PlanError, StoreError
from scaffold.kinds.app_rendering import RenderedApp
from scaffold.kinds.app_templates import digest
from scaffold.kinds.render import Rendered
from scaffold.plan.apps import MadeApp
from scaffold.plan.basis import Asked
from scaffold.plan.make import Planned, plan_all
from scaffold.plan.model import Action, Change, Work
from scaffold.plan.projects import Resolution
from scaffold.plan.reasons import ReasonCode
from scaffold.store import projects
from scaffold.store.layout import Layout
from scaffold.store.moving import move
from scaffold.store.secrets import Secrets
from scaffold.topology.address import Address, Part
from tests.unit.conftest import Household

SHOP = """
version: 1
name: bank
cas:
  root: {}
servers:
  shop:
    template: nginx
    listen: 127.0.0.1:8443
    names: [localhost]
    backend: http://127.0.0.1:5000
    app: {template: ./service}
"""
WITHOUT = SHOP[: SHOP.index("servers:")] + "servers: {}\n"
SERVER, APP = Address.server("shop"), Address.parse("server.shop.app")
LINES = "".join(f"line {number}\n" for number in range(12))


class Shop(Household):
    """A front whose app is made of files that a test names: cookiecutter itself is tried elsewhere."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, SHOP)
        self.version = 0
        (folder / "service").mkdir()
        (folder / "service" / "cookiecutter.json").write_text('{"slug": "shop"}')

    @property
    def app(self) -> Path:
        return self.out / "servers" / "shop" / "app"

    def made(self, files: Mapping[str, str | bytes]) -> MadeApp:
        """The app as a new version of its template makes it."""
        self.version += 1
        place = self.folder / f"made-{self.version}"
        for name, text in files.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        rendered = {name: Rendered((place / name).read_bytes(), False) for name in files}
        origin = projects.origin("./service", f"{self.version:040x}", {}, None, None)
        return MadeApp(RenderedApp(place, rendered), origin)

    def make(self, files: Mapping[str, str | bytes]) -> Outcome:
        return apply(self.prepare(), Secrets({}), made_apps={SERVER: self.made(files)})

    def newer(self, files: Mapping[str, str | bytes]) -> tuple[Planned, MadeApp]:
        made = self.made(files)
        return plan_all(self.look(), Asked(newer_apps={SERVER: made})), made

    def update(self, files: Mapping[str, str | bytes]) -> Outcome:
        planned, made = self.newer(files)
        return apply(planned, Secrets({}), made_apps={SERVER: made})

    def notes(self) -> str:
        return "\n".join(map(str, self.plan().notes))

    @property
    def record(self) -> projects.Record:
        return projects.load(Layout(self.out)).of(APP)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_it_is_made_once_and_then_a_persons(shop: Shop) -> None:
    assert shop.planned()[str(APP)] == (Action.CREATE, "missing")
    shop.make({"app.py": "one\n", "static/page.html": "<p>"})

    assert (shop.app / "app.py").read_text() == "one\n"
    assert shop.record.app is not None
    assert (shop.record.app.template, shop.record.app.version) == ("./service", f"{1:040x}")
    (shop.app / "app.py").write_text("mine\n")
    (shop.app / "static" / "page.html").unlink()
    (shop.app / "more.py").write_text("more\n")
    assert not shop.plan().changes
    assert "server.shop.app" not in shop.notes()


def test_plan_says_that_the_app_of_a_server_that_left_stays(shop: Shop) -> None:
    shop.make({"app.py": "one\n"})
    shop.text = SHOP[: SHOP.index("servers:")]
    said = "server.shop.app stays in servers/shop/app: it is yours; delete it yourself if you do not need it"
    assert said in shop.notes()
    shop.apply()
    assert (shop.app / "app.py").read_text() == "one\n"
    assert shop.plan().changes == ()
    assert said not in shop.notes()


def test_plan_says_that_an_app_that_the_topology_names_no_more_stays(shop: Shop) -> None:
    said = "server.shop.app stays in servers/shop/app: it is yours"
    shop.make({"app.py": "one\n"})
    assert said not in shop.notes()

    shop.text = SHOP.replace("    app: {template: ./service}\n", "")
    assert said in shop.notes()
    assert "`rm -r servers/shop/app` in the output folder" in shop.notes()
    assert not shop.planned()
    shop.apply()
    assert (shop.app / "app.py").read_text() == "one\n"

    shop.text = SHOP
    assert said not in shop.notes()
    assert not shop.planned()
    shop.text = SHOP.replace("    app: {template: ./service}\n", "")
    shutil.rmtree(shop.app)
    assert said not in shop.notes()


def test_a_folder_of_that_name_that_was_no_app_is_not_spoken_of(shop: Shop) -> None:
    shop.text = SHOP.replace("    app: {template: ./service}\n", "")
    shop.apply()
    shop.app.mkdir()
    assert "server.shop.app" not in shop.notes()


def test_of_a_server_without_an_app_nothing_stays(shop: Shop) -> None:
    shop.text = SHOP.replace("    app: {template: ./service}\n", "")
    shop.apply()
    shop.text = SHOP[: SHOP.index("servers:")]
    assert shop.plan().changes
    assert "stays in" not in shop.notes()


def test_what_is_there_and_is_no_templates_stays(shop: Shop) -> None:
    shop.app.mkdir(parents=True)
    (shop.app / "theirs.txt").write_text("theirs")

    outcome = apply(shop.prepare(), Secrets({}))

    assert [(str(change.address), change.action) for change in outcome.undone] == [(str(APP), Action.CONFLICT)]
    assert [path.name for path in shop.app.iterdir()] == ["theirs.txt"]
    assert (shop.out / "servers" / "shop" / "nginx.conf").exists()


def test_an_app_that_a_removed_server_has_left_is_told_of(shop: Shop) -> None:
    shop.make({"app.py": "one\n"})
    assert "is left from a server that was removed" not in shop.notes()
    shop.text = WITHOUT
    apply(shop.prepare(), Secrets({}))
    assert (shop.app / "app.py").read_text() == "one\n"

    shop.text = SHOP.replace("./service}", "./service, vars: {sluk: x}}")
    with pytest.raises(KindError, match='has no variable "sluk"'):
        shop.plan()
    shop.text = SHOP

    assert (
        "server.shop.app servers/shop/app is left from a server that was removed, and is used as it is: "
        "./service is not rendered. For a new app, move it away first; `scaffold apply --update server.shop` "
        "merges"
    ) in shop.notes()
    assert str(APP) not in shop.planned()
    apply(shop.prepare(), Secrets({}))
    assert "is left from" not in shop.notes()  # it is this server's from then on


def test_an_app_whose_template_was_not_rendered_changes_nothing(shop: Shop) -> None:
    with pytest.raises(KindError):
        apply(shop.prepare(), Secrets({}))

    assert not shop.out.exists()


def test_what_appears_meanwhile_is_not_overwritten(shop: Shop) -> None:
    planned, made = shop.prepare(), shop.made({"app.py": "one\n"})
    shop.app.mkdir(parents=True)
    (shop.app / "app.py").write_text("theirs\n")

    with pytest.raises(Overtaken):
        apply(planned, Secrets({}), made_apps={SERVER: made})
    assert (shop.app / "app.py").read_text() == "theirs\n"


def test_links_rights_and_repositories_come_along(shop: Shop) -> None:
    made = shop.made({"run.sh": "#!/bin/sh\n", ".git/HEAD": "ref: x\n"})
    (made.rendered.folder / "run.sh").chmod(0o755)
    (made.rendered.folder / "start").symlink_to("run.sh")
    apply(shop.prepare(), Secrets({}), made_apps={SERVER: made})

    assert (shop.app / "start").readlink() == Path("run.sh")
    assert os.access(shop.app / "run.sh", os.X_OK)
    assert (shop.app / ".git" / "HEAD").is_file()


@pytest.mark.parametrize("step", ["copytree", "settled", "rename"])
def test_a_kill_anywhere_converges(step: str, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever had been done by then, the next apply makes the whole app, and leaves nothing beside it."""
    planned, files = shop.prepare(), {"app.py": "one\n", "b.py": "b\n"}
    made = shop.made(files)

    class Killed(BaseException):
        pass

    whose = {
        "copytree": (applied_apps.shutil, "copytree"),
        "settled": (projects.Recorder, "settled"),
        "rename": (applied_apps.os, "rename"),
    }[step]
    real = getattr(*whose)

    def killed_in_the_app(*arguments: object, **named: object) -> object:
        if any("app" in str(argument) for argument in (*arguments, *named.values())):
            raise Killed
        return real(*arguments, **named)

    monkeypatch.setattr(*whose, killed_in_the_app)
    with pytest.raises(Killed):
        apply(planned, Secrets({}), made_apps={SERVER: made})
    monkeypatch.undo()
    assert not shop.app.exists()

    apply(shop.prepare(), Secrets({}), made_apps={SERVER: made})

    assert sorted(path.name for path in shop.app.iterdir()) == ["app.py", "b.py"]
    assert not list((shop.out / ".scaffold").glob("*.scaffold-tmp"))
    assert not shop.plan().changes


# --- A newer version ---


def test_a_newer_version_is_merged_with_edits(shop: Shop) -> None:
    shop.make({"app.py": LINES, "same.py": "same\n", "gone.py": "gone\n", "kept.py": "kept\n", "deleted.py": "d\n"})
    (shop.app / "app.py").write_text(LINES.replace("line 1\n", "mine\n"))
    (shop.app / "kept.py").write_text("edited\n")
    (shop.app / "deleted.py").unlink()

    files = {
        "app.py": LINES.replace("line 10\n", "theirs\n"),
        "same.py": "same\n",
        "new.py": "n\n",
        "deleted.py": "d\n",
    }
    outcome = shop.update(files)

    assert not outcome.undone
    assert (shop.app / "app.py").read_text() == LINES.replace("line 1\n", "mine\n").replace("line 10\n", "theirs\n")
    assert sorted(path.name for path in shop.app.iterdir()) == ["app.py", "kept.py", "new.py", "same.py"]
    assert shop.record.app is not None
    assert shop.record.app.version == f"{2:040x}"
    planned, _ = shop.newer(files)
    assert [change.paths for change in planned.plan.changes] == [()]  # another version alone


def test_what_was_deleted_comes_back_where_the_template_has_changed_it(shop: Shop) -> None:
    shop.make({"app.py": "one\n"})
    (shop.app / "app.py").unlink()

    outcome = shop.update({"app.py": "two\n"})

    assert not outcome.undone
    assert (shop.app / "app.py").read_text() == "two\n"


def test_an_edit_while_apply_is_at_work_stays(shop: Shop) -> None:
    shop.make({"app.py": "one\n"})
    shop.text = SHOP.replace("8443", "8444")
    planned, made = shop.newer({"app.py": "two\n"})

    def edit(change: Change) -> None:
        if change.address.part is Part.PROJECT:
            (shop.app / "app.py").write_text("mine\n")

    with pytest.raises(Overtaken):
        apply(planned, Secrets({}), edit, made_apps={SERVER: made})
    assert (shop.app / "app.py").read_text() == "mine\n"


def test_what_does_not_fit_is_laid_beside_and_the_rest_is_merged(shop: Shop) -> None:
    shop.make({"app.py": "one\n", "other.py": "o\n", "logo.png": b"\0one"})
    (shop.app / "app.py").write_text("mine\n")
    (shop.app / "logo.png").write_bytes(b"\0mine")

    outcome = shop.update({"app.py": "two\n", "other.py": "o2\n", "logo.png": b"\0two"})

    assert [change.work for change in outcome.undone] == [Work.OFFER_APP]
    assert (shop.app / "app.py").read_text() == "mine\n"
    assert (shop.app / "logo.png").read_bytes() == b"\0mine"
    assert not (shop.app / "logo.png.merge").exists()
    assert (shop.app / "other.py").read_text() == "o2\n"
    assert "<<<<<<< yours\nmine\n||||||| base\none\n=======\ntwo\n" in (shop.app / "app.py.merge").read_text()
    assert shop.planned() == {str(APP): (Action.CONFLICT, "edited")}
    with pytest.raises(PlanError, match="still has a conflict"):
        shop.newer({"app.py": "three\n"})


@pytest.mark.parametrize(
    ("resolution", "text"),
    [(Resolution.MINE, "mine\n"), (Resolution.THEIRS, "two\n"), (Resolution.MERGED, "both\n")],
)
def test_a_conflict_ends_as_a_person_says(resolution: Resolution, text: str, shop: Shop) -> None:
    shop.make({"app.py": "one\n"})
    (shop.app / "app.py").write_text("mine\n")
    shop.update({"app.py": "two\n"})
    with pytest.raises(PlanError, match="still has conflict markers"):
        shop.resolve(str(APP), Resolution.MERGED)
    (shop.app / "app.py.merge").write_text("both\n")

    shop.resolve(str(APP), resolution)

    assert (shop.app / "app.py").read_text() == text
    assert [path.name for path in shop.app.iterdir()] == ["app.py"]
    assert not shop.plan().changes
    with pytest.raises(PlanError, match="no conflict"):
        shop.resolve(str(APP), resolution)
    again = shop.update({"app.py": "two\n"})  # what was decided on is the base from now on
    assert not again.undone
    assert (shop.app / "app.py").read_text() == text


@pytest.mark.parametrize(("resolution", "logo"), [(Resolution.MINE, b"\0mine"), (Resolution.THEIRS, b"\0two")])
def test_what_is_no_text_is_one_or_the_other(resolution: Resolution, logo: bytes, shop: Shop) -> None:
    """Neither is taken where a person has not said which; what they keep under the name of a merge is theirs."""
    shop.make({"logo.png": b"\0one"})
    (shop.app / "logo.png").write_bytes(b"\0mine")
    (shop.app / "logo.png.merge").write_bytes(b"\0a draft")

    undone = shop.update({"logo.png": b"\0two"}).undone

    assert [reason.code for change in undone for reason in change.reasons] == [ReasonCode.NO_TEXT]
    assert [reason.code for change in shop.plan().changes for reason in change.reasons] == [ReasonCode.NO_TEXT]
    with pytest.raises(PlanError, match=r"logo\.png is not merged: one of the texts is not UTF-8 text"):
        shop.resolve(str(APP), Resolution.MERGED)
    assert (shop.app / "logo.png").read_bytes() == b"\0mine"

    shop.resolve(str(APP), resolution)

    assert (shop.app / "logo.png").read_bytes() == logo
    assert (shop.app / "logo.png.merge").read_bytes() == b"\0a draft"
    assert not shop.plan().changes
    assert not shop.update({"logo.png": b"\0two"}).undone  # what was decided on is the base from now on
    assert (shop.app / "logo.png").read_bytes() == logo


def test_no_text_beside_a_text_in_conflict_is_not_taken_along(shop: Shop) -> None:
    shop.make({"app.py": "one\n", "logo.png": b"\0one"})
    (shop.app / "app.py").write_text("mine\n")
    (shop.app / "logo.png").write_bytes(b"\0mine")
    shop.update({"app.py": "two\n", "logo.png": b"\0two"})
    (shop.app / "app.py.merge").write_text("both\n")

    with pytest.raises(PlanError, match=r"logo\.png is not merged"):
        shop.resolve(str(APP), Resolution.MERGED)
    assert (shop.app / "app.py").read_text() == "mine\n"
    assert (shop.app / "logo.png").read_bytes() == b"\0mine"


def test_its_server_is_enough_to_name_the_app_in_conflict(shop: Shop) -> None:
    shop.make({"app.py": "one\n"})
    (shop.app / "app.py").write_text("mine\n")
    shop.update({"app.py": "two\n"})

    shop.resolve(str(SERVER), Resolution.THEIRS)

    assert (shop.app / "app.py").read_text() == "two\n"
    with pytest.raises(PlanError, match=r"server\.shop\.project has no conflict"):
        shop.resolve(str(SERVER), Resolution.THEIRS)


def test_a_file_in_the_way_of_a_conflict(shop: Shop) -> None:
    shop.make({"app.py": "one\n"})
    (shop.app / "app.py").write_text("mine\n")
    (shop.app / "app.py.merge").write_text("notes of mine\n")

    with pytest.raises(PlanError, match=r"app\.py\.merge is in the way"):
        shop.newer({"app.py": "two\n"})


def test_an_update_that_was_killed_is_told_of_and_ends(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.make({"a.py": "a\n", "b.py": "b\n"})
    planned, made = shop.newer({"a.py": "a2\n", "b.py": "b2\n"})
    written = applied_apps._write

    def killed(context: object, path: str, text: bytes, *, executable: bool) -> None:
        if path.endswith("b.py"):
            raise KeyboardInterrupt
        written(context, path, text, executable=executable)  # type: ignore[arg-type]

    monkeypatch.setattr(applied_apps, "_write", killed)
    with pytest.raises(KeyboardInterrupt):
        apply(planned, Secrets({}), made_apps={SERVER: made})
    monkeypatch.undo()
    assert "`scaffold apply --update server.shop` completes it" in shop.notes()

    apply(plan_all(shop.look(), Asked(newer_apps={SERVER: made})), Secrets({}), made_apps={SERVER: made})

    assert [(shop.app / name).read_text() for name in ("a.py", "b.py")] == ["a2\n", "b2\n"]
    assert "server.shop.app" not in shop.notes()


LARGE = "x" * (2 << 20)


def test_a_large_file_that_nobody_edited_is_replaced(shop: Shop) -> None:
    shop.make({"app.py": "one\n", "large.txt": LARGE})
    assert projects.digest(LARGE.encode()) not in [path.name for path in (shop.out / ".scaffold/bases").iterdir()]

    outcome = shop.update({"app.py": "one\n", "large.txt": LARGE + "two"})

    assert not outcome.undone
    assert (shop.app / "large.txt").read_text() == LARGE + "two"
    assert not shop.update({"app.py": "one\n"}).undone
    assert not (shop.app / "large.txt").exists()


@pytest.mark.parametrize(("resolution", "ends"), [(Resolution.MINE, "mine"), (Resolution.THEIRS, "two")])
def test_a_large_file_that_was_edited_is_one_or_the_other(resolution: Resolution, ends: str, shop: Shop) -> None:
    shop.make({"large.txt": LARGE})
    (shop.app / "large.txt").write_text(LARGE + "mine")

    undone = shop.update({"large.txt": LARGE + "two"}).undone

    assert [reason.code for change in undone for reason in change.reasons] == [ReasonCode.NO_TEXT]
    assert [path.name for path in shop.app.iterdir()] == ["large.txt"]
    shop.resolve(str(APP), resolution)
    assert (shop.app / "large.txt").read_text() == LARGE + ends
    assert not shop.plan().changes


def test_a_large_file_of_which_nothing_was_recorded_is_not_overwritten(shop: Shop) -> None:
    """As those that earlier versions have left."""
    shop.make({"app.py": "one\n"})
    (shop.app / "large.txt").write_text(LARGE)

    assert [change.work for change in shop.update({"app.py": "one\n", "large.txt": LARGE + "2"}).undone] == [
        Work.OFFER_APP
    ]
    assert (shop.app / "large.txt").read_text() == LARGE


def notes_of(planned: Planned) -> list[str]:
    return [str(note) for note in planned.plan.notes]


def test_what_is_not_merged_is_named(shop: Shop) -> None:
    files = {"app.py": "one\n", "venv/bin/tool": "one", "node_modules/a/node_modules/b.js": "b", ".git/HEAD": "one"}
    made = shop.made(files)
    (made.rendered.folder / "start").symlink_to("app.py")
    made = replace(made, rendered=RenderedApp(made.rendered.folder, {"app.py": made.rendered.files["app.py"]}))
    apply(shop.prepare(), Secrets({}), made_apps={SERVER: made})

    newer = shop.made({**files, "venv/bin/tool": "two", ".git/HEAD": "two"})
    (newer.rendered.folder / "start").symlink_to("other.py")
    rendered = RenderedApp(newer.rendered.folder, {"app.py": newer.rendered.files["app.py"]}, {"start": "other.py"})
    planned = plan_all(shop.look(), Asked(newer_apps={SERVER: replace(newer, rendered=rendered)}))

    assert notes_of(planned)[-2:] == [
        "servers/shop/app/start is left as it is: the template makes it a symbolic link to other.py",
        "servers/shop/app/venv is left as it is: the template makes another, and such folders are not merged",
    ]
    shutil.copytree(newer.rendered.folder, shop.app, dirs_exist_ok=True, symlinks=True, ignore=lambda *_: ["start"])
    (shop.app / "start").unlink()
    (shop.app / "start").symlink_to("other.py")
    planned = plan_all(shop.look(), Asked(newer_apps={SERVER: replace(newer, rendered=rendered)}))
    assert not [note for note in notes_of(planned) if "left as it is" in note]


@pytest.mark.parametrize("way", ["a link", "a link to nowhere", "a file"])
def test_nothing_is_written_through_what_is_no_folder(way: str, shop: Shop, tmp_path: Path) -> None:
    shop.make({"app.py": "one\n", "static/a.css": "one\n", "static/old/b.css": "one\n"})
    elsewhere = tmp_path / "elsewhere"
    shutil.move(shop.app / "static", elsewhere)
    if way == "a file":
        (shop.app / "static").write_text("mine")
    else:
        (shop.app / "static").symlink_to(elsewhere if way == "a link" else tmp_path / "nowhere")
    before = (elsewhere / "a.css").read_text()
    files = {"app.py": "two\n", "static/a.css": "two\n"}

    planned, made = shop.newer(files)
    outcome = apply(planned, Secrets({}), made_apps={SERVER: made})

    said = "servers/shop/app/static is not a folder, and stays; nothing is written below it: "
    assert f"{said}servers/shop/app/static/a.css, servers/shop/app/static/old/b.css" in notes_of(planned)
    assert not outcome.undone
    assert (shop.app / "app.py").read_text() == "two\n"
    assert (elsewhere / "a.css").read_text() == before
    assert (elsewhere / "old" / "b.css").is_file()
    assert not shop.plan().changes


def test_a_link_in_place_of_the_app_itself(shop: Shop, tmp_path: Path) -> None:
    shop.make({"app.py": "one\n"})
    shutil.move(shop.app, tmp_path / "moved")
    shop.app.symlink_to(tmp_path / "moved")

    planned, made = shop.newer({"app.py": "two\n"})
    apply(planned, Secrets({}), made_apps={SERVER: made})

    assert any(note.startswith("servers/shop/app is not a folder, and stays") for note in notes_of(planned))
    assert (shop.app / "app.py").read_text() == "one\n"


def test_other_answers_are_told_of(shop: Shop) -> None:
    shop.make({"app.py": "one\n"})
    shop.text = SHOP.replace("./service}", "./service, vars: {slug: other}}")

    assert "with other answers, than the topology says: `scaffold apply --update server.shop`" in shop.notes()
    assert not shop.plan().changes


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("./nothing}", 'server.shop: the template "./nothing" is not a folder'),
        ("./service, vars: {sluk: x}}", 'has no variable "sluk"'),
        (".}", 'the template "." has no cookiecutter.json'),
    ],
)
def test_what_cannot_be_a_template_is_known_to_plan(said: str, message: str, shop: Shop) -> None:
    shop.text = SHOP.replace("./service}", said)

    with pytest.raises(KindError) as caught:
        shop.plan()
    assert message in caught.value.message
    assert caught.value.place is not None
    assert caught.value.place.line == 12


def test_a_renamed_server_takes_the_record_of_its_app_along(shop: Shop) -> None:
    shop.make({"app.py": "one\n"})
    move(Layout(shop.out), SERVER, Address.server("store"), shop.now)
    shop.text = SHOP.replace("  shop:", "  store:")

    assert str(Address.parse("server.store.app")) not in shop.planned()
    record = projects.load(Layout(shop.out)).of(Address.parse("server.store.app"))
    assert record.app is not None
    assert list(record.files) == ["servers/store/app/app.py"]


# --- Trust ---


@pytest.fixture
def elsewhere(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A template outside of the topology's own folder, whose hook says that it ran."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    shop.folder = tmp_path / "topology"
    shop.folder.mkdir()
    template = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "service", template)
    root = template / "{{cookiecutter.slug}}"
    root.mkdir()
    (root / "app.py").write_text("app\n")
    (template / "hooks").mkdir()
    ran = f"open({str(tmp_path / 'ran')!r}, 'w')\n"
    (template / "hooks" / "post_gen_project.py").write_text(ran)
    shop.text = SHOP.replace("./service", "../elsewhere")
    return template


def test_somebody_elses_template_runs_only_where_it_is_trusted(shop: Shop, elsewhere: Path, tmp_path: Path) -> None:
    planned = with_trust_notes(shop.prepare())
    assert "server.shop.app is made by somebody else's program: apply needs --trust ../elsewhere" in "\n".join(
        map(str, planned.plan.notes)
    )
    with pytest.raises(KindError) as caught:
        Apps().of_plan(planned.plan, planned.basis.topology)
    assert "It would run:\n  - the hook hooks/post_gen_project.py\n  - the Jinja in its files" in caught.value.message
    assert f"add --trust ../elsewhere@{digest(elsewhere)}. Nothing was changed" in str(caught.value.hint)
    assert not (tmp_path / "ran").exists()

    made = Apps(["../elsewhere"]).of_plan(planned.plan, planned.basis.topology)

    assert list(made[SERVER].rendered.files) == ["app.py"]
    assert (tmp_path / "ran").exists()
    assert "--trust" not in "\n".join(map(str, with_trust_notes(shop.prepare()).plan.notes))
    Apps().of_plan(planned.plan, planned.basis.topology)  # remembered


def test_another_version_of_it_is_not_trusted(shop: Shop, elsewhere: Path) -> None:
    planned = shop.prepare()
    Apps([str(elsewhere)]).of_plan(planned.plan, planned.basis.topology)
    (elsewhere / "hooks" / "pre_gen_project.py").write_text("import this\n")

    with pytest.raises(KindError, match="is somebody else's program"):
        Apps().of_plan(planned.plan, planned.basis.topology)
    assert "--trust" in "\n".join(map(str, with_trust_notes(shop.prepare()).plan.notes))


def test_what_is_trusted_is_said_once_with_what_it_runs(
    shop: Shop, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (elsewhere / "cookiecutter.json").write_text('{"slug": "shop", "_extensions": ["jinja2.ext.do", "\\u001b[8mx"]}')
    planned = shop.prepare()
    with pytest.raises(KindError) as caught:
        Apps().of_plan(planned.plan, planned.basis.topology)
    assert "jinja2.ext.do, \\x1b[8mx" in caught.value.message  # no name of a template's commands the terminal

    (elsewhere / "cookiecutter.json").write_text('{"slug": "shop"}')
    for _ in range(2):
        Apps(["../elsewhere"]).of_plan(planned.plan, planned.basis.topology)

    said = capsys.readouterr().err
    begins = f'Trusted from now on: the template "../elsewhere" (at {digest(elsewhere)[:19]}). It runs:'
    assert said.count(begins) == 1
    assert "\n  - the hook hooks/post_gen_project.py\n" in said


def test_trust_in_a_version_is_no_trust_in_another(shop: Shop, elsewhere: Path, tmp_path: Path) -> None:
    planned, shown = shop.prepare(), digest(elsewhere)
    (elsewhere / "hooks" / "pre_gen_project.py").write_text("import this\n")

    with pytest.raises(KindError, match="is not the version that --trust names") as caught:
        Apps([f"../elsewhere@{shown}"]).of_plan(planned.plan, planned.basis.topology)
    assert "hooks/post_gen_project.py, hooks/pre_gen_project.py" in caught.value.message
    assert f"--trust ../elsewhere@{digest(elsewhere)}" in str(caught.value.hint)
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "config").exists()

    Apps([f"../elsewhere@{digest(elsewhere)}"]).of_plan(planned.plan, planned.basis.topology)
    assert (tmp_path / "ran").exists()


def test_a_version_that_is_trusted_before_is_not_the_one_that_is_named(shop: Shop, elsewhere: Path) -> None:
    planned = shop.prepare()
    Apps(["../elsewhere"]).of_plan(planned.plan, planned.basis.topology)

    with pytest.raises(KindError, match="is not the version that --trust names"):
        Apps([f"../elsewhere@{'0' * 40}"]).of_plan(planned.plan, planned.basis.topology)


def test_a_part_of_a_version_names_none(shop: Shop, elsewhere: Path) -> None:
    topology = shop.open().topology
    Apps([f"../elsewhere@{digest(elsewhere)}"]).check(topology)
    with pytest.raises(PlanError) as caught:
        Apps([f"../elsewhere@{digest(elsewhere)[:19]}"]).check(topology)
    assert "a version is a whole commit" in str(caught.value.hint)


def test_a_link_in_the_topologys_folder_makes_nothing_ones_own(shop: Shop, elsewhere: Path) -> None:
    (shop.folder / "linked").symlink_to(elsewhere)
    shop.text = SHOP.replace("./service", "./linked")
    planned = shop.prepare()

    with pytest.raises(KindError, match="is somebody else's program"):
        Apps().of_plan(planned.plan, planned.basis.topology)


def test_answers_are_looked_at_for_each_app_of_a_template(shop: Shop) -> None:
    """It is fetched once; what another server answers is another matter."""
    inner = shop.folder / "service" / "inner"
    (inner / "<<cookiecutter.slug>>").mkdir(parents=True)
    own = {"variable_start_string": "<<", "variable_end_string": ">>"}
    (inner / "cookiecutter.json").write_text(json.dumps({"slug": "shop", "said": "", "_jinja2_env_vars": own}))
    (shop.folder / "service" / "cookiecutter.json").write_text('{"template": ["x (inner)"]}')
    t, apps = shop.open().topology, Apps()
    server = t.servers["shop"]
    assert server.app is not None
    apps.made(server, server.app, t)

    with pytest.raises(KindError, match=r'the variable "said" holds what the template "./service" takes for Jinja'):
        apps.made(server, replace(server.app, vars={"said": "<< 7 * 7 >>"}), t)


def test_trust_in_what_no_app_is_made_of(shop: Shop) -> None:
    with pytest.raises(PlanError) as caught:
        Apps(["./servise"]).check(shop.open().topology)
    assert caught.value.hint == 'did you mean "./service"?'


def test_what_is_trusted_is_ones_own_and_damaged_is_refused(shop: Shop, elsewhere: Path, tmp_path: Path) -> None:
    file = tmp_path / "config" / "scaffold" / "trusted.json"
    planned = shop.prepare()
    Apps(["../elsewhere"]).of_plan(planned.plan, planned.basis.topology)
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(json.loads(file.read_text())["trusted"]) == [str(elsewhere)]
    assert not list(shop.folder.rglob("trusted.json"))

    file.write_text("[]")
    with pytest.raises(StoreError, match="not a list of trusted templates"):
        Apps().of_plan(planned.plan, planned.basis.topology)


def test_a_plan_imports_nothing_that_renders() -> None:
    """Plan runs nothing of a template."""
    said = "import sys, scaffold.plan.make; sys.exit('cookiecutter' in sys.modules or 'jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", said], check=False).returncode == 0
