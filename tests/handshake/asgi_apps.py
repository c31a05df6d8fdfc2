"""Applications that tests of the ASGI kind put into app.py. None of them needs a framework."""

from __future__ import annotations

PLAIN = """
import asyncio
import json
import os
import threading

from mtls import call, current_caller, get_caller, own_settings

STARTED = []
REACHED = []


def jsonable(value):
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, dict):
        return {key: jsonable(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(each) for each in value]
    return value


def in_a_thread():
    return current_caller().identity


async def tell(send, value, status=200, headers=()):
    body = json.dumps(value).encode()
    sent = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": sent})
    await send({"type": "http.response.body", "body": body})


async def app(scope, receive, send):
    REACHED.append(scope.get("path"))
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["path"] == "/reached":
        await tell(send, REACHED)
    elif scope["type"] == "websocket":
        await echo(scope, receive, send)
    elif scope["path"] == "/scope":
        await tell(send, jsonable({name: scope[name] for name in scope if name not in ("state", "asgi")}))
    elif scope["path"] == "/caller":
        caller = scope["state"]["caller"]
        same = [await get_caller(), current_caller(), await asyncio.create_task(get_caller())]
        thread = await asyncio.to_thread(in_a_thread)
        told = {"identity": caller.identity, "roles": caller.roles, "for": jsonable(caller.on_behalf_of)}
        await tell(send, {**told, "same": [each is caller for each in same], "thread": thread})
    elif scope["path"] == "/body":
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        await tell(send, {"length": len(body), "caller": current_caller().identity})
    elif scope["path"] == "/demand":
        if (await receive())["type"] == "http.disconnect":
            raise ConnectionError("the caller is gone")
    elif scope["path"] == "/stream":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b".", "more_body": True})
            await asyncio.sleep(0.05)
    elif scope["path"] == "/talk":
        headers = [(b"content-length", b"10")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"begin", "more_body": True})
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.body", "body": b"- end"})
    elif scope["path"] == "/process":
        await tell(send, {"pid": os.getpid(), "started": STARTED, "name": own_settings().name})
    elif scope["path"].startswith("/ask/"):
        status, answer = await call(scope["path"].removeprefix("/ask/"), "/.mtls/caller")
        await tell(send, {"status": status, "answer": answer.decode()})
    elif scope["path"] == "/fail":
        raise ValueError("a secret of the application")
    else:
        await tell(send, {"error": "no such page"}, 404)


async def lifespan(receive, send):
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            STARTED.append("yes")
            await send({"type": "lifespan.startup.complete"})
        else:
            print("the application has ended", flush=True)
            await send({"type": "lifespan.shutdown.complete"})
            return


async def echo(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": current_caller().identity})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        await send({"type": "websocket.send", "text": message.get("text") or ""})
"""
"""Tells what it sees, echoes on WebSockets, streams for ever, fails."""
