#!/bin/sh
# run.sh: opens the doors of {{ cookiecutter.name }} and keeps them open, in the foreground. TERM stops it, QUIT lets it finish its
# connections first, HUP makes it read nginx.conf and tls/ again. The addresses named in `movable` below move it.
# run.sh SERVER [URL]: makes one request to that server (at that URL), by a door that is there for it alone.
# Exit code: 0 it answered 200, 3 I do not trust the server, 4 the server refused me, 5 not reachable, 1 anything else.
# run.sh --check: whether nginx would start with nginx.conf.
set -eu
umask 077
PATH=$PATH:/usr/local/sbin:/usr/sbin    # where Debian keeps nginx, out of an ordinary user's sight

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd -P)
movable='{% for call in cookiecutter.calls %}{% set variable = call.name | upper | replace('-', '_') %}{{ "" if loop.first else " " }}DOOR_{{ variable }} CALL_{{ variable }}{% endfor %}'
nginx= again= ending= state=
loading=1       # HUP waits: until nginx has come so far it would end it

{% include "shared/say.sh" %}
# Where each server is dialled, and the name that its certificate must have.
where() {
    case $1 in
{%- for call in cookiecutter.calls %}
        {{ call.name }}) echo "${CALL_{{ call.name | upper | replace('-', '_') }}:-{{ "[" ~ call.host ~ "]" if ":" in call.host else call.host }}:{{ call.port }}} {{ call.server_name }}:{{ call.port }}" ;;
{%- endfor %}
        *) return 1 ;;
    esac
}

# Many an nginx has the stream module as a file of its own, and says where.
module() {
    said=$(nginx -V 2>&1)
    case $said in
        *--with-stream=dynamic*)
            folder=${said##*--modules-path=}
            echo "load_module \"${folder%% *}/ngx_stream_module.so\";"
            ;;
        *--with-stream*) ;;
        *) return 1 ;;
    esac
}

# nginx reads no environment: its configuration is copied with the addresses that were asked for.
configure() {
    cp -- "$here/nginx.conf" "$state/new.conf" || return
    for variable in $movable; do
        eval "address=\${$variable:-}"
        [ -n "$address" ] || continue
        sed "s|^\( *[a-z_]* \)[^ ;]*\(.*# $variable\)\$|\1$address\2|" "$state/new.conf" >"$state/moved.conf" || return
        mv -- "$state/moved.conf" "$state/new.conf" || return
    done
}

# What is not host:port would end up as configuration.
check_address() { # what for, address
    case $2 in
        *[!][A-Za-z0-9.:_-]* | :* | *:) fail "$1 is not host:port: $2" ;;
        *:*) ;;
        *) fail "$1 is not host:port: $2" ;;
    esac
}

# On another address than loopback a door would be everybody's.
check_door() { # what for, address
    case $2 in
        unix:*[!A-Za-z0-9/._+@~=-]*) fail "$1 is no path of a Unix socket: $2" ;;
        unix:/*) ;;
        127.*[!0-9.:]*) fail "$1 must be on loopback, or unix:/path: $2" ;;
        127.*:* | '[::1]':*) check_address "$1" "$2" ;;
        *) fail "$1 must be on loopback, or unix:/path: $2" ;;
    esac
}

# A configuration that nginx would not start with is not loaded: the old one serves on.
load() {
    if true >"$state/loading" && configure && check && put_in_place; then
        kill -HUP "$nginx" 2>/dev/null || :
        say 'reads its configuration and tls/ again'
    else
        say 'not reloaded; the old configuration stays'
    fi
}

{% include "shared/reload.sh" %}
check() {
    nginx -t -q -e stderr -p "$state/" -c "$state/new.conf" </dev/null
}

# By renaming: the nginx that runs may be reading it for the HUP before.
put_in_place() {
    mv -- "$state/new.conf" "$state/nginx.conf" && mv -- "$state/loading" "$state/loaded"
}

# Until nginx has what it listens on: it writes its process id right after. Fails where it has ended instead.
await() { # file, process id
    while [ ! -s "$1" ]; do
        kill -0 "$2" 2>/dev/null || return
        sleep 0.02 2>/dev/null || sleep 1
    done
}

# What nginx does not outlive: this script, whatever ended it.
end_all() {
    if [ -n "$nginx" ]; then
        kill -TERM "$nginx" 2>/dev/null || :
        wait "$nginx" 2>/dev/null || :
    fi
    rm -rf -- "$state"
}

stop() {
    interrupted=1 ending=1
    [ -n "$nginx" ] || exit 0
    kill "-$1" "$nginx" 2>/dev/null || :
}

# A folder for this run: of what nginx writes, of its configuration as it is moved, and of the doors' private sockets.
make_state() { # template for mktemp
    state=$(mktemp -d "$1")
    trap end_all EXIT
    module=$(module) || fail 'this nginx has no stream module (Debian: libnginx-mod-stream)'
    printf '%s\n' "$module" >"$state/module.conf"
    ln -s -- "$here/tls" "$state/tls"
}

# --- One request -----------------------------------------------------------------------------------------------------

# HOST:PORT of an https URL, 443 where it names no port.
authority() {
    rest=${1#https://}
    rest=${rest%%[/?#]*}
    case $rest in
        *]:* | [!\[]*:*) echo "$rest" ;;
        *) echo "$rest:443" ;;
    esac
}

# nginx.conf with the door to one server alone: on a socket in a folder that no other account can enter, and with a log in
# which all is said.
one_door() { # server, address
    awk -v server="$1" '
        /^    server \{/ { out = ($0 !~ "# " server "$") }
        !out { print }
        /^    }/ { out = 0 }
    ' "$here/nginx.conf" | sed "
        s|^error_log .*|error_log told info;|
        s|^    access_log .*|    access_log off;|
        s|^worker_processes .*|worker_processes 1;|
        s|^\( *listen \)[^ ;]*|\1unix:door|
        s|^\( *proxy_pass \)[^ ;]*|\1$2|
    " >"$state/nginx.conf"
}

verdict() { # code, sentence
    printf '%s\n' "$2" >&2
    return "$1"
}

# Why nginx closed the door, in its own words: the first thing in its log that went wrong while it did something.
complaint() {
    sed -n 's/^[^]]*] [0-9#]*: \*[0-9]* \(.* while .*\), client: .*/\1/p' told | head -n 1
}

