"""Rendering: values stay data, paths stay inside, and templates from outside go through cookiecutter."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaffold.errors import KindError
from scaffold.kinds import catalogue
from scaffold.kinds.catalogue import Kind
from scaffold.kinds.render import render_context
from scaffold.kinds.variables import VariableError, merged
from tests.unit.kinds.test_catalogue import make

both = pytest.mark.parametrize("builtin", [True, False], ids=["compiled", "cookiecutter"])


def kind(folder: Path, files: dict[str, str], builtin: bool, values: dict[str, object] | None = None) -> Kind:
    return catalogue.load(make(folder / "mine", values, files), "mine", builtin=builtin)


def rendered(made: Kind, **values: object) -> dict[str, bytes]:
    context = {"cookiecutter": {"name": "desk", "greeting": "hi", **values}}
    return {path: file.content for path, file in render_context(made, context).items()}


@both
def test_texts_and_paths_are_rendered(tmp_path, builtin):
    made = kind(tmp_path, {"a/{{ cookiecutter.greeting }}.txt": "{{ cookiecutter.name }}\n", "b.txt": "plain"}, builtin)
    assert rendered(made) == {"a/hi.txt": b"desk\n", "b.txt": b"plain"}


@both
@pytest.mark.parametrize(
    "value", ["{{ 7 * 7 }}", "{% raw %}", "{# x #}", "a\nb", "\\", "'\"", "ü 😀", "{{ cookiecutter }}"]
)
def test_values_are_never_templates(tmp_path, builtin, value):
    made = kind(tmp_path, {"a.txt": "{{ cookiecutter.greeting }}"}, builtin)
    assert rendered(made, greeting=value) == {"a.txt": value.encode()}


@both
@pytest.mark.parametrize("name", ["template", "project", "templates"])
def test_no_name_of_a_project_is_in_the_way(tmp_path, builtin, name):
    assert rendered(kind(tmp_path, {"a.txt": "a"}, builtin), name=name) == {"a.txt": b"a"}


@both
def test_a_file_whose_name_is_empty_is_left_out(tmp_path, builtin):
    made = kind(tmp_path, {"{% if cookiecutter.calls %}a.txt{% endif %}": "x", "b.txt": "y"}, builtin)
    assert rendered(made, calls=[]) == {"b.txt": b"y"}
    assert rendered(made, calls=[1]) == {"a.txt": b"x", "b.txt": b"y"}


@both
@pytest.mark.parametrize("value", ["../../evil", "/tmp/evil", "..", ".", "", "a/b", "a\0b"])
@pytest.mark.parametrize("path", ["{{ cookiecutter.greeting }}/x.txt", "d/{{ cookiecutter.greeting }}"])
def test_no_value_leads_out_of_the_project(tmp_path, builtin, value, path):
    made = kind(tmp_path, {path: "x"}, builtin)
    if value == "" and not path.endswith(".txt"):
        assert rendered(made, greeting=value) == {}
        return
    with pytest.raises(KindError):
        rendered(made, greeting=value)
    assert not (tmp_path / "evil").exists()
    assert not Path("/tmp/evil").exists()


@both
@pytest.mark.parametrize("path", ["tls/key.pem", "tls/{{ cookiecutter.greeting }}.pem"])
def test_no_template_brings_what_scaffold_issues(tmp_path, builtin, path):
    made = kind(tmp_path, {path: "x", "tls/allowed.json": "[]"}, builtin)
    with pytest.raises(KindError, match=r"scaffold writes tls/\w+\.pem itself"):
        rendered(made, greeting="cert")


@both
def test_the_projects_own_name_stays_inside(tmp_path, builtin):
    made = kind(tmp_path, {"x.txt": "x"}, False)
    with pytest.raises(KindError):
        rendered(made, name="../../evil")


@both
def test_what_is_undefined_is_an_error_and_shows_no_context(tmp_path, builtin):
    made = kind(tmp_path, {"a.txt": "{{ cookiecutter.nothing }}"}, builtin)
    with pytest.raises(KindError) as caught:
        rendered(made, greeting="do not show me")
    assert "nothing" in str(caught.value)
    assert "do not show me" not in str(caught.value)


@both
@pytest.mark.parametrize(
    ("text", "words", "hint"),
    [
        ("one\n\n{{ cookiecutter.greetin }}", 'line 3: there is no variable "greetin"', 'did you mean "greeting"?'),
        ("{% for one in cookiecutter.calls %}\n{{ one.nmae }}{% endfor %}", "line 2: ", 'did you mean "name"?'),
        ("\n{{ cokiecutter.name }}", 'line 2: there is no variable "cokiecutter"', 'did you mean "cookiecutter"?'),
        ("\n{{ cookiecutter.zzz }}", "line 2: ", "see docs/templates.md for the variables of a template"),
        ("\n\n\n{{ 1 / 0 }}", "line 4: division by zero", None),
    ],
)
def test_what_is_wrong_has_a_file_a_line_and_the_nearest_name(tmp_path, builtin, text, words, hint):
    made = kind(tmp_path, {"a.txt": text}, builtin)
    with pytest.raises(KindError) as caught:
        rendered(made, calls=[{"name": "desk"}])
    assert f"a.txt, {words}" in caught.value.message
    assert hint is None or caught.value.hint == hint


@both
@pytest.mark.parametrize("text", ["{{", "{% if %}", "{{ cookiecutter.name | nofilter }}", "{{ 1 / 0 }}"])
def test_a_template_that_is_wrong(tmp_path, builtin, text):
    made = kind(tmp_path, {"a.txt": text}, builtin)
    with pytest.raises(KindError):
        rendered(made)


@both
def test_bits_and_binary_files_are_kept(tmp_path, builtin):
    made = make(tmp_path / "mine", files={"run.sh": "#!/bin/sh\n"})
    project = made / "{{cookiecutter.name}}"
    (project / "run.sh").chmod(0o755)
    binary = bytes(range(256)) + b"{{ cookiecutter.nothing }}"
    (project / "logo.png").write_bytes(binary)
    files = render_context(catalogue.load(made, "mine", builtin=builtin), {"cookiecutter": {"name": "desk"}})
    assert files["run.sh"].executable
    assert not files["logo.png"].executable
    assert files["logo.png"].content == binary


def test_hooks_are_not_run(tmp_path):
    made = make(tmp_path / "mine")
    (made / "hooks").mkdir()
    hook = made / "hooks/post_gen_project.sh"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    before = Path.cwd()
    assert rendered(catalogue.load(made, "mine")) == {"hello.txt": b"hi"}
    assert not (tmp_path / "ran").exists()
    assert Path.cwd() == before


def test_a_default_from_outside_may_be_a_template_and_a_value_may_not(tmp_path):
    values = {"title": "{{ cookiecutter.greeting|upper }}"}
    made = catalogue.load(make(tmp_path / "mine", values, {"a.txt": "{{ cookiecutter.title }}"}), "mine")
    assert rendered(made, **merged(made, {"greeting": "ho"})) == {"a.txt": b"HO"}
    assert rendered(made, **merged(made, {"title": "{{ 7 * 7 }}"})) == {"a.txt": b"{{ 7 * 7 }}"}


def test_a_changed_template_is_compiled_anew(tmp_path):
    folder = make(tmp_path / "mine", files={"a.txt": "{{ cookiecutter.name }} one"})
    assert rendered(catalogue.load(folder, "mine", builtin=True)) == {"a.txt": b"desk one"}
    (folder / "{{cookiecutter.name}}/a.txt").write_text("{{ cookiecutter.name }} two")
    assert rendered(catalogue.load(folder, "mine", builtin=True)) == {"a.txt": b"desk two"}


# --- Variables -------------------------------------------------------------------------------------------------------

DEFAULTS = {"greeting": "hi", "workers": 4, "ratio": 0.5, "debug": False, "color": ["red", "blue"], "extra": {}}


@pytest.fixture(scope="module")
def choosy(tmp_path_factory) -> Kind:
    return catalogue.load(make(tmp_path_factory.mktemp("kinds") / "mine", DEFAULTS), "mine")


def test_defaults_stand_where_nothing_is_given(choosy):
    assert merged(choosy, {}) == {**DEFAULTS, "color": "red"}
    assert merged(choosy, {"color": "blue", "ratio": 1, "debug": True})["color"] == "blue"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("greeting", 8443),
        ("greeting", None),
        ("workers", "4"),
        ("workers", True),
        ("workers", 1.5),
        ("debug", 1),
        ("debug", "yes"),
        ("color", "green"),
        ("ratio", True),
        ("extra", []),
    ],
)
def test_a_value_of_another_type_is_refused(choosy, name, value):
    with pytest.raises(VariableError) as caught:
        merged(choosy, {name: value})
    assert caught.value.variable == name


def test_an_unknown_variable_is_refused_with_the_nearest_name(choosy):
    with pytest.raises(VariableError) as caught:
        merged(choosy, {"greting": "x"})
    assert caught.value.hint == 'did you mean "greeting"?'


@given(st.text(max_size=40))
def test_any_greeting_is_one_json_string_in_a_python_project(greeting):
    import json

    from tests.golden.cases import context_of

    python = catalogue.find("python", "server", Path.cwd())
    try:
        greeting.encode()
    except UnicodeEncodeError:
        return
    files = render_context(python, context_of(python, {"vars": {"greeting": greeting}}))
    assert json.loads(files["settings.json"].content)["greeting"] == greeting


def test_nothing_reads_or_writes_the_home_folder(tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    made = kind(tmp_path, {"a.txt": "x"}, False)
    assert rendered(made) == {"a.txt": b"x"}
    assert not list(home.iterdir())


@pytest.mark.parametrize(
    "template",
    [
        "{{ cookiecutter.greeting }}",
        "{% set all = cookiecutter %}{{ all.greeting }}",
        "{{ cookiecutter['greeting'] }}",
        "{% for key, value in cookiecutter.items() %}{{ key }}={{ value }} {% endfor %}",
        "{% if cookiecutter.calls is defined %}calls{% endif %} {{ cookiecutter.greeting }}",
    ],
)
def test_what_one_project_printed_is_not_anothers(tmp_path, template):
    made = kind(tmp_path, {"a.txt": template}, builtin=True)
    texts = {rendered(made, **values)["a.txt"] for values in ({}, {"greeting": 1}, {"greeting": True}, {"calls": [1]})}
    assert len(texts) == (4 if "calls" in template or "items" in template else 3)


@both
def test_two_files_that_become_one_are_refused(tmp_path, builtin):
    made = kind(tmp_path, {"{{ cookiecutter.greeting }}.txt": "one", "hi.txt": "two", "d/hi.txt": "other"}, builtin)
    assert rendered(made, greeting="ho") == {"ho.txt": b"one", "hi.txt": b"two", "d/hi.txt": b"other"}
    with pytest.raises(KindError, match=r'hi\.txt and .*greeting.* both become "hi\.txt"'):
        rendered(made, greeting="hi")


@both
def test_either_of_two_files_may_be_chosen(tmp_path, builtin):
    files = {
        "{% if cookiecutter.calls %}a.txt{% endif %}": "calls",
        "{% if not cookiecutter.calls %}a.txt{% endif %}": "none",
    }
    made = kind(tmp_path, files, builtin)
    assert rendered(made, calls=[1]) == {"a.txt": b"calls"}
    assert rendered(made, calls=[]) == {"a.txt": b"none"}


def test_two_folders_that_become_one_are_refused_as_cookiecutter_does(tmp_path):
    made = kind(tmp_path, {"{{ cookiecutter.greeting }}/a.txt": "a", "hi/b.txt": "b"}, builtin=False)
    with pytest.raises(KindError, match=r'hi and .*greeting.* both become "hi"'):
        rendered(made)


# --- Shared parts ----------------------------------------------------------------------------------------------------


@both
def test_a_shared_part_is_drawn_in(tmp_path, parts, builtin):
    made = kind(tmp_path, {"a.txt": '<{% include "shared/part.txt" %}>\n'}, builtin)
    assert rendered(made) == {"a.txt": b"<hi!>\n"}


@both
def test_a_shared_part_is_extended_by_a_file_of_its_name(tmp_path, parts, builtin):
    (parts / "part.txt").write_text("one {% block more %}{% endblock %} three\n")
    made = kind(tmp_path, {"part.txt": '{% extends "shared/part.txt" %}{% block more %}two{% endblock %}'}, builtin)
    assert rendered(made) == {"part.txt": b"one two three\n"}


@both
def test_a_part_that_changed_is_rendered_anew(tmp_path, parts, builtin):
    folder = make(tmp_path / "mine", None, {"a.txt": '{% include "shared/part.txt" %}'})
    assert rendered(catalogue.load(folder, "mine", builtin=builtin)) == {"a.txt": b"hi!"}
    (parts / "part.txt").write_text("changed")
    assert rendered(catalogue.load(folder, "mine", builtin=builtin)) == {"a.txt": b"changed"}


def test_projects_that_differ_in_what_a_part_alone_reads(tmp_path, parts):
    (parts / "part.txt").write_text('{% include "shared/deeper.txt" %}')
    (parts / "deeper.txt").write_text("{{ cookiecutter.calls }}")
    made = kind(tmp_path, {"a.txt": '{% include "shared/part.txt" %}'}, builtin=True)
    assert rendered(made, calls=[1]) == {"a.txt": b"[1]"}
    assert rendered(made, calls=[2]) == {"a.txt": b"[2]"}


def test_a_part_that_rendering_chooses(tmp_path, parts):
    made = kind(tmp_path, {"a.txt": "{% include 'shared/' ~ cookiecutter.calls %}"}, builtin=True)
    assert rendered(made, calls="part.txt", greeting="hi") == {"a.txt": b"hi!"}
    assert rendered(made, calls="part.txt", greeting="ho") == {"a.txt": b"ho!"}


@both
def test_a_part_that_is_not_there(tmp_path, parts, builtin):
    made = kind(tmp_path, {"a.txt": '{% include "shared/prat.txt" %}'}, builtin)
    with pytest.raises(KindError, match=r'there is no shared part "shared/prat\.txt"') as caught:
        rendered(made)
    assert caught.value.hint == 'did you mean "shared/part.txt"?'


@both
def test_the_line_is_that_of_the_part_which_is_wrong(tmp_path, parts, builtin):
    (parts / "part.txt").write_text("ok\n{{ cookiecutter.greetin }}")
    made = kind(tmp_path, {"a.txt": '\n\n\n{% include "shared/part.txt" %}'}, builtin)
    with pytest.raises(KindError, match=r"a\.txt, line 2 of shared/part\.txt: ") as caught:
        rendered(made)
    assert caught.value.hint == 'did you mean "greeting"?'


def test_a_part_with_a_wrong_syntax_is_named(tmp_path, parts):
    (parts / "part.txt").write_text("ok\n{% if %}")
    made = kind(tmp_path, {"a.txt": '{% include "shared/part.txt" %}'}, builtin=True)
    with pytest.raises(KindError, match=r"shared/part\.txt, line 2: "):
        rendered(made)


@both
def test_a_part_that_draws_itself_in(tmp_path, parts, builtin):
    (parts / "part.txt").write_text('{% include "shared/part.txt" %}')
    made = kind(tmp_path, {"a.txt": '{% include "shared/part.txt" %}'}, builtin)
    with pytest.raises(KindError, match="recursion"):
        rendered(made)


def test_a_part_of_a_templates_own_wins(tmp_path, parts):
    folder = make(tmp_path / "mine", None, {"a.txt": '{% include "shared/part.txt" %} {% include "base.txt" %}'})
    (folder / "templates" / "shared").mkdir(parents=True)
    (folder / "templates" / "shared" / "part.txt").write_text("mine")
    (folder / "templates" / "base.txt").write_text("too")
    assert rendered(catalogue.load(folder, "mine")) == {"a.txt": b"mine too"}


@pytest.mark.parametrize("role", ["server", "client"])
def test_a_kind_that_was_copied_elsewhere_finds_the_shared_parts(tmp_path, role):
    from tests.golden.cases import cases

    for case in cases():
        if case.kind.role == role:
            mine = tmp_path / case.file.stem / case.kind.name
            shutil.copytree(case.kind.folder, mine)
            copied = catalogue.find(str(mine), role, tmp_path)
            assert not copied.builtin
            assert render_context(copied, case.context()) == case.render()
