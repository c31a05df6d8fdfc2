#!/bin/sh
# admin.sh [psql's arguments]: a session of the administrator with {{ cookiecutter.name }}, which must be running, on its Unix socket.
# It opens to the account that runs PostgreSQL, and to root.
set -eu
for variable in $(env | sed -n 's/^\(PG[A-Z0-9_]*\)=.*/\1/p'); do unset "$variable"; done
PATH=$(printf '%s:' /usr/lib/postgresql/*/bin)$PATH

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd -P)
home=${STATE_DIRECTORY:-$here/run}
exec 9<"$home"
for socket in "$home"/pg.*/.s.PGSQL.*[0-9]; do
    [ -S "$socket" ] || continue
    folder=${socket%/*}
    seen=/proc/self/fd/9/${folder##*/}
    [ -d "$seen/." ] || seen=$folder
    drop=
    if [ "$(id -u)" = 0 ]; then
        owner=$(ls -ldn -- "$folder" | awk '{ print "--reuid=" $3, "--regid=" $4 }')
        drop="setpriv $owner --clear-groups --"
        cd /
    fi
    exec $drop psql -w -h "$seen" -p "${socket##*.}" -U scaffold_admin -d postgres "$@"
done
echo '{{ cookiecutter.name }} is not running' >&2
exit 1
