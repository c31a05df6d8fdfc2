{# What a run.sh in front of HAProxy does while that runs: it passes signals on, none of which is lost. It is started by
haproxy-start.sh, and hears-hup.sh goes between them. -#}
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
