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

A `fault` is one thing that is wrong with a certificate, on purpose; everything else about it is right. `scaffold
faults` prints this list, `--json` for programs:

"""

IN_TESTS = """
Those that a topology takes are issued by `apply`, kept by later ones and served by `up` like any certificate; `verify`
expects the refusal. Every one can be made as files in a test: `scaffold_env.broken("teller", "sha1-signature")`
([how](testing.md)). `plan` refuses a fault that nobody on its edges could see.

`issued-by-leaf`, `expired-intermediate`, `missing-intermediate`, `issuer-not-a-ca`, `path-length` and
`name-constraints` lie in the chain: a CA is made for them beside the issuer, below the CA above it, and publishes no
CRL. A server that demands CRLs of its clients refuses these for that as well, and one whose allow list names the
issuer's key for their signer; what a TLS library alone says is below.

## A private badssl

```sh
scaffold init --example badssl
scaffold up
```

makes the certificates and starts a door for each fault on this machine, on ports that the topology names. Every one
wants a client certificate: take that of `clients/visitor/tls`, and for `revoked` that of `clients/inspector/tls`, which
has the CRL beside it. Whoever trusts `pki/root/ca.crt` must accept the first door, and must refuse all others:

"""

AFTER_DOORS = """
`scaffold verify` proves it with the two rendered callers. `curl` shows the same by hand:

```sh
cd badssl/clients/visitor/tls
curl --cacert ca.pem --cert cert.pem --key key.pem https://localhost:9501/
cd ../inspector/tls                    # for `revoked`: without --crlfile curl looks up no CRL
curl --cacert ca.pem --crlfile crl.pem --cert cert.pem --key key.pem https://localhost:9518/
```

## Who notices

Each fault was shown by a server, in a real handshake, to a client of each library that trusts the root, calls
`localhost`, and is configured no further (`tools/who_notices/measure.py`). `cryptography`, which makes no connections,
was given the same certificates. **refuses** is right; where it says *accepts* you rely on something else. CRLs are
looked up in the row `revoked` alone, where the client can be told to from a file (not Java's, .NET's and
`cryptography`'s here).

"""

CLOSING = """
What follows from it:

- No library misses an expired or wrongly issued certificate. Some miss a weak key, a weak signature, and a serial that
  comes twice; all take a purpose that is absent for every purpose, and no two trusted CAs for different ones.
- NSS forgives clocks a day: `not-yet-valid` began ten minutes later here.
- Nobody looks up a revocation unasked.
- `sibling-ca` and `same-name-ca` are no fault of a certificate: only an allow list that names the issuer's key refuses
  them. Such are those of the rendered servers; nginx sees names alone, and `plan` refuses what it could mistake.
"""


def page() -> str:
    """The whole page."""
    measured = json.loads(MEASURED.read_text("utf-8"))
    doors, matrix = "".join(_doors()), "".join(_matrix(measured))
    return OPENING + faults_table(ABOUT) + IN_TESTS + doors + AFTER_DOORS + matrix + CLOSING


def _doors() -> Iterator[str]:
    yield "| door | address | what must happen |\n|---|---|---|\n"
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
    yield "\nMeasured with " + "; ".join(versions) + ". A dash: not asked, as no handshake can be made with it.\n"


def _cell(said: str) -> str:
    return {"refuses": "**refuses**", "accepts": "*accepts*"}.get(said, said)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
