#!/bin/sh
# run.sh [SERVER [URL …]]: asks that server (at each URL, postgresql://HOST:PORT/), or every server that {{ cookiecutter.name }} may call,
# who called. Exit code: 0 all answered, 3 I do not trust the server, 4 the server refused me, 5 not reachable, 1 anything else.
set -eu
umask u+rwx    # one that takes this account's own rights away would leave it files that it cannot use
CDPATH='' cd -- "$(dirname -- "$0")"
LC_ALL=C
export LC_ALL
said=$(mktemp)
trap 'rm -f -- "$said"' EXIT
trap 'exit 1' HUP INT TERM

fail() { # code, sentence
  echo "$2" >&2
  return "$1"
}

call() { # server [URL]
  code=0
  URL=${2:-} ./psql.sh "$1" --quiet --no-align --tuples-only 2>"$said" <<'END' || code=$?
SELECT json_build_object('server', current_setting('cluster_name'), 'caller', shobj_description(oid, 'pg_authid'),
  'roles', '[]'::json, 'on_behalf_of', NULL, 'greeting', current_setting('mtls.greeting', true))
FROM pg_roles WHERE rolname = session_user;
END
  [ "$code" != 0 ] || return 0
  reason=$(sed -n '/./h; ${x; s/^psql: error: //; s/^connection to server .* failed: //; p;}' "$said")
  case $(cat "$said") in
    *'I do not trust the server'* | *'certificate verify failed'* | *'does not match host name'* | *'server does not support SSL'* | \
      *'SSL error: '*'unsupported protocol'*)
      fail 3 "$1: I do not trust the server: $reason" ;;
    *'FATAL:  '*'certificate authentication failed'* | *'FATAL:  '*'requires a valid client certificate'* | \
      *'FATAL:  '*'no pg_hba.conf entry'* | *'FATAL:  '*'pg_hba.conf rejects'* | *'FATAL:  '*'not permitted to log in'* | \
      *' alert '* | *'SSL SYSCALL error'* | *'server closed the connection'* | *'Connection reset'*)
      fail 4 "$1: the server refused me: $reason" ;;
    *'Connection refused'* | *'timeout expired'* | *'could not translate host name'* | *'No route to host'* | *'Network is unreachable'*)
      fail 5 "$1: not reachable: $reason" ;;
    *'psql: error: '*) fail 1 "$1: psql failed ($code): $reason" ;;
    *) fail 1 "$reason" ;;
  esac
}

worst=0
note() { # exit code
  [ "$1" -le "$worst" ] || worst=$1
}

if [ $# -gt 1 ]; then
  server=$1
  shift
  for url; do
    call "$server" "$url" || note $?
  done
  exit "$worst"
fi
[ $# -gt 0 ] || set --{% for call in cookiecutter.calls %} {{ call.name }}{% endfor %}
for server; do
  call "$server" || note $?
done
exit "$worst"
