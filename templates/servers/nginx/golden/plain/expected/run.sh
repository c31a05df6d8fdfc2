#!/bin/sh
# Runs accounts in the foreground. TERM stops it, QUIT lets it finish its requests first, HUP makes it read
# nginx.conf and tls/ again. The addresses named in `movable` below (host:port) move it.
set -eu
umask 077
PATH=$PATH:/usr/local/sbin:/usr/sbin    # where Debian keeps nginx, out of an ordinary user's sight

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd -P)
run=${RUNTIME_DIRECTORY:-$here/run}     # systemd's RuntimeDirectory= sets it
movable='LISTEN'
nginx=

fail() {
    printf '%s: %s\n' accounts "$1" >&2
    exit 1
}

# nginx reads no environment: its configuration is copied with the addresses that were asked for.
configure() {
    cp -- "$here/nginx.conf" "$state/nginx.conf" || return
    for variable in $movable; do
        eval "address=\${$variable:-}"
        [ -n "$address" ] || continue
        sed "s/^\( *[a-z]* \)[^ ;]*\(.*# $variable\)\$/\1$address\2/" "$state/nginx.conf" >"$state/moved.conf" || return
        mv -- "$state/moved.conf" "$state/nginx.conf"
    done
}

# What is not host:port would end up as configuration.
check_address() {
    case $2 in
        *[!][A-Za-z0-9.:_-]* | :* | *:) fail "$1 is not host:port: $2" ;;
        *:*) ;;
        *) fail "$1 is not host:port: $2" ;;
    esac
}

# A configuration that nginx would not start with is not loaded: the old one serves on.
reload() {
    [ -n "$nginx" ] || return 0     # it has yet to start, and will read everything then
    : >"$state/loading"
    if configure && check; then
        mv -- "$state/loading" "$state/loaded"
        kill -HUP "$nginx"
    else
        printf '%s: not reloaded; the old configuration stays\n' accounts >&2
    fi
}

check() {
    nginx -t -q -e stderr -p "$state/" -c "$state/nginx.conf"
}

stop() {
    [ -n "$nginx" ] || exit 0
    kill "-$1" "$nginx" 2>/dev/null || :
}

command -v nginx >/dev/null || fail 'nginx is not installed'
for variable in $movable; do
    eval "address=\${$variable:-}"
    [ -z "$address" ] || check_address "$variable" "$address"
done

mkdir -p -- "$run"
state=$(mktemp -d "$run/nginx.XXXXXX")
trap 'rm -rf -- "$state"' EXIT
trap 'stop TERM' TERM INT
trap 'stop QUIT' QUIT
trap reload HUP
# Relative paths in the configuration start from its own folder (tls/) or from -p (what nginx writes).
ln -s -- "$here/tls" "$state/tls"

: >"$state/loaded"      # as old as what nginx has read: refresh.sh compares
echo $$ >"$state/run.pid"
configure
check
nginx -e stderr -p "$state/" -c "$state/nginx.conf" &
nginx=$!

# A signal ends `wait` early: wait again until nginx is really gone.
while :; do
    status=0
    wait "$nginx" || status=$?
    kill -0 "$nginx" 2>/dev/null || exit "$status"
done
