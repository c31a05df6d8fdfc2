#!/bin/sh
# run.sh [SERVER [URL]]: calls that server (at that URL), or every server of settings.json.
set -eu
umask u+rwx    # one that takes this account's own rights away would leave it files that it cannot use
CDPATH='' cd -- "$(dirname -- "$0")"
# The groups of the TLS handshake, which Python cannot choose.
export OPENSSL_CONF="$PWD/tls/openssl.cnf"
# -I: nothing is read from PYTHON… in the environment or from a user's own packages; -B: no __pycache__ in the project.
exec python3 -I -B start.py "$@"
