{% import "shared/quoted.sh" as shell -%}
#!/bin/sh
# Runs {{ cookiecutter.name }} in the foreground. TERM ends its sessions and stops it, QUIT waits for them to end, HUP makes it read
# tls/ and postgresql.conf again. LISTEN (host:port) in the environment moves it.
# This script and tls/ decide which callers get in. Settings of your own have their place in postgresql.conf.
set -eu
umask 077
for variable in $(env | sed -n 's/^\(PG[A-Z0-9_]*\)=.*/\1/p'); do unset "$variable"; done

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd -P)
home=${STATE_DIRECTORY:-$here/run}      # systemd's StateDirectory= sets it; the database lies in its folder data/
account={{ shell.word(cookiecutter.vars.account) }}
listen=${LISTEN:-{{ cookiecutter.listen.literal }}}
postgres='' again='' ending=''
loading=1       # HUP waits until PostgreSQL serves

{% include "shared/say.sh" %}
# Debian keeps the programs of each version in a folder of their own. A database is read by the version that made it.
find_programs() {
    version=$(cat -- "$home/data/PG_VERSION" 2>/dev/null || :)
    for folder in /usr/lib/postgresql/*/bin; do
        [ -z "$version" ] || [ "$folder" = "/usr/lib/postgresql/$version/bin" ] || continue
        [ ! -x "$folder/postgres" ] || PATH=$folder:$PATH
    done
    command -v postgres >/dev/null || fail "PostgreSQL ${version:+$version, which made $home/data, }is not installed"
}

# PostgreSQL does not run as root.
drop=
become_account() {
    [ "$(id -u)" = 0 ] || return 0
    command -v setpriv >/dev/null || fail 'PostgreSQL does not run as root, and there is no setpriv (util-linux) to start it by'
    group=$(id -g -- "$account") || fail "PostgreSQL does not run as root, and there is no account $account to run it: see vars in the README"
    drop="setpriv --reuid=$(id -u -- "$account") --regid=$group --init-groups --"
}

own() {
    [ -z "$drop" ] || chown -R -- "$(id -u -- "$account"):$group" "$@"
}

# A copy that belongs to PostgreSQL's account: it takes no key of anybody else's, and may not be able to walk to tls/.
configure() {
    rm -rf -- "$state/new" &&
        mkdir -- "$state/new" &&
        true >"$state/loading" &&       # as old as what is read: refresh.sh compares
        cat -- "$here/tls/ca.pem" "$here/tls/intermediates.pem" >"$state/new/ca.pem" &&
        cp -- "$here/tls/cert.pem" "$here/tls/key.pem"{% if cookiecutter.files.crl %} "$here/{{ cookiecutter.files.crl }}"{% endif %} "$here/tls/openssl.cnf" \
            "$here/tls/pg_hba.conf" "$here/tls/pg_ident.conf" "$here/tls/roles.sql" "$here/postgresql.conf" "$state/new/" &&
        echo "administrator $($drop id -un) scaffold_admin" >>"$state/new/pg_ident.conf" &&
        chmod 600 "$state"/new/* &&
        own "$state/new" &&
        mv -f -- "$state"/new/* "$state/" &&
        mv -- "$state/loading" "$state/loaded"
}

# The command line wins over postgresql.conf and ALTER SYSTEM.
# lc_messages: clients tell a refusal by its words.
# ssl_ecdh_curve: before version 18 PostgreSQL can name one group of the profile alone.
start() {
    OPENSSL_CONF=$seen/openssl.cnf $drop postgres -D "$data" \
        -c "data_directory=$data" -c "config_file=$seen/postgresql.conf" \
        -c "hba_file=$seen/pg_hba.conf" -c "ident_file=$seen/pg_ident.conf" \
        -c "listen_addresses=$host" -c "port=$port" -c 'cluster_name={{ cookiecutter.name }}' \
        -c "unix_socket_directories=$seen" -c unix_socket_permissions=0700 -c unix_socket_group= -c lc_messages=C \
        -c ssl=on -c "ssl_cert_file=$seen/cert.pem" -c "ssl_key_file=$seen/key.pem" -c ssl_passphrase_command= \
        -c "ssl_ca_file=$seen/ca.pem" -c {% if cookiecutter.files.crl %}"ssl_crl_file=$seen/crl.pem"{% else %}ssl_crl_file={% endif %} -c ssl_crl_dir= \
        -c ssl_min_protocol_version={{ cookiecutter.tls.min_version }} -c ssl_max_protocol_version= \
        -c 'ssl_ciphers={{ cookiecutter.tls.ciphers | join(":") or "DEFAULT" }}' \
        -c ssl_prefer_server_ciphers=on -c ssl_ecdh_curve=prime256v1 -c ssl_dh_params_file= \
        -c {{ shell.word('mtls.greeting=' ~ cookiecutter.vars.greeting) }} \
        </dev/null &
    postgres=$!
}

make_roles() {
    $drop psql -X -q -w -v ON_ERROR_STOP=1 -h "$seen" -p "$port" -U scaffold_admin -d postgres -f "$seen/roles.sql" >/dev/null
}

# Until PostgreSQL listens. Fails where it has ended instead.
await() {
    until $drop pg_isready -q -h "$seen" -p "$port" -U scaffold_admin -d postgres; do
        kill -0 "$postgres" 2>/dev/null || return
        sleep 0.05 2>/dev/null || sleep 1
    done
}

load() {
    if configure; then
        kill -HUP "$postgres" 2>/dev/null || :
        make_roles || say 'not every caller has a role; the lines above say why'
    else
        say 'not reloaded; what was read before stays'
    fi
}

{% include "shared/reload.sh" %}
stop() {
    interrupted=1 ending=1
    [ -n "$postgres" ] || exit 0
    kill "-$1" "$postgres" 2>/dev/null || :
}

# PostgreSQL does not outlive this script, whatever ended it; and no copy of the key stays.
end_all() {
    [ -z "$postgres" ] || kill -INT "$postgres" 2>/dev/null || :
    [ -z "$postgres" ] || wait "$postgres" 2>/dev/null || :
    rm -rf -- "$state"
}

{% include "shared/hears-hup.sh" %}
case $listen in
    *[!][A-Za-z0-9.:_-]* | :* | *: | *[!:0-9]) fail "LISTEN is not host:port: $listen" ;;
    *:*) ;;
    *) fail "LISTEN is not host:port: $listen" ;;
esac
port=${listen##*:} host=${listen%:*}
host=${host#\[} host=${host%\]}
[ "$host" != :: ] || host='*'           # every address of the machine, those of IPv4 too

find_programs
become_account
{ mkdir -p -- "$home" && [ -w "$home" ]; } 2>/dev/null || fail "$home cannot be written to: name a folder that can in STATE_DIRECTORY"
[ -z "$drop" ] || chmod a+x -- "$home"
echo '*' >"$home/.gitignore"            # also where the project is gone and the database stays
running=$(head -n 1 -- "$home/data/postmaster.pid" 2>/dev/null || :)
if [ -n "$running" ] && [ -e "/proc/$running/." ] && [ "$(cat -- "/proc/$running/comm" 2>/dev/null)" = postgres ]; then
    fail "PostgreSQL runs on $home/data already, as process $running: stop that first"
fi
state=$(mktemp -d "$home/pg.XXXXXX")
trap end_all EXIT
trap 'stop INT' TERM INT
trap 'stop TERM' QUIT
trap reload HUP

# Everything is named from the open folder, where the system can: PostgreSQL's account may not be able to walk there,
# and the path of a socket may have 107 characters.
exec 9<"$home"
seen=/proc/self/fd/9
[ -d "$seen/." ] || seen=$home
data=$seen/data
seen=$seen/${state##*/}