# nginx did not start: the server's name leads nowhere, or what is in tls/ is of no use.
unopened() { # server
    reason=$(sed -n 's/^.*\[emerg\] [0-9#]*: //p' told | head -n 1)
    case $reason in
        'host not found'*) verdict 5 "$1: not reachable: $reason" ;;
        *) verdict 1 "$1: the door to it cannot be opened: $reason" ;;
    esac
}

# The answer of a server that was accepted.
answered() { # server, status
    case $2 in
        200) cat body ;;
        400 | 403) verdict 4 "$1: the server refused me: $2 $(cat body)" ;;
        *) verdict 1 "$1: the server answered $2" ;;
    esac
}

# No answer came through the door. What nginx found wrong with the server's certificate is this side's judgement; an alert is
# the server's word, and so is a closed connection.
unanswered() { # server, exit code of curl
    reason=$(complaint)
    case $reason in
        *'certificate verify error'* | *'certificate does not match'*) verdict 3 "$1: I do not trust the server: $reason" ;;
        *' alert '*) verdict 4 "$1: the server refused me: $reason" ;;
        *'timed out'* | *'while connecting to upstream'*) verdict 5 "$1: not reachable: $reason" ;;
        *'peer closed connection in SSL handshake'* | *'reset by peer'*) verdict 4 "$1: the server refused me: $reason" ;;
        *SSL_do_handshake*) verdict 3 "$1: I do not trust the server: $reason" ;;
        *)
            case $2 in
                28) verdict 5 "$1: not reachable: it did not answer in time" ;;
                52 | 55 | 56) verdict 4 "$1: the server refused me: it closed the connection" ;;
                *) verdict 1 "$1: the door to it failed: curl $2 ${reason:+($reason)}" ;;
            esac
            ;;
    esac
}

