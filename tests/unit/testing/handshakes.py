"""Handshakes between two contexts in memory: who refuses, and in which words."""

from __future__ import annotations

import ssl


def refusal(server: ssl.SSLContext, client: ssl.SSLContext, name: str = "localhost") -> str | None:
    """What the first side to refuse says; None where both are content, an octet having gone each way."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    done = [False, False]
    for _ in range(20):
        for index, side in enumerate(sides):
            try:
                if not done[index]:
                    side.do_handshake()
                    done[index] = True
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError as error:
                return str(error)
        if all(done):
            break
    try:
        sides[0].write(b"x")
        assert sides[1].read(1) == b"x"
    except ssl.SSLError as error:
        return str(error)
    return None
