#!/bin/sh
# Runs {{ cookiecutter.name }} in the foreground: TERM stops it, HUP makes it read haproxy.cfg and tls/ again.
set -eu
umask 077
PATH=$PATH:/usr/sbin
cd -- "$(dirname -- "$0")"
export RUN="${RUNTIME_DIRECTORY:-$PWD/run}"
mkdir -p -- "$RUN"
# HAProxy looks for the key of FILE in FILE.key. Links, so that no secret is copied.
ln -sf -- "$PWD/tls/cert.pem" "$RUN/server.pem"
ln -sf -- "$PWD/tls/key.pem" "$RUN/server.pem.key"
exec haproxy -W -f haproxy.cfg