request() { # server [URL]
    target=$(where "$1") || verdict 1 "$1: {{ cookiecutter.name }} calls no such server" || return
    dialled=${target% *} expected=${target#* } path=/
    if [ $# -gt 1 ]; then
        case $2 in
            https://?*) dialled=$(authority "$2") ;;
            *) verdict 1 "$2 is not an https:// URL" || return ;;
        esac
        case ${2#https://} in */*) path=/${2#https://*/} ;; esac
    fi
    check_address URL "$dialled"
    make_state "${TMPDIR:-/tmp}/door.XXXXXX"
    one_door "$1" "$dialled"
    cd -- "$state"          # the path of a socket is counted from here, and is short
    nginx -e told -p "$state/" -c "$state/nginx.conf" </dev/null 2>/dev/null &
    nginx=$!
    await nginx.pid "$nginx" || unopened "$1" || return
    code=0
    # -q: no .curlrc has a say. The name, as the server is asked for, is in the request alone.
    status=$(curl -q --silent --noproxy '*' --max-time 15 --unix-socket door --output body --write-out '%{http_code}' \
        "http://$expected$path") || code=$?
    if [ "$code" = 0 ]; then
        answered "$1" "$status"
    else
        # After nginx has ended, the log has the reason.
        kill -QUIT "$nginx" 2>/dev/null || :
        wait "$nginx" 2>/dev/null || :
        nginx=
        unanswered "$1" "$code"
    fi
}

# --- Doors that stay open --------------------------------------------------------------------------------------------

# Every account that can enter its folder reaches a Unix socket: this account alone. nginx lets every account write to the socket itself.
make_folder() { # path of a socket
    folder=${1%/*}
    mkdir -p -m 700 -- "$folder" 2>/dev/null || fail "$folder cannot be made: make it, for this account alone (0700)"
    [ -n "$(find "$folder/" -prune -type d -user "$(id -u)" -perm 700)" ] ||
        fail "$folder must be a folder of this account alone: chmod 700 $folder"
    [ ! -S "$1" ] || [ -n "$(others)" ] || remove_left "$1"
}

# A socket that nobody answers at: a run that was killed has left it. The one of a run that serves, from wherever, stays.
remove_left() { # path of a socket
    command -v curl >/dev/null || fail 'curl is not installed'
    code=0
    curl -q --silent --max-time 2 --unix-socket "$1" telnet://door </dev/null >/dev/null 2>&1 || code=$?
    [ "$code" = 7 ] || fail "$1 is in use: another run keeps this door open; end that first, or take another path"
    rm -f -- "$1"
}

# Other runs of this folder that are at work.
others() {
    for pid in "$run"/doors.*/run.pid; do
        [ -f "$pid" ] && [ "$pid" != "$state/run.pid" ] && kill -0 "$(cat "$pid")" 2>/dev/null && echo "$pid"
    done
    :
}

open_doors() {
    run=${RUNTIME_DIRECTORY:-$here/run}     # systemd's RuntimeDirectory= sets it,
    logs=${LOGS_DIRECTORY:-$run}            # and LogsDirectory= this one
    for folder in "$run" "$logs"; do
        { mkdir -p -- "$folder" && [ -w "$folder" ]; } 2>/dev/null ||
            fail "$folder cannot be written to: name folders that can in RUNTIME_DIRECTORY and LOGS_DIRECTORY"
    done
    make_state "$(CDPATH= cd -- "$run" && pwd -P)/doors.XXXXXX"
    trap 'stop TERM' TERM INT
    trap 'stop QUIT' QUIT
    trap reload HUP
    ln -s -- "$(CDPATH= cd -- "$logs" && pwd -P)" "$state/logs"
    : >"$state/loading"     # as old as what nginx reads now: refresh.sh compares
    echo $$ >"$state/run.pid"
    configure
    sed -n 's/^ *listen unix:\([^ ;]*\).*/\1/p' "$state/new.conf" >"$state/sockets"
    while read -r path; do
        make_folder "$path"
    done <"$state/sockets"
    check
    put_in_place
    nginx -e stderr -p "$state/" -c "$state/nginx.conf" </dev/null &
    nginx=$!
    if await "$state/nginx.pid" "$nginx"; then
        printf 'ready: %s\n' {{ cookiecutter.name }} || :
        loading=
        [ -z "$again" ] || reload
    fi

    # A signal ends `wait` early, with a status of its own: wait again for nginx's.
    while :; do
        interrupted='' status=0
        wait "$nginx" || status=$?
        [ -n "$interrupted" ] && [ "$status" -gt 128 ] || break
    done
    nginx=      # its number may be another process's by now
    exit "$status"
}

command -v nginx >/dev/null || fail 'nginx is not installed'
for variable in $movable; do
    eval "address=\${$variable:-}"
    case $variable in
        DOOR_*) [ -z "$address" ] || check_door "$variable" "$address" ;;
        *) [ -z "$address" ] || check_address "$variable" "$address" ;;
    esac
done

case ${1:-} in
    '') ;;
    --check)
        make_state "${TMPDIR:-/tmp}/door.XXXXXX"
        mkdir "$state/logs"
        cp -- "$here/nginx.conf" "$state/new.conf"
        check
        exit
        ;;
    *)
        command -v curl >/dev/null || fail 'curl is not installed'
        trap 'exit 1' HUP INT TERM
        request "$@"
        exit
        ;;
esac
{% if not cookiecutter.calls %}
echo '{{ cookiecutter.name }} calls nobody: no server is listed under its `calls` in the topology' >&2
exit
{% else %}
{% include "shared/hears-hup.sh" %}
open_doors
{% endif -%}
