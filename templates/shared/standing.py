"""Whether a caller who was verified at the handshake still is, by what lies in tls/ now. The openssl command says."""

from __future__ import annotations

import ssl
import subprocess
import tempfile
import threading
from pathlib import Path

from peer import Chain
from revocation import Refused
from tls import Material

VERIFY_SECONDS = 5
MOST_KEPT = 1_000


class Standing:
    """Verifies chains again, each once under the same roots and CRLs. Threads may share one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._verdicts: dict[tuple[Chain, str], str] = {}

    def check(self, chain: Chain, current: Material) -> None:
        """Raises Refused unless the chain (DER, leaf first, root last) is valid by the current material.

        Without an answer of openssl nobody gets in: a new connection is verified by its handshake.
        """
        key = (chain, current.trust)
        with self._lock:
            if key not in self._verdicts:
                self._verdicts[key] = _complaint(chain, self._folder, with_crls=current.policy.check_crl)
                if len(self._verdicts) > MOST_KEPT:
                    del self._verdicts[next(iter(self._verdicts))]
            complaint = self._verdicts[key]
        if complaint:
            raise Refused(complaint)


def _complaint(chain: Chain, folder: Path, *, with_crls: bool) -> str:
    """Why the chain is not valid; empty if it is."""
    leaf, *others = map(ssl.DER_cert_to_PEM_cert, chain)
    crls = ["-crl_check_all", "-CRLfile", folder / "crl.pem"] if with_crls else []
    with tempfile.TemporaryDirectory() as place:
        leaf_file, others_file = Path(place, "leaf.pem"), Path(place, "others.pem")
        leaf_file.write_text(leaf)
        others_file.write_text("".join(others))
        # Roots and strictness as in tls.py; no CA of the system has a say.
        anchors = ["-CAfile", folder / "ca.pem", "-no-CApath", "-no-CAstore"]
        demands = ["-purpose", "sslclient", "-x509_strict", *crls]
        command = ["openssl", "verify", *anchors, *demands, "-untrusted", others_file, leaf_file]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=VERIFY_SECONDS, check=False, stdin=subprocess.DEVNULL
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"roots or CRLs have changed since the handshake: connect again ({error})"
    if done.returncode == 0:
        return ""
    reasons = [line.partition("lookup: ")[2] for line in done.stderr.splitlines() if " lookup: " in line]
    return f"the certificate is no longer valid: {reasons[0] if reasons else 'openssl verify says no'}"
