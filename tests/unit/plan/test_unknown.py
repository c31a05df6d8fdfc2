"""What a plan cannot know is told apart by its type, and is exactly what depends on a key that is not made yet."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaffold.errors import PlanError
from scaffold.pki import keys
from scaffold.plan.texts import Text, texts
from scaffold.plan.unknown import Unknown, known

NAMES_THE_KEY = "{{ cookiecutter.allowed | map(attribute='issuer_spki_sha256') | join }}\n"


def shown(household) -> dict[str, Text]:
    return {text.path: text for text in texts(household.prepare())}


def with_a_caller(tiny) -> None:
    tiny.text += "clients:\n  teller: {template: python, calls: [accounts]}\n"


def test_what_names_a_new_key_is_known_after_apply_and_nothing_else(household):
    household.apply()
    before = keys.spki_sha256(household.certificate("pki/issuing/ca.crt")).encode()
    naming = {path for path, text in household.files().items() if before in text}
    assert naming
    household.text = household.text.replace("issuing: {issuer: root}", "issuing: {issuer: root, key: ec-p384}")
    unknown = {path for path, text in shown(household).items() if text.after is Unknown.AFTER_APPLY}
    assert unknown == naming | {"servers/accounts/tls/intermediates.pem", "clients/teller/tls/intermediates.pem"}


def test_the_texts_of_today_say_which_are_not_known(tiny, change_kind):
    change_kind({"README.md": NAMES_THE_KEY, "tls/list": "first\n"})
    with_a_caller(tiny)
    tiny.apply()
    (tiny.out / "pki/root/ca.key").write_text("damaged\n")
    change_kind({"README.md": NAMES_THE_KEY, "tls/list": "known-after-apply:root\n"})
    found = shown(tiny)
    assert found["servers/accounts/README.md"].unified() == "servers/accounts/README.md: known after apply\n"
    assert found["servers/accounts/tls/list"].after == b"known-after-apply:root\n"


def test_an_edit_of_what_is_not_known_is_a_conflict(tiny, change_kind):
    change_kind({"README.md": NAMES_THE_KEY})
    with_a_caller(tiny)
    tiny.apply()
    (tiny.out / "servers/accounts/README.md").write_text("mine\n")
    (tiny.out / "pki/root/ca.key").write_text("damaged\n")
    assert tiny.planned()["server.accounts.project"][1] == "edited"
    tiny.apply()
    assert (tiny.out / "servers/accounts/README.md").read_text() == "mine\n"


@settings(max_examples=20)
@given(st.none() | st.integers() | st.text())
def test_a_known_value_is_itself(value):
    assert known(value) == value


def test_what_was_not_made_is_an_error():
    with pytest.raises(PlanError, match="not made yet"):
        known(Unknown.AFTER_APPLY)
