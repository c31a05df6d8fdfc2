"""Whatever an apply writes or removes, its plan carries how it was: no other file can be overwritten unseen."""

from __future__ import annotations

import pytest

from scaffold.store.files import Writer
from scaffold.store.seen import SeenFile, SeenFolder
from tests.unit.revoking import CHECKING

WITH_ALL = (
    CHECKING
    + """\
  dot: {template: dotnet, issuer: issuing, calls: [accounts], pfx: {password: {generate: true}}}
"""
)


def edited(bank) -> None:
    for path in ("servers/accounts/tls/allowed.json", "servers/accounts/guard.py", "clients/teller/tls/ca.pem"):
        (bank.out / path).write_text("edited\n")


def without(bank, *paths: str) -> None:
    for path in paths:
        (bank.out / path).unlink()


CHANGES = {
    "made": None,
    "edited": edited,
    "lost": lambda bank: without(
        bank,
        "pki/issuing/crl.pem",
        "servers/front/tls/key.pem",
        "clients/dot/tls/bundle.pfx",
        "clients/teller/tls.py",
    ),
    "another name": lambda bank: setattr(bank, "text", bank.text.replace("names: [localhost]", "names: [a.internal]")),
    "removed": lambda bank: setattr(bank, "text", bank.text[: bank.text.index("  front:")] + "clients: {}\n"),
    "late": lambda bank: bank.later(days=80),
    "a CA's chain": lambda bank: without(bank, "pki/issuing/chain.pem", "pki/issuing/ca.cer"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_written_or_removed_was_seen(household, monkeypatch, name):
    household.text = WITH_ALL
    if (change := CHANGES[name]) is not None:
        household.apply()
        change(household)
    touched: set[str] = set()
    for method in ("_put", "remove"):
        real = getattr(Writer, method)

        def noting(self, relative, *arguments, _real=real, **more):
            touched.add(relative)
            return _real(self, relative, *arguments, **more)

        monkeypatch.setattr(Writer, method, noting)
    planned, before = household.prepare(), household.files()
    household.carry_out(planned)
    seen = [one for change in planned.plan.changes for one in change.seen]
    files = {one.path for one in seen if isinstance(one, SeenFile)}
    folders = tuple(f"{one.path}/" for one in seen if isinstance(one, SeenFolder))
    unseen = {path for path in touched if path not in files and not path.startswith(folders)}
    assert touched - unseen
    assert unseen & before.keys() == set()
