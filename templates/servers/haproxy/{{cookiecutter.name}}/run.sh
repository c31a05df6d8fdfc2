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
haproxy='' again='' ending=''
loading=1       # HUP waits until HAProxy serves

{% include "shared/say.sh" %}
# HAProxy itself loses a HUP that comes while it loads: each is passed on once what was before it is done, and once more
# where HAProxy did not hear it. What it would not start with is not loaded.
load() {
    : >"$state/loading"
    haproxy -c -q -f haproxy.cfg || {
        say 'not reloaded; the old configuration stays'
        return
    }
    for attempt in 1 2 3; do
        rm -f -- "$state/haproxy.pid"
        kill -HUP "$haproxy" 2>/dev/null || return 0
        if await "$haproxy"; then
            mv -- "$state/loading" "$state/loaded"
            return
        fi
    done
    say 'not reloaded: HAProxy did not answer'
}

{% include "shared/reload.sh" %}
# Until HAProxy has loaded: it writes its process id right after. Fails where it has ended, or takes too long.
await() { # process id
    looks=0
    until [ -s "$state/haproxy.pid" ]; do
        kill -0 "$1" 2>/dev/null && [ "$looks" -lt 100 ] || return
        looks=$((looks + 1))
        sleep 0.1 2>/dev/null || sleep 1
    done
}

stop() {
    interrupted=1 ending=1
    [ -n "$haproxy" ] || exit 0
    kill "-$1" "$haproxy" 2>/dev/null || :
}

# HAProxy does not outlive this script, whatever ended it.
end_all() {
    [ -z "$haproxy" ] || kill -TERM "$haproxy" 2>/dev/null || :
    [ -z "$haproxy" ] || wait "$haproxy" 2>/dev/null || :
    rm -rf -- "$state"
}

{% include "shared/hears-hup.sh" %}
command -v haproxy >/dev/null || fail 'haproxy is not installed'
mkdir -p -- "$RUN"
# HAProxy looks for the key of FILE in FILE.key. Links, so that no secret is copied.
ln -sf -- "$here/tls/cert.pem" "$RUN/server.pem"
ln -sf -- "$here/tls/key.pem" "$RUN/server.pem.key"
{%- if cookiecutter.calls %}
ln -sf -- "$here/tls/client-cert.pem" "$RUN/client.pem"
ln -sf -- "$here/tls/client-key.pem" "$RUN/client.pem.key"
{%- endif %}
{%- if cookiecutter.backend %}

# As the topology has it, too.
case ${BACKEND-} in
    http://*) BACKEND=${BACKEND#http://} ;;
    unix:*) BACKEND=unix@${BACKEND#unix:} ;;
esac
{%- endif %}

state=$(mktemp -d "$RUN/haproxy.XXXXXX")
trap end_all EXIT
trap 'stop TERM' TERM INT
trap 'stop USR1' USR1
trap reload HUP

: >"$state/loaded"      # as old as what is read: refresh.sh compares
echo $$ >"$state/run.pid"
haproxy -W -p "$state/haproxy.pid" -f haproxy.cfg &
haproxy=$!
await "$haproxy" || :
loading=
[ -z "$again" ] || reload

# A signal ends `wait` early, with a status of its own: wait again for HAProxy's.
while :; do
    interrupted='' status=0
    wait "$haproxy" || status=$?
    [ -n "$interrupted" ] && [ "$status" -gt 128 ] || break
done
haproxy=        # its number may be another process's by now
exit "$status"
