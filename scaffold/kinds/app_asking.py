"""Asks the questions of an app's template on the terminal, by cookiecutter's own prompts, and makes nothing of it.

It runs in the process of `scaffold.kinds.app_child`: the questions of a template are rendered, and so are a program.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


class _Asked(Exception):
    """All was asked: raised in the place of making files."""


class Answers:
    """What a person answers. `given` are answers that they gave before, which are not asked again.

    `changed` are those that differ from what the template proposes, as cookiecutter takes them from elsewhere: by the
    names of variables. `directory` is where the template lies that was chosen among several, within `template`.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.changed: dict[str, Any] = {}
        self.directory: str | None = None
        self._given = given

    def to(self, ask: Callable[..., Any]) -> Callable[..., Any]:
        """Cookiecutter's question for one variable, which keeps another answer than the proposed one."""

        def asked(name: str, proposed: Any, *arguments: Any, **named: Any) -> Any:
            if name in self._given:
                return proposed
            answer = ask(name, proposed, *arguments, **named)
            while isinstance(proposed, dict) and (lost := _lost(proposed, answer)):
                print(f"    Give {', '.join(lost)} a value as well: answers cannot take a key away")
                answer = ask(name, proposed, *arguments, **named)
            if answer != proposed:
                self.changed[name] = answer
            return answer

        return asked

    def to_choice(self, ask: Callable[..., Any]) -> Callable[..., Any]:
        """The same for a choice, which is kept by its number: what is shown of it may be rendered."""

        def asked(name: str, options: list[Any], *arguments: Any, **named: Any) -> Any:
            if name in self._given:
                return options[0]
            answer = ask(name, options, *arguments, **named)
            if answer != options[0]:
                self.changed[name] = options.index(answer)
            return answer

        return asked

    def to_all(self, ask: Callable[..., Any]) -> Callable[..., Any]:
        """All questions of one template."""

        def asked(context: dict[str, Any], *arguments: Any, **named: Any) -> Any:
            declared = dict(context["cookiecutter"])
            self.changed.clear()  # which of several templates is meant is no answer of that one
            said = ask(context, *arguments, **named)
            self.changed = {name: _as_declared(declared[name], answer) for name, answer in self.changed.items()}
            return said

        return asked

    def to_which(self, choose: Callable[..., str]) -> Callable[..., str]:
        """Which of several templates is meant."""

        def asked(context: Any, folder: Path | str, *arguments: Any, **named: Any) -> str:
            chosen = choose(context, folder, *arguments, **named)
            within = os.path.relpath(chosen, Path(folder).resolve())
            self.directory = os.path.normpath(Path(self.directory or ".", within))
            return chosen

        return asked


def _lost(proposed: Mapping[str, Any], answer: Mapping[str, Any]) -> list[str]:
    """The keys of `proposed`, and of the mappings in it, that `answer` has not."""
    lost = []
    for name, value in proposed.items():
        if name not in answer:
            lost.append(name)
        elif isinstance(value, Mapping) and isinstance(answer[name], Mapping):
            lost += [f"{name}.{one}" for one in _lost(value, answer[name])]
    return lost


def _as_declared(declared: Any, answer: Any) -> Any:
    """An answer as the template's cookiecutter.json has such values: one of its choices, or a number for a number."""
    if isinstance(declared, list):
        return declared[answer]
    if type(declared) is int and isinstance(answer, str) and answer.isdecimal() and str(int(answer)) == answer:
        return int(answer)
    return answer


def ask(order: Mapping[str, Any], render: Callable[..., object]) -> dict[str, object]:
    """Asks, up to where `render`, which is cookiecutter itself, would make files. Returns the answers."""
    from cookiecutter import main, prompt

    answers = Answers(order["answers"])
    for question in ("read_user_variable", "read_user_yes_no", "read_user_dict"):
        setattr(prompt, question, answers.to(getattr(prompt, question)))
    prompt.read_user_choice = answers.to_choice(prompt.read_user_choice)
    main.prompt_for_config = answers.to_all(main.prompt_for_config)
    main.choose_nested_template = answers.to_which(main.choose_nested_template)
    main.generate_files = _stop
    try:
        render(order, no_input=False)
    except _Asked:
        return {"answers": answers.changed, "directory": answers.directory}
    raise AssertionError("this version of cookiecutter makes files by another function")


def _stop(*_: Any, **__: Any) -> None:
    raise _Asked
