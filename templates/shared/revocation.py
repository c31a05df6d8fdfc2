"""Whether a peer's certificate has been revoked, by OCSP or CRL. The openssl command checks every signature.

the leaf              `ocsp`: its issuer's responder, remembered until the response ends; `crl`: tls/crl.pem
its intermediates     tls/crl.pem: their issuer need not have a responder
no answer to be had   `refuse`, or `allow` with a warning; who is revoked or unknown is refused either way
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import logging
import re
import shutil
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

log = logging.getLogger("revocation")

ASK_SECONDS = 5
UNAVAILABLE_SECONDS = 5
"""How long a responder that did not answer is left alone."""

CRL_SECONDS = 60
"""How long a verdict by the same CRL file holds: the CRLs in it may end meanwhile."""

CLOCK_SECONDS = 60
"""How far the responder's clock and this one may differ. openssl itself would forgive five minutes."""

MOST_KEPT = 10_000
LONGEST_ANSWER = 1 << 16


class Refused(Exception):
    """The peer must be refused, and why."""


@dataclass(frozen=True)
class Rules:
    """`check` is crl or ocsp, `on_unavailable` refuse or allow."""

    check: str
    on_unavailable: str

    def __post_init__(self) -> None:
        """Raises ValueError for other words."""
        if self.check not in ("crl", "ocsp") or self.on_unavailable not in ("refuse", "allow"):
            raise ValueError(f"revocation: check {self.check!r}, on_unavailable {self.on_unavailable!r} is not known")


@dataclass(frozen=True)
class Verdict:
    """Good, where `refusal` and `doubt` are empty. `doubt`: nobody could say. It holds until a time (Unix seconds)."""

    until: float
    refusal: str = ""
    doubt: str = ""


class Checker:
    """Checks peers against what lies in tls/, and remembers verdicts. Threads may share one."""

    def __init__(self, folder: Path, rules: Rules) -> None:
        """Raises ValueError where there is no openssl command to ask with."""
        if shutil.which("openssl") is None:
            raise ValueError("the openssl command, which checks revocation, is not installed")
        self._folder = folder
        self._rules = rules
        self._lock = threading.Lock()
        self._verdicts: dict[object, Future[Verdict]] = {}

    def check(self, chain: Sequence[bytes]) -> None:
        """Raises Refused unless all of a verified chain (DER, leaf first, root last) is valid. Waits for answers."""
        leaf, *others = chain
        for certificate, issuer in zip(chain, others, strict=False):
            if certificate is leaf and self._rules.check == "ocsp":
                verdict = self._remembered(leaf, lambda: self._by_ocsp(leaf, others[0]))
            else:
                verdict = self._by_current_crl(certificate, issuer)
            self._judge(verdict)

    def remembers(self, chain: Sequence[bytes]) -> bool:
        """Whether `check` answers at once. Whoever must not wait leaves the others to another thread."""
        leaf, *issuers = chain
        try:
            keys = [self._crl_key(certificate) for certificate in issuers[:-1]]
            keys.append(leaf if self._rules.check == "ocsp" else self._crl_key(leaf))
        except OSError:
            return False
        soon = time.time() + 1  # what ends in between would have to be asked for after all
        with self._lock:
            known = [self._verdicts.get(key) for key in keys]
        return all(one is not None and one.done() and one.result().until > soon for one in known)

    def _judge(self, verdict: Verdict) -> None:
        if verdict.refusal:
            raise Refused(verdict.refusal)
        if not verdict.doubt:
            return
        if self._rules.on_unavailable != "allow":
            raise Refused(f"nobody can say whether the certificate is revoked: {verdict.doubt}")
        log.warning("LET IN UNCHECKED (on_unavailable: allow): %s", verdict.doubt)

    def _by_current_crl(self, certificate: bytes, issuer: bytes) -> Verdict:
        try:
            key = self._crl_key(certificate)
        except OSError as error:
            return Verdict(0, doubt=f"tls/crl.pem: {error.strerror}")
        return self._remembered(key, lambda: self._by_crl(certificate, issuer, self._folder / "crl.pem"))

    def _crl_key(self, certificate: bytes) -> object:
        state = (self._folder / "crl.pem").stat()
        return (certificate, state.st_ino, state.st_mtime_ns, state.st_size)

    def _remembered(self, key: object, find: Callable[[], Verdict]) -> Verdict:
        """The verdict on `key`, found once however many ask for it at the same time."""
        with self._lock:
            known = self._verdicts.get(key)
            is_mine = known is None or (known.done() and known.result().until <= time.time())
            if is_mine:
                known = self._verdicts[key] = Future()
                if len(self._verdicts) > MOST_KEPT:
                    del self._verdicts[next(iter(self._verdicts))]
        assert known is not None
        if is_mine:
            known.set_result(_found(find))
        return known.result()

    def _by_ocsp(self, leaf: bytes, issuer: bytes) -> Verdict:
        with tempfile.TemporaryDirectory() as place:
            leaf_file, issuer_file = Path(place, "leaf.pem"), Path(place, "issuer.pem")
            leaf_file.write_text(ssl.DER_cert_to_PEM_cert(leaf))
            issuer_file.write_text(ssl.DER_cert_to_PEM_cert(issuer))
            url = self._responder(issuer_file)
            if url is None:
                return _unavailable("tls/responders.json names no responder of its issuer")
            request, response = Path(place, "request.der"), Path(place, "response.der")
            question = ["-issuer", issuer_file, "-cert", leaf_file]
            # No nonce: a responder may then answer with what it has signed beforehand (RFC 9919 3.1.1).
            _openssl("ocsp", *question, "-no_nonce", "-reqout", request).check_returncode()
            try:
                response.write_bytes(_post(url, request.read_bytes()))
            except (OSError, http.client.HTTPException) as error:
                return _unavailable(f"{url}: {getattr(error, 'reason', error)}")
            # The issuer, which the handshake has verified, is the only anchor: it signed the response, or the
            # certificate of the responder that did (RFC 6960 4.2.2.2). No CA of the system has a say.
            anchor = ["-CAfile", issuer_file, "-partial_chain", "-no-CApath", "-no-CAstore"]
            leeway = ["-validity_period", str(CLOCK_SECONDS)]
            done = _openssl("ocsp", *question, "-no_nonce", "-respin", response, *anchor, *leeway)
        return _read_ocsp(done, url)

    def _responder(self, issuer_file: Path) -> str | None:
        """The responder is in tls/, by the issuer's key: a certificate does not choose it."""
        shown = _openssl("x509", "-in", issuer_file, "-noout", "-pubkey").stdout
        key = base64.b64decode("".join(shown.splitlines()[1:-1]))
        responders = json.loads((self._folder / "responders.json").read_text(encoding="utf-8"))["responders"]
        return next(
            (each["url"] for each in responders if each["spki_sha256"] == hashlib.sha256(key).hexdigest()), None
        )

    def _by_crl(self, certificate: bytes, issuer: bytes, file: Path) -> Verdict:
        with tempfile.TemporaryDirectory() as place:
            subject_file, issuer_file = Path(place, "subject.pem"), Path(place, "issuer.pem")
            subject_file.write_text(ssl.DER_cert_to_PEM_cert(certificate))
            issuer_file.write_text(ssl.DER_cert_to_PEM_cert(issuer))
            anchor = ["-CAfile", issuer_file, "-partial_chain", "-no-CApath", "-no-CAstore"]
            done = _openssl("verify", "-crl_check", "-CRLfile", file, *anchor, subject_file)
        reasons = re.findall(r"^error (\d+) at \d+ depth lookup: (.*)$", done.stderr, re.MULTILINE)
        if "23" in (number for number, _ in reasons):  # X509_V_ERR_CERT_REVOKED, by an expired CRL too
            return Verdict(time.time() + CRL_SECONDS, refusal="a certificate of the chain is revoked (CRL)")
        if done.returncode == 0:
            return Verdict(time.time() + CRL_SECONDS)
        return _unavailable(f"tls/crl.pem: {'; '.join(text for _, text in reasons) or _last_line(done)}")


