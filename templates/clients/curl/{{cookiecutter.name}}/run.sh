#!/bin/sh
# run.sh [SERVER [URL]]: calls that server (at that URL), or every server that {{ cookiecutter.name }} may call.
# Exit code: 0 all answered 200, 3 I do not trust the server, 4 the server refused me, 5 not reachable, 1 anything else.
{% set promised = [] if cookiecutter.revocation.check == "ocsp" else cookiecutter.calls | selectattr("must_staple") | map(attribute="name") | list -%}
set -eu
umask u+rwx    # one that takes this account's own rights away would leave it files that it cannot use
CDPATH='' cd -- "$(dirname -- "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# Where each server is dialled, and the name that its certificate must have: host:port name:port
where() {
  case $1 in
{%- for call in cookiecutter.calls %}
    {{ call.name }}) echo '{{ "[" ~ call.host ~ "]" if ":" in call.host else call.host }}:{{ call.port }} {{ "[" ~ call.server_name ~ "]" if ":" in call.server_name else call.server_name }}:{{ call.port }}' ;;
{%- endfor %}
    *) return 1 ;;
  esac
}

{% if promised %}# The certificates of these servers promise a stapled OCSP response (RFC 7633): without one they are refused.
staple_of() {
  case $1 in
    {{ promised | join(" | ") }}) echo --cert-status ;;
  esac
}

{% endif %}# HOST:PORT of an https URL, 443 where it names no port.
authority() {
  rest=${1#https://}
  rest=${rest%%/*}
  case $rest in
    *]:* | [!\[]*:*) echo "$rest" ;;
    *) echo "$rest:443" ;;
  esac
}

{% include "shared/roots-of.sh" %}
fail() { # code, sentence
  echo "$2" >&2
  return "$1"
}

# -q: no .curlrc may loosen these settings.
# --capath: without it Debian's curl trusts every CA of the system beside --cacert.
{% if cookiecutter.files.crl %}# --crlfile: must hold a CRL of every CA of the chain, the root's too.
{% endif %}{% if cookiecutter.revocation.check == "ocsp" %}# --cert-status: the server must staple an OCSP response that says its certificate is good.
{% endif %}# --connect-to: dials one address and expects the name of another; a service may be moved, its certificate stays.
ask() { # dialled address, expected name, path, roots{{ ", server" if promised }}
  curl -q --silent --show-error --noproxy '*' --proto '=https' --max-time 15 \
    --cert tls/cert.pem --key tls/key.pem \
    --cacert "$4" --capath /dev/null{% if cookiecutter.files.crl %} --crlfile tls/crl.pem{% endif %}{% if cookiecutter.revocation.check == "ocsp" %} --cert-status{% elif promised %} $(staple_of "$5"){% endif %} \
    --tlsv{{ cookiecutter.tls.min_version | replace("TLSv", "") }}{% if cookiecutter.tls.ciphers %} --ciphers '{{ cookiecutter.tls.ciphers | join(":") }}'{% endif %} \
    --curves '{{ cookiecutter.tls.groups | join(":") }}' \
    --connect-to "$2:$1" --output "$work/body" \
    --write-out '%{stderr}%{http_code}\n%{certs}' "https://$2$3" 2>"$work/told"
}

call() { # server [URL]
  target=$(where "$1") || fail 1 "$1: {{ cookiecutter.name }} calls no such server" || return
  dialled=${target% *} expected=${target#* } path=/
  if [ $# -gt 1 ]; then
    case $2 in
      https://?*) dialled=$(authority "$2") ;;
      *) fail 1 "$2 is not an https:// URL" || return ;;
    esac
    case ${2#https://} in */*) path=/${2#https://*/} ;; esac
  fi
  : >"$work/body"
  code=0
  ask "$dialled" "$expected" "$path" "$(roots_of "$1")"{{ ' "$1"' if promised }} || code=$?
  reason=$(sed -n 's/^curl: ([0-9]*) //p' "$work/told" | head -n 1)
  case $code in
    0) answered "$1" ;;
    5 | 6 | 7 | 28) fail 5 "$1: not reachable: $reason" ;;
    35 | 56)
      # An alert is the server's word, and so is a closed door; the rest is this side's judgement of the server.
      case $reason in
        *alert* | *reset* | *SYSCALL* | *'unexpected eof'* | *'Connection closed'*) fail 4 "$1: the server refused me: $reason" ;;
        *) fail 3 "$1: I do not trust the server: $reason" ;;
      esac
      ;;
    51 | 60 | 83 | 90 | 91) fail 3 "$1: I do not trust the server: $reason" ;;
    52 | 55) fail 4 "$1: the server refused me: it closed the connection" ;;
    *) fail 1 "$1: curl failed ($code): $reason" ;;
  esac
}

# The HTTP answer of a server whose chain and name are good.
answered() {
  # OpenSSL takes a certificate without any extended key usage for one that may do everything. The leaf comes first.
  if ! sed '/^-----END CERTIFICATE-----/q' "$work/told" | grep -q '^X509v3 Extended Key Usage:.*TLS Web Server Authentication'; then
    fail 3 "$1: I do not trust the server: its certificate is not for servers (extended key usage)"
    return
  fi
  status=$(sed -n '/^[0-9][0-9][0-9]$/p;/^[0-9][0-9][0-9]$/q' "$work/told")
  case $status in
    200) cat "$work/body" ;;
    400 | 403) fail 4 "$1: the server refused me: $status $(cat "$work/body")" ;;
    *) fail 1 "$1: the server answered $status" ;;
  esac
}

if [ $# -gt 0 ]; then
  call "$@"
  exit
fi
{% if not cookiecutter.calls %}echo '{{ cookiecutter.name }} calls nobody: no server is listed under its `calls` in the topology' >&2
{% endif %}worst=0
for server in{% for call in cookiecutter.calls %} {{ call.name }}{% endfor %}; do
  code=0
  call "$server" || code=$?
  [ "$code" -le "$worst" ] || worst=$code
done
exit "$worst"
