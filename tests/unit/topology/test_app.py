"""The app behind a front, as the topology says it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scaffold.errors import TopologyError, TopologyErrors
from scaffold.topology.edit import app_in_braces
from scaffold.topology.load import loads
from scaffold.topology.model import App, ReadyLine, ReadyPath

TOPOLOGY = """
version: 1
name: shop
cas:
  root: {{}}
servers:
  shop:
    template: nginx
    listen: 127.0.0.1:8443
    names: [localhost]
    {own}
"""
BACKEND = "backend: http://127.0.0.1:5000"


def app(said: str) -> App:
    t = loads(TOPOLOGY.format(own=f"{BACKEND}\n    app: {said}").encode(), Path("topology.yaml"))
    found = t.servers["shop"].app
    assert found is not None
    return found


def refusal(own: str) -> TopologyError:
    with pytest.raises(TopologyError) as caught:
        loads(TOPOLOGY.format(own=own).encode(), Path("topology.yaml"))
    return caught.value


def test_all_that_can_be_said_of_an_app() -> None:
    found = app(
        "{template: gh:someone/service, checkout: v1.2, directory: services/api, ready: /healthz,"
        ' run: [uvicorn, "shop.main:app", --port, "5000", --port, "5000"],'
        " vars: {project_slug: shop, use_db: false, workers: 2, _private: x, ports: {http: 80, more: [1, {a: b}]}}}"
    )

    assert (found.template, found.checkout, found.directory) == ("gh:someone/service", "v1.2", "services/api")
    assert found.ready == ReadyPath("/healthz")
    assert found.run == ("uvicorn", "shop.main:app", "--port", "5000", "--port", "5000")
    assert found.vars["use_db"] is False
    assert found.vars["workers"] == 2
    assert found.vars["_private"] == "x"
    ports = found.vars["ports"]
    assert isinstance(ports, dict | type(found.vars))
    assert ports["more"] == (1, {"a": "b"})


ANSWERS = st.recursive(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12) | st.booleans() | st.integers(-9999, 9999),
    lambda one: (
        st.lists(one, max_size=3).map(tuple) | st.dictionaries(st.from_regex(r"\A[a-z]{1,5}\Z"), one, max_size=3)
    ),
    max_leaves=6,
)


@given(
    answers=st.dictionaries(st.from_regex(r"\A[a-z_]{1,9}\Z"), ANSWERS, max_size=4),
    run=st.lists(st.sampled_from(["python3", "-p", "5000", "true", "a b", "a: b", "$X"]), max_size=3),
    ready=st.sampled_from([None, ReadyPath("/healthz"), ReadyLine("listens on [0-9]+")]),
    directory=st.sampled_from([None, "services/web"]),
)
@example(answers={"a": "7", "b": "true", "c": "1.5", "d": "2026-01-01", "e": "no"}, run=[], ready=None, directory=None)
def test_an_app_that_is_written_is_read_as_it_was(
    answers: dict[str, object], run: list[str], ready: ReadyPath | ReadyLine | None, directory: str | None
) -> None:
    meant = App("./service", directory=directory, vars=answers, run=tuple(run), ready=ready)
    assert app(app_in_braces(meant).text) == meant


def test_a_template_is_enough() -> None:
    assert app("{template: ./service}") == App("./service")


def test_ready_by_a_line() -> None:
    assert app("{template: ./service, ready: {line: 'Running on .*'}}").ready == ReadyLine("Running on .*")


@pytest.mark.parametrize(
    ("said", "message", "hint"),
    [
        ("{}", "an app needs template", "template: any cookiecutter template"),
        ("./service", "expected an app, found text", "{template: …}"),
        ("{template: ./s, ready: healthz}", "is not a path", "{line: REGEX}"),
        ("{template: ./s, ready: {line: '('}}", "is not a regular expression", "Running on"),
        (
            "{template: ./s, run: python app.py}",
            "expected a list of arguments of app.run, found text",
            "[python, app.py]",
        ),
        ("{template: ./s, run: []}", "the list of arguments of app.run is empty", None),
        ("{template: ./s, checkout: --upload-pack=x}", "is not a branch, tag or commit", "main"),
        ("{template: ./s, directory: ../other}", "is not a folder within the template", "without `..`"),
        ("{template: ./s, directory: /etc}", "is not a folder within the template", None),
        ("{template: ./s, runs: [x]}", 'unknown key "runs"', "run"),
        ("{template: ./s, vars: {a-b c: x}}", "is not the name of a template's variable", "project_slug"),
        *(
            (f"{{template: ./s, vars: {{a: {value}}}}}", f"an answer may not hold {begins}", "answers are data")
            for value, begins in (
                ("'{{ 7 * 7 }}'", "{{"),
                ("'x {% if 1 %}'", "{%"),
                ("'{# x'", "{#"),
                ("[b, ['{{ x']]", "{{"),
                ("{b: [{c: '{{ x'}]}", "{{"),
                ("{b: {'{{ x': c}}", "{{"),
            )
        ),
    ],
)
def test_what_cannot_be(said: str, message: str, hint: str | None) -> None:
    error = refusal(f"{BACKEND}\n    app: {said}")

    assert message in error.message
    assert error.place is not None
    assert error.place.line == 12
    assert hint is None or hint in (error.hint or "")


def test_braces_that_are_no_jinja_are_an_answer_like_any_other() -> None:
    assert app("{template: ./s, vars: {a: '{x}} %} { {', b: {c: ['{}']}}}").vars["a"] == "{x}} %} { {"


def test_an_app_without_a_backend_is_an_error() -> None:
    error = refusal("app: {template: ./service}")

    assert error.message == "shop has an app and no backend, the address of the app"
    assert error.hint is not None
    assert "backend: http://127.0.0.1:5000" in error.hint


def test_of_a_backend_that_is_wrong_nothing_more_is_said() -> None:
    assert not isinstance(refusal("backend: https://x\n    app: {template: ./service}"), TopologyErrors)
