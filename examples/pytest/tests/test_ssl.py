"""Your client must refuse a false server: here one made with ssl only, without a rendered project."""

import socket
import ssl
import threading

import pytest


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    ours, theirs = socket.socketpair()

    def serve():
        try:
            with server.wrap_socket(theirs, server_side=True) as connection:
                connection.recv(1)
        except OSError:
            pass  # the client says why

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(ours, server_hostname="localhost") as connection:
            connection.sendall(b"x")
    finally:
        thread.join()


def test_the_true_server_is_trusted(scaffold_env):
    shake_hands(scaffold_env.ssl_context("accounts"), scaffold_env.ssl_context("teller"))


@pytest.mark.parametrize("fault", ["expired", "wrong-name", "wrong-ca", "wrong-eku"])
def test_a_false_server_is_refused(scaffold_env, fault):
    false = scaffold_env.ssl_context(scaffold_env.broken("accounts", fault))
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(false, scaffold_env.ssl_context("teller"))
