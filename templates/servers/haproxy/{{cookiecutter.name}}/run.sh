#!/bin/sh
# Runs {{ cookiecutter.name }} in the foreground: TERM stops it, HUP makes it read haproxy.cfg and tls/ again. LISTEN
{%- if cookiecutter.health %}, HEALTH{% endif %}
{%- if cookiecutter.upstream %}, UPSTREAM{% endif %}
{%- if cookiecutter.backend %}, BACKEND{% endif %}
{%- for call in cookiecutter.calls %}, CALL_{{ call.name | upper | replace('-', '_') }}{% endfor %} in the environment
# (host:port) {{ "moves it" if not (cookiecutter.health or cookiecutter.calls or cookiecutter.backend) else "move it" }}.
set -eu
umask 077
PATH=$PATH:/usr/local/sbin:/usr/sbin    # where Debian keeps haproxy, out of an ordinary user's sight

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd -P)
cd -- "$here"
export RUN="${RUNTIME_DIRECTORY:-$here/run}"    # systemd's RuntimeDirectory= sets it
{% include "shared/haproxy.sh" %}
{% include "shared/hears-hup.sh" %}
{% include "shared/haproxy-files.sh" -%}
{% if cookiecutter.calls -%}
ln -sf -- "$here/tls/client-cert.pem" "$RUN/client.pem"
ln -sf -- "$here/tls/client-key.pem" "$RUN/client.pem.key"
{% endif -%}
{% if cookiecutter.backend %}
# As the topology has it, too.
case ${BACKEND-} in
    http://*) BACKEND=${BACKEND#http://} ;;
    unix:*) BACKEND=unix@${BACKEND#unix:} ;;
esac
{% endif %}
{% include "shared/haproxy-start.sh" %}