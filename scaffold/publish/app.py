"""The publisher as an ASGI application: CRLs, OCSP, CA certificates, health and metrics over plain HTTP.

    GET  /crl/CA.crl     DER (RFC 5280 4.2.1.13, RFC 2585)
    GET  /ca/CA.cer      DER (RFC 5280 4.2.2.1, RFC 2585)
    POST /ocsp/CA        a DER request (RFC 6960 A.1)
    GET  /ocsp/CA/...    the same, base64 and percent-encoded in the path
    GET  /healthz        200 while all is well, else 503 with what is wrong, a line each; what can be served still is
    GET  /metrics        Prometheus

Plain HTTP is what RFC 5280 8 and RFC 6960 A.1 expect: everything here is signed, and TLS would need itself.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scaffold.publish.authority import Document, etag
from scaffold.publish.responder import Answer
from scaffold.publish.state import Problem, Source

LARGEST_BODY: Final = 64 * 1024
BODY_WITHIN: Final = 10.0
"""Seconds for the body of a request to arrive."""

_OCSP_TYPE: Final = "application/ocsp-response"
_log = logging.getLogger("scaffold.publish")

Clock = Callable[[], datetime]


class Unavailable(Exception):
    """A source cannot answer anything now: 503."""


class Metrics:
    """What is counted; a registry of its own, so that two publishers in one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "scaffold_publish_requests", "HTTP requests", ["resource", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "scaffold_publish_request_seconds", "Seconds to answer", ["resource"], registry=self.registry
        )
        self.ocsp = Counter("scaffold_publish_ocsp_answers", "OCSP answers", ["ca", "outcome"], registry=self.registry)
        self.failures = Counter(
            "scaffold_publish_refresh_failures", "Refreshes from the output folder that failed", registry=self.registry
        )
        self.crl_ends = Gauge(
            "scaffold_publish_crl_next_update_timestamp_seconds", "nextUpdate of a CRL", ["ca"], registry=self.registry
        )
        self.problems = Gauge(
            "scaffold_publish_problem", "1 while something is wrong", ["ca", "part"], registry=self.registry
        )
        self.crl_entries = Gauge("scaffold_publish_crl_entries", "Entries of a CRL", ["ca"], registry=self.registry)


