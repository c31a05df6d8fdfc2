#!/bin/sh
{% block about -%}
# Takes the CRLs that tls/crl-sources names from where their CAs publish them, and puts them into tls/crl.pem.
# RELOAD in the environment is a command that makes a server take up the new file; it runs when there is one.
{% endblock -%}
# Exit code: 0 all is the latest, 1 not all is, and why; what could not be had stays as it was.
set -eu
umask u+rwx    # one that takes this account's own rights away would leave it files that it cannot use
LC_ALL=C
export LC_ALL
PATH=$PATH:/usr/local/bin:/usr/bin
CDPATH='' cd -- "$(dirname -- "$0")"
work=$(mktemp -d)
new= changed= failed=0
trap 'rm -rf "$work" ${new:+"$new"}' EXIT
trap 'exit 1' HUP INT TERM

complain() {
  echo "refresh.sh: $1" >&2
  return 1
}

# Each PEM block of the file, in a file of its own: PREFIX.1, PREFIX.2, …
split() { # file, prefix
  [ -f "$1" ] || return 0
  awk -v prefix="$2" '
    /^-----BEGIN / { inside = 1; file = prefix "." ++count }
    inside { print > file }
    /^-----END / { inside = 0; close(file) }
  ' "$1"
}

# -q: no .curlrc has a say. What is fetched proves itself by its signature, so plain HTTP is enough (RFC 5280 8).
fetch() { # what for, URL, options of curl; into $work/fetched.der
  about=$1 url=$2
  shift 2
  curl -q --silent --show-error --fail --proto '=http,https' --max-time 30 --max-filesize 100000000 \
    --output "$work/fetched.der" "$@" -- "$url" 2>"$work/said" || complain "$about: $url: $(head -n 1 "$work/said")"
}

before() { # text, text
  awk -v a="x$1" -v b="x$2" 'BEGIN { exit !(a < b) }'
}

# Whole or not at all: a reader sees the old file or the new one. A dotfile, and on the same file system for rename.
put() { # file, its place in tls/
  ! cmp -s "$1" "$2" || return 0
  new=$(mktemp tls/.new.XXXXXX) && cat "$1" >"$new" && chmod 644 "$new" && mv -f "$new" "$2" ||
    { rm -f ${new:+"$new"}; complain "$2 cannot be written"; } || return
  new= changed=$2
}

{% block reload -%}
reload() {
  [ -n "$changed" ] && [ -n "${RELOAD:-}" ] || return 0
  sh -c "$RELOAD" || complain "$changed is new, but this failed: $RELOAD" || failed=1
}
{%- endblock %}
{%- if cookiecutter.revocation.crls %}

# The certificate in tls/ of the CA with that key: a name alone could be anyone's.
certificate_of() { # SHA-256 of its SubjectPublicKeyInfo
  for certificate in "$work"/ca.*; do
    key=$(openssl x509 -in "$certificate" -noout -pubkey | openssl pkey -pubin -outform DER | openssl dgst -sha256 -r)
    [ "${key%% *}" != "$1" ] || { echo "$certificate"; return; }
  done
  return 1
}

# Whether the CA signed the CRL. openssl exits 0 either way; no CA of the system has a say.
signed_by() { # certificate, CRL
  openssl crl -in "$2" -noout -CAfile "$1" -no-CApath -no-CAstore 2>&1 | grep -q '^verify OK$'
}

# One field of a CRL. Dates are ISO 8601 in UTC, which sort as text.
field() { # CRL, option of openssl crl
  openssl crl -in "$1" -noout "-$2" -dateopt iso_8601 | sed 's/^[^=]*=//'
}

# The CRL's number as 40 hexadecimal digits: up to 20 octets (RFC 5280 5.2.3) are too many for the shell's arithmetic.
number() { # CRL
  field "$1" crlnumber | sed 's/^0[xX]//; s/<NONE>/0/' | awk '{ printf "%40s\n", toupper($0) }' | tr ' ' 0
}

# A CRL that does not lead back: signed by the CA, current, and no older than the one that is there.
acceptable() { # certificate, CRL, CRL that is there or nothing
  signed_by "$1" "$2" || complain "$ca: the CRL is not signed by the key of $ca" || return
  now=$(date -u '+%Y-%m-%d %H:%M:%SZ')
  ! before "$now" "$(field "$2" lastupdate)" || complain "$ca: the CRL is of the future: check the clock" || return
  before "$now" "$(field "$2" nextupdate)" || complain "$ca: the CRL has expired; $url serves an old one" || return
  [ -n "$3" ] || return 0
  ! before "$(number "$2")" "$(number "$3")" || complain "$ca: the CRL is older than the one in tls/crl.pem (its number is lower)" || return
  ! before "$(field "$2" lastupdate)" "$(field "$3" lastupdate)" || complain "$ca: the CRL is older than the one in tls/crl.pem" || return
}

# Puts the CRL of one CA among the others in $work, in the place of the one before.
take_crl() { # CA, SHA-256 of its key, URL
  ca=$1
  certificate=$(certificate_of "$2") || complain "$ca: its certificate is in none of tls/ca.pem, tls/intermediates.pem{% if cookiecutter.files.client_trust %}, tls/client-ca.pem{% endif %}" || return
  fetch "$ca" "$3" || return
  openssl crl -inform DER -in "$work/fetched.der" -out "$work/fetched.pem" 2>/dev/null || complain "$ca: $url serves no CRL" || return
  there=
  for crl in "$work"/crl.*; do
    if [ -f "$crl" ] && signed_by "$certificate" "$crl"; then there=$crl; fi
  done
  acceptable "$certificate" "$work/fetched.pem" "$there" || return
  mv "$work/fetched.pem" "${there:-$work/crl.of.$ca}"
}

take_crls() {
  split tls/crl.pem "$work/crl"
  while read -r name key source; do
    case $name in '' | '#'*) continue ;; esac
    take_crl "$name" "$key" "$source" || failed=1
  done <tls/crl-sources
  cat "$work"/crl.* >"$work/crls" 2>/dev/null || complain 'there is no CRL to put into tls/crl.pem' || return
  put "$work/crls" tls/crl.pem
}
{%- endif %}
{%- block more %}{% endblock %}

split tls/ca.pem "$work/ca.1"
split tls/intermediates.pem "$work/ca.2"
{%- if cookiecutter.files.client_trust %}
split tls/client-ca.pem "$work/ca.3"
{%- endif %}
{%- if cookiecutter.revocation.crls %}
take_crls || failed=1
{%- endif %}
{%- block take_more %}{% endblock %}
reload
exit "$failed"
