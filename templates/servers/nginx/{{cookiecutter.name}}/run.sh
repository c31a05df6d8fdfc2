{%- set inner = not (cookiecutter.upstream or cookiecutter.backend) -%}
#!/bin/sh
# Runs {{ cookiecutter.name }} in the foreground. TERM stops it, QUIT lets it finish its requests first, HUP makes it read
# {{ "its configuration" if inner else "nginx.conf" }} and tls/ again. The addresses named in `movable` below (host:port) move it.
set -eu
umask 077
PATH=$PATH:/usr/local/sbin:/usr/sbin    # where Debian keeps nginx, out of an ordinary user's sight

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd -P)
run=${RUNTIME_DIRECTORY:-$here/run}     # systemd's RuntimeDirectory= sets it,
logs=${LOGS_DIRECTORY:-$run}            # and LogsDirectory= this one
movable='LISTEN{% if cookiecutter.health %} HEALTH{% endif %}{% if cookiecutter.upstream %} UPSTREAM{% endif %}{% if cookiecutter.backend %} BACKEND{% endif %}{% for call in cookiecutter.calls %} CALL_{{ call.name | upper | replace('-', '_') }}{% endfor %}'
nginx={% if inner %} inner={% endif %} again= ending=
loading=1       # HUP waits: until nginx has come so far it would end it

{% include "shared/say.sh" %}
# nginx reads no environment: its configuration is copied with the addresses that were asked for.
configure() {
    cp -- "$here/nginx.conf" "$state/new.conf" || return
    for variable in $movable; do
        eval "address=\${$variable:-}"
        [ -n "$address" ] || continue
        # [::] is every address of the machine, those of IPv4 too; nginx takes it for IPv6 alone.
        case $variable$address in
            LISTEN'[::]':* | HEALTH'[::]':*) address="$address ipv6only=off" ;;
        esac
        sed "s|^\( *[a-z]* \)[^ ;]*\(.*# $variable\)\$|\1$address\2|" "$state/new.conf" >"$state/moved.conf" || return
        mv -- "$state/moved.conf" "$state/new.conf" || return
    done
}

# What is not host:port would end up as configuration.
check_address() {
    case $2 in
{%- if cookiecutter.backend %}
        unix:*[!A-Za-z0-9/._+@~=-]*) fail "$1 is no path of a Unix socket: $2" ;;
        unix:/*) [ "$1" = BACKEND ] || fail "$1 is not host:port: $2" ;;
        unix:*) fail "$1 is no path of a Unix socket: $2" ;;
{%- endif %}
        *[!][A-Za-z0-9.:_-]* | :* | *:) fail "$1 is not host:port: $2" ;;
        *:*) ;;
        *) fail "$1 is not host:port: $2" ;;
    esac
}

# A configuration that nginx would not start with is not loaded: the old one serves on.
load() {
    if true >"$state/loading" && configure && check && put_in_place; then
        kill -HUP "$nginx"{% if inner %} "$inner"{% endif %} 2>/dev/null || :
        say 'reads its configuration and tls/ again'
    else
        say 'not reloaded; the old configuration stays'
    fi
}

{% include "shared/reload.sh" %}
check() {
    nginx -t -q -e stderr -p "$state/" -c "$state/new.conf" </dev/null{% if inner %} &&
        nginx -t -q -e stderr -p "$state/app/" -c "$here/inner.conf" </dev/null{% endif %}
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
{%- if inner %}

# A folder for the socket, which the workers can enter and no other account: those of root are of another account.
make_app_folder() {
    mkdir -m 700 -- "$state/app"
    ln -s -- "$here" "$state/app/project"
    if [ "$(id -u)" = 0 ]; then
        workers=$(nginx -V 2>&1 | sed -n 's/.*--user=\([^ ]*\).*/\1/p')
        chown -- "${workers:-nobody}" "$state/app"
        chmod a+x -- "$run" "$state"
    fi
}
{%- endif %}

# What nginx does not outlive: this script, whatever ended it.
end_all() {
    for process in {% if inner %}$inner {% endif %}$nginx; do
        kill -TERM "$process" 2>/dev/null || :
        wait "$process" 2>/dev/null || :
    done
    rm -rf -- "$state"
}

stop() {
    interrupted=1 ending=1
    [ -n "$nginx" ] || exit 0
    kill "-$1" "$nginx" 2>/dev/null || :
}

{% include "shared/hears-hup.sh" %}
{%- if cookiecutter.backend %}
BACKEND=${BACKEND:-}
BACKEND=${BACKEND#http://}      # as the topology has it, too
{%- endif %}
command -v nginx >/dev/null || fail 'nginx is not installed'
for variable in $movable; do
    eval "address=\${$variable:-}"
    [ -z "$address" ] || check_address "$variable" "$address"
done

for folder in "$run" "$logs"; do
    { mkdir -p -- "$folder" && [ -w "$folder" ]; } 2>/dev/null ||
        fail "$folder cannot be written to: name folders that can in RUNTIME_DIRECTORY and LOGS_DIRECTORY"
done
state=$(mktemp -d "$(CDPATH= cd -- "$run" && pwd -P)/nginx.XXXXXX")
trap end_all EXIT
trap 'stop TERM' TERM INT
trap 'stop QUIT' QUIT
trap reload HUP
# Relative paths in the configuration start from its own folder (tls/) or from -p (what nginx writes).
ln -s -- "$here/tls" "$state/tls"
ln -s -- "$(CDPATH= cd -- "$logs" && pwd -P)" "$state/logs"
{%- if inner %}
make_app_folder
cd -- "$state"          # the path of a socket is counted from here
{%- endif %}

: >"$state/loading"     # as old as what nginx reads now: refresh.sh compares
echo $$ >"$state/run.pid"
configure
check
put_in_place
nginx -e stderr -p "$state/" -c "$state/nginx.conf" </dev/null &
nginx=$!
if await "$state/nginx.pid" "$nginx"; then
{%- if inner %}
    # The inner nginx comes second: whatever app.conf says, the port of callers is taken.
    nginx -e stderr -p "$state/app/" -c "$here/inner.conf" </dev/null &
    inner=$!
    await "$state/app/app.pid" "$inner" || {
        stop TERM
        wait "$nginx" || :
        fail 'app.conf cannot be served; the lines above say why'
    }
{%- endif %}
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
