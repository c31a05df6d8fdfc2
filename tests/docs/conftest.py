"""The root and the CA of the tests that render one project by hand, as in tests/handshake."""

from __future__ import annotations

from tests.handshake.conftest import ca, root

__all__ = ["ca", "root"]
