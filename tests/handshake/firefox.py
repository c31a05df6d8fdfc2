"""Firefox without a window, in a home of its own, steered by Marionette: JSON behind its length, over a socket."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from scaffold.running.ports import free_addresses
from tests.requirements import require, which

PATIENCE: Final = 120

QUIET: Final = {
    "app.update.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "devtools.jsonview.enabled": False,
    "extensions.systemAddon.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "security.default_personal_cert": "Select Automatically",
    "security.enterprise_roots.enabled": False,
    "services.settings.server": "data:,",
    "toolkit.telemetry.enabled": False,
}
"""It asks nobody on the network, trusts nothing of the system's, and shows a certificate of its own without asking."""


@dataclass
class Firefox:
    """One that runs; `open` goes to a page."""

    _stream: Any
    _asked: int = field(default=0)

    def open(self, url: str) -> str | None:
        """What it says is wrong, or None where the page was loaded."""
        error = self._ask("WebDriver:Navigate", url=url)[0]
        return None if error is None else str(error["error"])

    def page(self) -> str:
        """The source of what is shown."""
        return str(self._ask("WebDriver:GetPageSource")[1]["value"])

    def begin(self) -> None:
        self._answer()  # it greets
        error, _ = self._ask("WebDriver:NewSession")
        assert error is None, error

    def quit(self) -> None:
        self._ask("Marionette:Quit", flags=["eForceQuit"])

    def _ask(self, command: str, **parameters: Any) -> tuple[Any, Any]:
        self._asked += 1
        text = json.dumps([0, self._asked, command, parameters]).encode()
        self._stream.write(b"%d:%s" % (len(text), text))
        self._stream.flush()
        _, number, error, result = self._answer()
        assert number == self._asked
        return error, result

    def _answer(self) -> Any:
        length = b""
        while (octet := self._stream.read(1)) != b":":
            assert octet, "Firefox has ended"
            length += octet
        return json.loads(self._stream.read(int(length)))


def profile(home: Path) -> Path:
    """An empty profile in a home, where a distribution keeps it."""
    folder = home / ".mozilla" / "firefox" / "tried.default"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def firefox(home: Path) -> Iterator[Firefox]:
    """One that was started with the profile of `home`, and has ended once the block is left."""
    program = which("firefox-esr") or which("firefox")
    require(program, "firefox or firefox-esr on PATH")
    address, folder = free_addresses(1)[0], profile(home)
    wanted = {**QUIET, "marionette.port": address.port}
    (folder / "user.js").write_text(
        "".join(f"user_pref({json.dumps(k)}, {json.dumps(v)});\n" for k, v in wanted.items())
    )
    command = [str(program), "--headless", "--no-remote", "--marionette", "--profile", str(folder)]
    with subprocess.Popen(
        command, env={"HOME": str(home), "PATH": "/usr/bin:/bin"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            with _connected(address.host, address.port, process) as connection, connection.makefile("rwb") as stream:
                browser = Firefox(stream)
                browser.begin()
                yield browser
                browser.quit()
            process.wait(PATIENCE)
        finally:
            process.kill()


def _connected(host: str, port: int, process: subprocess.Popen[bytes]) -> socket.socket:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return socket.create_connection((host, port), PATIENCE)
        except OSError:
            assert process.poll() is None, "Firefox has ended"
            assert time.monotonic() < deadline, "Firefox does not listen"
            time.sleep(0.1)
