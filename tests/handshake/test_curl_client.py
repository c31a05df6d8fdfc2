"""The curl client before real servers: whom it trusts, and how it says who refused whom."""

from __future__ import annotations

from tests.handshake.client_cases import ClientCases, desk_port, issuing, root, teller  # noqa: F401
from tests.requirements import require_command

require_command("curl")


class TestCurl(ClientCases):
    kind = "curl"
