#!/bin/sh
# run.sh [SERVER [URL]]: calls that server (at that URL), or every server of settings.json.
set -eu
CDPATH='' cd -- "$(dirname -- "$0")"
# -B: no __pycache__ in the project.
exec python3 -B client.py "$@"
