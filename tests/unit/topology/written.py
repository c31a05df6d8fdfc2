"""A good topology to break in one place at a time, and the assertion of a clear error."""

from __future__ import annotations

from pathlib import Path

import pytest

from scaffold.errors import TopologyError, TopologyErrors
from scaffold.kinds.catalogue import suggested
from scaffold.topology.load import loads
from scaffold.topology.model import Topology

SOURCE = Path("/somewhere/topology.yaml")

GOOD = """\
version: 1
name: shop
publish: http://127.0.0.1:9080
cas:
  root:
    subject: {common_name: Shop Root}
  issuing:
    issuer: root
    path_length: 0
    name_constraints:
      permitted: {dns: [shop.internal, localhost], ip: [127.0.0.0/8]}
  partner:
    existing: {certificate: partner.pem}
servers:
  api:
    template: python
    listen: 127.0.0.1:8443
    names: [localhost, api.shop.internal, 127.0.0.1]
  gateway:
    template: nginx
    listen: 127.0.0.1:9443
    names: [localhost]
    calls: [api]
    upstream: api
clients:
  cli:
    template: python
    calls: [api, gateway]
  robot:
    external: {issuer: partner, identity: "spiffe://partner.example/robot"}
    calls: [api]
"""


def read(text: str) -> Topology:
    return loads(text.encode(), SOURCE)


def changed(old: str, new: str) -> str:
    """The good topology with one piece of its text replaced."""
    assert GOOD.count(old) == 1, f"{old!r} stands {GOOD.count(old)} times"
    return GOOD.replace(old, new)


def refused(text: str | bytes, message: str, at: str | None = None, hint: str = "") -> TopologyError:
    """Loading ends in one error that says `message`, its place on `at` (the text that begins there), with `hint`."""
    (error,) = mistakes(text)
    assert message in error.message
    assert hint in (error.hint or "")
    assert "\n" not in error.message
    assert error.place is not None
    assert error.place.file == str(SOURCE)
    if at is not None:
        assert error.place.text[error.place.column - 1 :].startswith(at), error.place
    return error


def mistakes(text: str | bytes) -> tuple[TopologyError, ...]:
    """All that loading refuses, at least one, in the file's order."""
    with pytest.raises(TopologyError) as caught:
        loads(text.encode() if isinstance(text, str) else text, SOURCE, suggested)
    error = caught.value
    found = error.errors if isinstance(error, TopologyErrors) else (error,)
    assert all(isinstance(one, TopologyError) for one in found)
    return tuple(one for one in found if isinstance(one, TopologyError))
