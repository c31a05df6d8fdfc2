{% import "shared/postgresql-role" as role -%}
{% import "shared/quoted.sh" as shell -%}
#!/bin/sh
# psql.sh SERVER [psql's arguments]: a session with that server as {{ cookiecutter.name }}. URL=postgresql://HOST:PORT/DATABASE moves it.
# The environment, .pgpass, .psqlrc and ~/.postgresql change neither its trust nor its certificate.
set -eu
umask u+rwx    # one that takes this account's own rights away would leave it files that it cannot use
for variable in $(env | sed -n 's/^\(PG[A-Z0-9_]*\)=.*/\1/p'); do unset "$variable"; done
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
# Debian keeps the programs of each version in a folder of their own; its /usr/bin/psql has settings of its own.
for folder in /usr/lib/postgresql/*/bin; do
  [ ! -x "$folder/psql" ] || PATH=$folder:$PATH
done

# Where each server is dialled, and the name that its certificate must have: host port name
where() {
  case $1 in
{%- for call in cookiecutter.calls %}
    {{ call.name }}) echo '{{ call.host }} {{ call.port }} {{ call.server_name }}' ;;
{%- endfor %}
    *) return 1 ;;
  esac
}

{% include "shared/roots-of.sh" %}
fail() { # sentence
  echo "$1" >&2
  exit 1
}

# A value in a connection string, whatever is in it.
value() {
  printf "'%s'" "$(printf '%s' "$1" | sed "s/[\\\\']/\\\\&/g")"
}

[ $# -gt 0 ] || fail 'psql.sh SERVER [psql'\''s arguments]'
server=$1
shift
target=$(where "$server") || fail "$server: {{ cookiecutter.name }} calls no such server"
name=${target##* } target=${target% *}
host=${target% *} port=${target##* } database={{ shell.word(cookiecutter.vars.database) }}

if [ -n "${URL:-}" ]; then
  case $URL in
    postgresql://*:*) ;;
    *) fail "$URL is not postgresql://HOST:PORT" ;;
  esac
  rest=${URL#postgresql://}
  case $rest in */?*) database=${rest#*/} ;; esac
  rest=${rest%%/*}
  port=${rest##*:} host=${rest%:*}
  host=${host#\[} host=${host%\]}
fi

# psql checks the name that it dials, unless it is given addresses beside it: then that which stands with each of them.
expected=$name dialled=
if [ "$host" != "$name" ]; then
  case $host in
    *:*) addresses=$host ;;
    *[!0-9.]*) addresses=$(getent ahosts "$host" | sed -n 's/ *STREAM.*//p') ;;
    *) addresses=$host ;;
  esac
  [ -n "$addresses" ] || fail "$server: could not translate host name \"$host\""
  expected=
  for address in $addresses; do
    dialled=${dialled:+$dialled,}$address expected=${expected:+$expected,}$name
  done
fi
{%- if cookiecutter.files.crl %}

# libpq checks no revocation where it cannot read the CRLs, and says nothing of it.
crls=$here/{{ cookiecutter.files.crl }}
read_crls() {
  awk -v work="$1" '/^-----BEGIN X509 CRL-----/ { file = work "/" ++count } file { print > file } /^-----END / { close(file); file = "" }
    END { exit !count }' "$crls" || return
  for crl in "$1"/*; do
    openssl crl -in "$crl" -noout 2>/dev/null || return
  done
}
work=$(mktemp -d)
read_crls "$work" || { rm -rf -- "$work"; fail "$server: I do not trust the server: the CRLs in $crls cannot be read"; }
rm -rf -- "$work"
{%- endif %}

OPENSSL_CONF=$here/tls/openssl.cnf exec psql --no-psqlrc --no-password -d "host=$(value "$expected") hostaddr=$(value "$dialled") port=$port \
user='{{ role.of(cookiecutter.name) }}' dbname=$(value "$database") connect_timeout=15 gssencmode=disable passfile=/dev/null/none \
sslmode=verify-full sslrootcert=$(value "$here/$(roots_of "$server")") sslcert=$(value "$here/tls/cert.pem") sslkey=$(value "$here/tls/key.pem") \
sslcrl={% if cookiecutter.files.crl %}$(value "$crls"){% else %}/dev/null{% endif %} ssl_min_protocol_version={{ cookiecutter.tls.min_version }}" "$@"
