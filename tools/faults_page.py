"""Writes docs/faults.md: the faults, the doors of the example badssl, and what `who_notices` measured.

python tools/faults_page.py            # a test fails where the file is not what this writes
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scaffold.topology.faults import ABOUT
from scaffold.topology.load import load
from scaffold.view.faults import faults_table

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "faults.md"
MEASURED = ROOT / "tools" / "who_notices" / "measured.json"

OPENING = """\
# Certificates that are broken on purpose

<!-- Written by tools/faults_page.py from scaffold/topology/faults.py and what tools/who_notices measured. -->

For tests of TLS code: certificates that each have one thing wrong, and which libraries notice it. Such a `fault` is
made on purpose; everything else about the certificate is right. `scaffold faults` prints this list, `--json` for
programs:

"""

IN_TESTS = """
A topology can have those with "yes" in the last column (`fault: expired`): `apply` issues them and keeps them so, `up`
serves them like any certificate, and `verify` expects that they are refused. In a test you can make every one as files:
`scaffold_env.broken("teller", "sha1-signature")` ([how](testing.md)). `plan` refuses a fault that no server or client
on the other side could notice.

`issued-by-leaf`, `expired-intermediate`, `missing-intermediate`, `issuer-not-a-ca`, `path-length` and
`name-constraints` are in the chain: `scaffold` makes a CA for them beside the issuer, below the same CA, without a CRL.
So a server that checks CRLs also refuses them for the missing CRL, and a server whose allow list has the issuer's key,
for the wrong key. The table under [Who notices](#who-notices) shows what a TLS library does by itself.

## A private badssl

```sh
scaffold init --example badssl
scaffold up
```

This makes the certificates and starts a server for each fault on this machine, on the ports of the topology. Each
server demands a client certificate: use that of `clients/visitor/tls`, and for `revoked` that of
`clients/inspector/tls`, which has a CRL too. A client that trusts `pki/root/ca.crt` must accept the first server, and
refuse all others:

"""

AFTER_DOORS = """
`scaffold verify` checks this with the two rendered clients. To try it by hand with `curl`:

```sh
cd badssl/clients/visitor/tls
curl --cacert ca.pem --cert cert.pem --key key.pem https://localhost:9501/
cd ../inspector/tls                    # for `revoked`: without --crlfile curl checks no CRL
curl --cacert ca.pem --crlfile crl.pem --cert cert.pem --key key.pem https://localhost:9518/
```

## Who notices

For this table, a server showed each fault in a real handshake to a client of each library
(`tools/who_notices/measure.py`). The clients trust the root, call `localhost`, and have no other settings.
`cryptography` makes no connections and was given the same certificates. **refuses** is right; *accepts* means that you
need another check. Only in the row `revoked` did the clients check a CRL, if they can read one from a file (here not
Java, .NET and `cryptography`).

"""

CLOSING = """
What the table shows:

- Every library refuses an expired or wrongly issued certificate. Some accept a weak key, a weak signature, or a
  duplicate serial. All accept a certificate without a purpose for every purpose, and do not distinguish between two
  trusted CAs.
- NSS tolerates clock differences of a day: `not-yet-valid` began ten minutes later here.
- No library checks revocation unless it is told to.
- In `sibling-ca` and `same-name-ca` nothing is wrong with the certificate itself: only an allow list with the issuer's
  key refuses them. The rendered servers have such lists. nginx and HAProxy know issuers by name only, and `plan`
  refuses a topology in which they could confuse two.
"""


def page() -> str:
    """The whole page."""
    measured = json.loads(MEASURED.read_text("utf-8"))
    doors, matrix = "".join(_doors()), "".join(_matrix(measured))
    return OPENING + faults_table(ABOUT) + IN_TESTS + doors + AFTER_DOORS + matrix + CLOSING


def _doors() -> Iterator[str]:
    yield "| server | address | what must happen |\n|---|---|---|\n"
    for server in load(ROOT / "examples/badssl/topology.yaml").servers.values():
        must = "accepted" if server.fault is None else f"refused: {ABOUT[server.fault].wrong}"
        yield f"| `{server.name}` | `https://localhost:{server.listen.port}/` | {must} |\n"


def _matrix(measured: dict[str, Any]) -> Iterator[str]:
    names = list(measured["clients"])
    yield "| fault | " + " | ".join(names) + " |\n|---|" + "---|" * len(names) + "\n"
    for fault in ("none", *ABOUT):
        said = (measured["clients"][name]["said"].get(str(fault), "–") for name in names)
        cells = map(str, said) if fault == "none" else map(_cell, said)
        yield f"| `{fault}` | " + " | ".join(cells) + " |\n"
    versions = (f"{name}: {measured['clients'][name]['version']}" for name in names)
    yield "\nMeasured with " + "; ".join(versions) + ". A dash: not tested, since no handshake is possible with it.\n"


def _cell(said: str) -> str:
    return {"refuses": "**refuses**", "accepts": "*accepts*"}.get(said, said)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
