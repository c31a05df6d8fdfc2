{# What a run.sh makes in $RUN before HAProxy starts. -#}
command -v haproxy >/dev/null || fail 'haproxy is not installed'
mkdir -p -- "$RUN"
# HAProxy looks for the key of FILE in FILE.key. Links, so that no secret is copied.
ln -sf -- "$here/tls/cert.pem" "$RUN/server.pem"
ln -sf -- "$here/tls/key.pem" "$RUN/server.pem.key"
