#!/bin/sh
# Runs {{ cookiecutter.name }} in the foreground: TERM stops it, HUP makes it read haproxy.cfg and tls/ again.
set -eu
umask 077
PATH=$PATH:/usr/local/sbin:/usr/sbin    # where Debian keeps haproxy, out of an ordinary user's sight

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd -P)
cd -- "$here"
export RUN="${RUNTIME_DIRECTORY:-$here/run}"    # systemd's RuntimeDirectory= sets it
{% include "shared/haproxy.sh" %}
{% include "shared/hears-hup.sh" %}
{% include "shared/haproxy-files.sh" %}
{% include "shared/haproxy-start.sh" %}
