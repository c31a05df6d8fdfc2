#!/bin/sh
# Runs the service in the foreground. TERM ends it, HUP reloads tls/ at once.
# LISTEN in the environment (host:port each) override settings.json.
set -eu
CDPATH='' cd -- "$(dirname -- "$0")"
# -B: no __pycache__ in the project; -u: what is logged is seen at once.
exec python3 -B -u server.py
