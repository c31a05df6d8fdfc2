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

CDPATH='' cd -- "$(dirname -- "$0")"
export RUN="${RUNTIME_DIRECTORY:-$PWD/run}"     # systemd's RuntimeDirectory= sets it
mkdir -p -- "$RUN"

# HAProxy looks for the key of FILE in FILE.key. Links, so that no secret is copied.
ln -sf -- "$PWD/tls/cert.pem" "$RUN/server.pem"
ln -sf -- "$PWD/tls/key.pem" "$RUN/server.pem.key"
{%- if cookiecutter.calls %}
ln -sf -- "$PWD/tls/client-cert.pem" "$RUN/client.pem"
ln -sf -- "$PWD/tls/client-key.pem" "$RUN/client.pem.key"
{%- endif %}
{%- if cookiecutter.revocation.crls %}

: >"$RUN/$$.pid"        # refresh.sh tells it of what is new since
{%- endif %}
{%- if cookiecutter.backend %}

# As the topology has it, too.
case ${BACKEND-} in
    http://*) BACKEND=${BACKEND#http://} ;;
    unix:*) BACKEND=unix@${BACKEND#unix:} ;;
esac
{%- endif %}
exec haproxy -W -f haproxy.cfg