echo $$ >"$state/run.pid"
configure || fail 'tls/ cannot be read'
own "$state"
cd /                                    # which every account can
if [ ! -e "$home/data" ]; then
    rm -rf -- "$home/data.new"
    mkdir -- "$home/data.new"
    own "$home/data.new"
    # A postgres that somebody starts on it by hand lets nobody in by password or trust.
    $drop initdb --pgdata="$data.new" --username=scaffold_admin --auth-local=peer --auth-host=reject --encoding=UTF8 \
        --locale=C.UTF-8 --no-instructions >/dev/null
    mv -- "$home/data.new" "$home/data"
fi

start
if await && make_roles; then
    # PostgreSQL holds the lock of its data: what other runs have left is nobody's.
    for folder in "$home"/pg.*; do
        [ "$folder" = "$state" ] || rm -rf -- "$folder"
    done
    printf 'ready: %s\n' {{ cookiecutter.name }} || :
    loading=
    [ -z "$again" ] || reload
else
    stop INT
fi

# A signal ends `wait` early, with a status of its own: wait again for PostgreSQL's.
while :; do
    interrupted='' status=0
    wait "$postgres" || status=$?
    [ -n "$interrupted" ] && [ "$status" -gt 128 ] || break
done
postgres=       # its number may be another process's by now
exit "$status"
