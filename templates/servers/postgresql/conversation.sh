#!/bin/sh
# How `scaffold verify` asks a PostgreSQL server who called: HOST, PORT, SERVER_NAME, CERTIFICATE, KEY, CLAIMED and NEWEST
# are in the environment, and every server that answers is accepted.
# Exit code: 0 let in, 4 refused in the handshake, 5 not reachable, 6 refused after it, 7 no version of TLS in common,
# 8 cannot be tried here, 1 anything else; the last line of standard error says why.
set -eu
for variable in $(env | sed -n 's/^\(PG[A-Z0-9_]*\)=.*/\1/p'); do unset "$variable"; done
for folder in /usr/lib/postgresql/*/bin; do
    [ ! -x "$folder/psql" ] || PATH=$folder:$PATH
done
LC_ALL=C
export LC_ALL

work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
trap 'exit 1' HUP INT TERM

role=$CLAIMED
case $role in none | public) role=${role}_ ;; esac      # PostgreSQL has reserved these names

versions='ssl_min_protocol_version=TLSv1.2'
if [ -n "${NEWEST:-}" ]; then
    versions="ssl_min_protocol_version=TLSv1 ssl_max_protocol_version=$NEWEST"
    # OpenSSL 3 signs with SHA-1, as TLS 1.1 and older must, at security level 0 alone.
    cat >"$work/openssl.cnf" <<'END'
openssl_conf = program
[program]
ssl_conf = tls
[tls]
system_default = every_context
[every_context]
MinProtocol = TLSv1
CipherString = ALL:@SECLEVEL=0
END
    OPENSSL_CONF=$work/openssl.cnf
    export OPENSSL_CONF
fi

dialled="hostaddr=$HOST"
case $HOST in
    *:*) ;;
    *[!0-9.]*) dialled= SERVER_NAME=$HOST ;;    # only an address can be dialled by another name
esac

fail() { # exit code
    printf '%s\n' "$said" | grep . | tail -n 1 | sed 's/^psql: error: //; s/^connection to server .* failed: //' >&2
    exit "$1"
}

status=0
psql --no-psqlrc --quiet --no-align --tuples-only --no-password \
    "host=$SERVER_NAME $dialled port=$PORT user=$role dbname=postgres connect_timeout=10 $versions \
     sslmode=require sslrootcert=$work/none sslcrl=$work/none gssencmode=disable passfile=$work/none \
     sslcert=${CERTIFICATE:-$work/none} sslkey=${KEY:-$work/none}" \
    >"$work/answer" 2>"$work/said" <<'END' || status=$?
SELECT json_build_object('server', current_setting('cluster_name'), 'caller', shobj_description(oid, 'pg_authid'),
    'roles', '[]'::json, 'on_behalf_of', NULL) FROM pg_roles WHERE rolname = session_user;
END
said=$(cat "$work/said")

[ "$status" != 0 ] || { cat "$work/answer"; exit 0; }
case $said in
    *'alert protocol version'*) fail 7 ;;
    *'no protocols available'* | *'could not set '*'SSL protocol version'*) fail 8 ;;
    *'could not read certificate file'* | *'could not load private key'* | *'certificate does not match private key'*) fail 8 ;;
    *'FATAL:  '*'certificate authentication failed'* | *'FATAL:  '*'requires a valid client certificate'* | \
        *'FATAL:  '*'no pg_hba.conf entry'* | *'FATAL:  '*'pg_hba.conf rejects'* | *'FATAL:  '*'not permitted to log in'*) fail 6 ;;
    *' alert '* | *'SSL SYSCALL error'* | *'server closed the connection'* | *'Connection reset'*) fail 4 ;;
    *'Connection refused'* | *'timeout expired'* | *'could not translate host name'* | *'No route to host'* | \
        *'Network is unreachable'*) fail 5 ;;
    *) fail 1 ;;
esac
