{# The end of a run.sh in front of HAProxy: starts it on haproxy.cfg in this folder, with its files in $RUN, and waits. -#}
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
