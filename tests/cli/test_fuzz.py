"""Whatever a topology says: exit 0, or 1 with errors that name a place; never a defect, never a traceback."""

# ruff: noqa: E501 - the words of the fuzzer

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cli.harness import Ended, in_process, scaffold

WHOLE = (Path(__file__).parents[1] / "judges" / "everything.yaml").read_text("utf-8").replace("PORT", "9080")
SMALL = """\
version: 1
name: shop
publish: http://127.0.0.1:9080
defaults: {lifetime: 30d, subject: {country: NL}}
cas:
  root: {}
  issuing: {issuer: root, path_length: 0, name_constraints: {permitted: {dns: [localhost]}}}
servers:
  api: {template: python, issuer: issuing, listen: 127.0.0.1:8443, names: [localhost], check_revocation: crl}
  web: {template: nginx, issuer: issuing, listen: 127.0.0.1:8444, names: [localhost], calls: [api], upstream: api}
clients:
  cli: {template: python, issuer: issuing, calls: [api, web]}
  bad: {template: curl, issuer: issuing, calls: [api], fault: expired}
"""

WORDS = [
    *("", "~", "null", "[]", "{}", "[[]]", "{a: b}", "[a, a]", "'", '"', '"\\0"', '"\\u202e"', "\t", "&a x", "*a", "*x.y"),
    *("<<: {}", "<<: [1]", "? [a]", "!!binary x", "- x", "|", ">", "%", "@", "`", "#", "---", "...", "\ufeff", "\x85"),
    *("true", "yes", "0", "-1", "1e9", "0x10", "99999999999999999999", "1.0", "NaN", "2026-01-01", "8443", "::1", "[::1]:1"),
    *("../..", "/", "/dev/null", "/dev/zero", "C:\\x", "./x.zip", "~", "~nobody", "a/b", "{{ 7*7 }}", "$(id)", "127.0.0.1:8443"),
    *("root", "issuing", "api", "web", "cli", "python", "nginx", "curl", "localhost", "*.localhost", "spiffe://shop/client/cli"),
    *("issuer: root", "calls: [cli]", "existing: {certificate: x}", "external: {issuer: root, identity: 'uri:a:b'}"),
    *("names: ['spiffe://a/b', 'spiffe://a/c']", "fault: no-san", "staple: true", "key: ml-dsa-44", "trusts: [root]"),
    *("subject: {common_name: localhost}", "lifetime: 1s", "lifetime: 9999y", "renew_before: 30d", "key_password: {env: A}"),
]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn, text: str) -> str:
    """`text` with a few tokens or lines replaced, repeated or gone."""
    for _ in range(draw(st.integers(1, 4))):
        tokens = re.split(r"([\w./*:-]+|\n)", text)
        index = draw(st.integers(0, len(tokens) - 1))
        match draw(st.sampled_from(["word", "swap", "drop", "line", "text"])):
            case "word":
                tokens[index] = draw(st.sampled_from(WORDS))
            case "swap":
                other = draw(st.integers(0, len(tokens) - 1))
                tokens[index], tokens[other] = tokens[other], tokens[index]
            case "drop":
                tokens[index] = ""
            case "line":
                lines = text.split("\n")
                lines.insert(draw(st.integers(0, len(lines))), draw(st.sampled_from(lines)))
                tokens = ["\n".join(lines)]
            case _:
                tokens[index] = draw(st.text(max_size=8))
        text = "".join(tokens)
    return text


def assert_told(ended: Ended, text: str) -> None:
    """Every `error:` has a place in the file and a hint; nothing is a defect."""
    assert ended.code in (0, 1), ended.err
    assert "defect" not in ended.err, (ended.err, text)
    assert "Traceback" not in ended.err + ended.out, (ended.err, text)
    if ended.code == 1:
        assert ended.err.startswith("error: "), ended.err
        assert "topology.yaml" in ended.err, (ended.err, text)
        assert ended.err.count("hint: ") == ended.err.count("error: "), (ended.err, text)


FUZZ = settings(deadline=None, suppress_health_check=list(HealthCheck))


@FUZZ
@given(text=mutated(WHOLE) | mutated(SMALL))
def test_validate_is_never_at_a_loss(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "topology.yaml").write_text(text, "utf-8", newline="")
    assert_told(in_process("validate", cwd=folder), text)


@settings(FUZZ, max_examples=40)
@given(text=mutated(SMALL))
def test_plan_and_graph_are_never_at_a_loss(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "topology.yaml").write_text(text, "utf-8", newline="")
    assert_told(in_process("plan", cwd=folder), text)
    assert_told(in_process("graph", cwd=folder), text)


def test_the_twins_are_good(tmp_path: Path) -> None:
    for text in (WHOLE, SMALL):
        (tmp_path / "topology.yaml").write_text(text, "utf-8")
        assert in_process("validate", cwd=tmp_path).code == 0


# --- What is no file, and what cannot be fetched ---


@pytest.mark.parametrize("verb", [("validate", "-f"), ("apply",), ("inspect",)], ids=lambda verb: verb[0])
def test_a_pipe_that_nobody_writes_into_is_not_waited_for(verb: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "topology.yaml").write_text(SMALL)
    os.mkfifo(tmp_path / "pipe")
    scaffold(*verb, "pipe", cwd=tmp_path).assert_clear_error("pipe", "named pipe")


def test_a_plan_without_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "topology.yaml").write_text(SMALL)
    scaffold("apply", "/dev/zero", cwd=tmp_path).assert_clear_error("/dev/zero is not a plan", "hint: ")


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("https://127.0.0.1:9/x", "neither a git repository nor a zip file"),
        ("https://127.0.0.1:9/x.zip", "no connection to 127.0.0.1"),
        ("git+https://127.0.0.1:9/x.git", "fatal: unable to access"),
        ("git+file:///nowhere/at-all", "does not appear to be a git repository"),
        ("./none.zip", "No such file"),
        ("./topology.yaml", "is not a folder"),
        ("./none", "is not a folder"),
        ("/", "has no /cookiecutter.json"),
    ],
)
def test_a_template_that_cannot_be_had_is_a_clear_error(template: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "topology.yaml").write_text(SMALL.replace("template: curl", f'template: "{template}"'))
    scaffold("plan", cwd=tmp_path).assert_clear_error(words, "topology.yaml:13:", "hint: ")
