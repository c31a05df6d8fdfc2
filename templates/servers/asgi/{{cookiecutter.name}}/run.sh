#!/bin/sh
# Runs the service in the foreground. TERM ends it, HUP reloads tls/ at once.
# LISTEN{% if cookiecutter.health %}, HEALTH{% endif %}{% for call in cookiecutter.calls %}, CALL_{{ call.name | upper | replace("-", "_") }}{% endfor %} in the environment (host:port each) override settings.json.
# ASGI_PYTHON is a Python that has the packages of both requirements.txt. Without it they are installed into .venv here.
set -eu
umask u+rwx    # one that takes this account's own rights away would leave it files that it cannot use
CDPATH='' cd -- "$(dirname -- "$0")"
[ -n "${ASGI_PYTHON:-}" ] || python3 -I -B install.py
# The groups of the TLS handshake, which Python cannot choose.
export OPENSSL_CONF="$PWD/tls/openssl.cnf"
# -I: nothing is read from PYTHON… in the environment or from a user's own packages; -B: no __pycache__ in the project;
# -u: what is logged is seen at once.
exec "${ASGI_PYTHON:-.venv/bin/python}" -I -B -u start.py
