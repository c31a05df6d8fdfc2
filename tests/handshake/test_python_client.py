"""The Python client before real servers: whom it trusts, and how it says who refused whom."""

from __future__ import annotations

from scaffold.pki import bundles
from scaffold.settings.values import Revocation
from tests.handshake.client_cases import (  # noqa: F401
    AGO,
    NOT_TRUSTED,
    ClientCases,
    desk_port,
    openssl_server,
)
from tests.handshake.nginx_lab import call_of, renewed, server
from tests.handshake.python_lab import call, client_folder, place
from tests.handshake.rewriting import rewrite
from tests.requirements import require_command

require_command("python3")


class TestPython(ClientCases):
    kind = "python"


def test_an_ended_intermediate_that_is_loaded_would_stand_in_the_way(tmp_path, root, ca, teller, desk_port):  # noqa: F811
    folder = client_folder("python", tmp_path / "teller", teller, root, call_of("desk", desk_port, "desk.internal"))
    place(folder / "tls/intermediates.pem", bundles.pem(renewed(ca, root, AGO).certificate))
    rewrite(folder / "tls.py", ("if end > now)", ")"))
    done = call(folder)
    assert (done.returncode, "certificate has expired" in done.stderr) == (NOT_TRUSTED, True)


def test_without_openssl_cnf_it_would_take_other_groups(tmp_path, root, ca, teller):
    server(ca, "desk", "desk.internal").write(tmp_path / "c.pem", tmp_path / "k.pem")
    with openssl_server(tmp_path, "X448") as port:
        folder = client_folder("python", tmp_path / "teller", teller, root, call_of("desk", port, "desk.internal"))
        rewrite(folder / "run.sh", ("export OPENSSL_CONF", "unused"))
        assert call(folder).returncode == 0


def test_a_setting_changes_no_line_of_python(tmp_path, root, teller):
    """An edit of client.py keeps no check from coming: what is demanded is in tls/."""
    plain = client_folder("python", tmp_path / "plain", teller, root)
    rules = Revocation("ocsp", by_application=True)
    asking = client_folder("python", tmp_path / "asking", teller, root, revocation=rules)
    python = [{file.name: file.read_text() for file in folder.glob("*.py")} for folder in (plain, asking)]
    assert python[0] == python[1]


def test_a_client_that_calls_nobody_says_so(tmp_path, root, teller):
    folder = client_folder("python", tmp_path / "teller", teller, root)
    done = call(folder)
    assert (done.returncode, done.stdout) == (0, "")
    assert "teller calls nobody: no server is listed under its `calls`" in done.stderr
    done = call(folder, "desk", "https://localhost:1")
    assert (done.returncode, done.stderr) == (1, "desk: teller calls no such server: it calls nobody\n")


def test_a_server_that_it_does_not_call_is_told_with_those_that_it_does(tmp_path, root, teller):
    folder = client_folder("python", tmp_path / "teller", teller, root, call_of("desk", 1, "desk.internal"))
    done = call(folder, "dask")
    assert (done.returncode, done.stderr) == (1, "dask: teller calls no such server: it calls desk\n")