def _found(find: Callable[[], Verdict]) -> Verdict:
    try:
        return find()
    except subprocess.TimeoutExpired:
        return _unavailable("no answer in time")
    except Exception as error:  # whoever waits for the verdict must get one
        return _unavailable(f"{type(error).__name__}: {error}")


def _post(url: str, request: bytes) -> bytes:
    """What the responder answers, whole within ASK_SECONDS. Raises OSError and HTTPException."""
    until = time.monotonic() + ASK_SECONDS
    question = urllib.request.Request(url, request, {"Content-Type": "application/ocsp-request"})
    body = b""
    with urllib.request.urlopen(question, timeout=ASK_SECONDS) as answer:
        while (piece := answer.read1(LONGEST_ANSWER)) and len(body) <= LONGEST_ANSWER:
            body += piece
            if time.monotonic() > until:
                raise TimeoutError("no answer in time")
    return body


def _unavailable(doubt: str) -> Verdict:
    return Verdict(time.time() + UNAVAILABLE_SECONDS, doubt=doubt)


def _read_ocsp(done: subprocess.CompletedProcess[str], url: str) -> Verdict:
    """What `openssl ocsp` says of leaf.pem. Its exit code alone does not tell good from revoked or stale."""
    if done.returncode != 0 or "Response verify OK" not in done.stderr.splitlines():
        return _unavailable(f"{url}: {_first_reason(done)}")
    status = re.search(r"leaf\.pem: (good|revoked|unknown)$", done.stdout, re.MULTILINE)
    ends = re.search(r"^\tNext Update: (.+)$", done.stdout, re.MULTILINE)
    if status is None or ends is None or "Status times invalid" in done.stdout + done.stderr:
        return _unavailable(f"{url}: the response has expired, is not about this certificate, or has no nextUpdate")
    until = datetime.strptime(ends[1], "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC).timestamp()
    match status[1]:
        case "good":
            return Verdict(until)
        case "revoked":
            reason = re.search(r"^\tReason: (\w+)$", done.stdout, re.MULTILINE)
            return Verdict(until, refusal=f"the certificate is revoked (OCSP{f': {reason[1]}' if reason else ''})")
        case _:
            # Asked again soon: the certificate may be newer than what the responder has read.
            return Verdict(time.time() + UNAVAILABLE_SECONDS, refusal="the certificate is not known to its CA (OCSP)")


def _first_reason(done: subprocess.CompletedProcess[str]) -> str:
    """Out of lines such as `4087…:error:13800065:OCSP routines::certificate verify error:…` what a person can use."""
    words = re.search(r":error:[^:]*:[^:]*:[^:]*:([^:\n]+)", done.stderr)
    refused = re.search(r"^Responder Error: .*$", done.stdout + done.stderr, re.MULTILINE)
    return refused[0] if refused else words[1] if words else _last_line(done)


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    return ((done.stderr or done.stdout).strip().splitlines() or ["openssl says nothing"])[-1]


def _openssl(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = ["openssl", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=ASK_SECONDS, check=False, stdin=subprocess.DEVNULL
    )