class Publisher:
    """The resources. `source` is what is published, `clock` tells the time, `problems` what is wrong with what."""

    def __init__(self, source: Source, clock: Clock, problems: Callable[[], Sequence[Problem]] = tuple) -> None:
        self._source = source
        self._clock = clock
        self._problems = problems
        self.metrics = Metrics()

    def application(self) -> ASGIApp:
        """The ASGI application."""
        routes = [
            Route("/crl/{ca}.crl", self.crl),
            Route("/ca/{ca}.cer", self.certificate),
            Route("/ocsp/{ca}", self.ocsp_post, methods=["POST"]),
            Route("/ocsp/{ca}/{request:path}", self.ocsp_get, methods=["GET"]),
            Route("/healthz", self.health),
            Route("/metrics", self.show_metrics),
        ]
        unavailable = {Unavailable: _unavailable}
        return Observed(Starlette(routes=routes, exception_handlers=unavailable), self.metrics)

    async def crl(self, request: Request) -> Response:
        return _document(request, self._source.crl(request.path_params["ca"]))

    async def certificate(self, request: Request) -> Response:
        return _document(request, self._source.certificate(request.path_params["ca"]))

    async def ocsp_post(self, request: Request) -> Response:
        try:
            async with asyncio.timeout(BODY_WITHIN):
                body = await _body(request)
        except (TimeoutError, ClientDisconnect):
            return PlainTextResponse("the request did not arrive in time\n", 408, _HANG_UP)
        if body is None:
            return PlainTextResponse("an OCSP request is smaller\n", 413, _HANG_UP)
        return self._answer(request, body)

    async def ocsp_get(self, request: Request) -> Response:
        try:
            body = base64.b64decode(request.path_params["request"].replace(" ", "+"), validate=True)
        except (binascii.Error, ValueError):
            body = b""
        return self._answer(request, body)

    def _answer(self, request: Request, body: bytes) -> Response:
        ca, now = request.path_params["ca"], self._clock()
        answer = self._source.answer(ca, body, now)
        if answer is None:
            return _not_found()
        self.metrics.ocsp.labels(ca, answer.outcome).inc()
        # RFC 9919 6: caches keep what was asked for by GET.
        headers = _caching(answer, now) if request.method != "POST" else _NO_STORE
        if _is_known(request, headers.get("ETag")):
            return Response(status_code=304, headers=headers)
        return Response(answer.body, media_type=_OCSP_TYPE, headers=headers)

    async def health(self, request: Request) -> Response:
        now = self._clock()
        by_clock = (one.crl_problem(now) for one in self._source.authorities().values())
        wrong = [*filter(None, by_clock), *map(str, self._problems())]
        if wrong:
            return PlainTextResponse("\n".join(wrong) + "\n", 503)
        return PlainTextResponse("ok\n")

    async def show_metrics(self, request: Request) -> Response:
        self.metrics.problems.clear()
        for problem in self._problems():
            self.metrics.problems.labels(problem.ca or "", problem.part).set(1)
        for one in self._source.authorities().values():
            if one.crl is not None and one.crl.next_update_utc is not None:
                self.metrics.crl_ends.labels(one.name).set(one.crl.next_update_utc.timestamp())
                self.metrics.crl_entries.labels(one.name).set(len(one.crl))
        return Response(generate_latest(self.metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


_NO_STORE: Final = {"Cache-Control": "no-store"}
_HANG_UP: Final = {"Connection": "close"}


def _caching(answer: Answer, now: datetime) -> dict[str, str]:
    """The headers of RFC 5019 6.2 (RFC 9919 6): a cache may keep the answer until shortly before its end."""
    if answer.fresh_until is None:
        return _NO_STORE
    left = int((answer.fresh_until - now).total_seconds())
    return {
        "Cache-Control": f"max-age={max(0, left - 1)}, public, no-transform, must-revalidate",
        "Last-Modified": format_datetime(answer.this_update.replace(microsecond=0), usegmt=True),
        "Expires": format_datetime(answer.fresh_until.replace(microsecond=0), usegmt=True),
        "ETag": etag(answer.body),
    }


def _document(request: Request, found: Document | None) -> Response:
    """A file that caches ask about each time: a new revocation must not wait for them."""
    if found is None:
        return _not_found()
    headers = {
        "Cache-Control": "public, no-cache",
        "Last-Modified": format_datetime(found.modified, usegmt=True),
        "ETag": found.etag,
    }
    if _is_known(request, found.etag):
        return Response(status_code=304, headers=headers)
    return Response(found.body, media_type=found.media_type, headers=headers)


def _is_known(request: Request, tag: str | None) -> bool:
    """Whether the client has this content already (RFC 9110 13.1.2): a tag of ours holds no comma."""
    known = [one.strip(" \t") for line in request.headers.getlist("if-none-match") for one in line.split(",")]
    return tag is not None and ("*" in known or tag in (one.removeprefix("W/") for one in known))


def _not_found() -> Response:
    return PlainTextResponse("no such CA is published here\n", 404)


async def _unavailable(request: Request, error: Exception) -> Response:
    return PlainTextResponse("unavailable\n", 503, _HANG_UP)


async def _body(request: Request) -> bytes | None:
    """The whole body, or None where it is larger than any OCSP request."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > LARGEST_BODY:
            return None
        parts.append(part)
    return b"".join(parts)


_RESOURCES: Final = frozenset({"crl", "ca", "ocsp", "healthz", "metrics"})


class Observed:
    """Counts, times and logs every request: one JSON object per line."""

    def __init__(self, inner: ASGIApp, metrics: Metrics) -> None:
        self._inner = inner
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        if not scope["path"].startswith("/"):
            scope = {**scope, "path": _origin_form(scope["path"])}
        started = time.perf_counter()
        status = 500

        async def observed_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._inner(scope, receive, observed_send)
        finally:
            taken = time.perf_counter() - started
            first = scope["path"].lstrip("/").partition("/")[0]
            resource = first if first in _RESOURCES else "none"
            self._metrics.requests.labels(resource, status).inc()
            self._metrics.seconds.labels(resource).observe(taken)
            _log.info(
                "request",
                extra={
                    "fields": {
                        "client": scope["client"][0] if scope.get("client") else None,
                        "method": scope["method"],
                        "path": scope["path"][:200],
                        "status": status,
                        "ms": round(taken * 1000, 2),
                    }
                },
            )


def _origin_form(target: str) -> str:
    """The path of a target that names its host too, as behind proxies (RFC 9112 3.2.2); others as they are."""
    scheme, has_host, rest = target.partition("://")
    if not has_host or scheme.lower() not in ("http", "https"):
        return target
    return "/" + rest.partition("/")[2]


class JsonLines(logging.Formatter):
    """One JSON object per record: time, level, event, and the record's own `fields`."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
