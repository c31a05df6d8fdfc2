#!/bin/sh
# refresh.sh: takes the CRLs that tls/crl-sources names from where their CAs publish them, and puts them into tls/crl.pem.
# RELOAD in the environment is a command that makes a server take up the new file; it runs when there is one.
# Exit code: 0 all CRLs are the latest, 1 not all are, and why; those that could not be had stay as they were.
set -eu
LC_ALL=C
export LC_ALL
CDPATH='' cd -- "$(dirname -- "$0")"
work=$(mktemp -d)
new=
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

before() { # text, text
  awk -v a="x$1" -v b="x$2" 'BEGIN { exit !(a < b) }'
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
take() { # CA, SHA-256 of its key, URL
  ca=$1 url=$3
  certificate=$(certificate_of "$2") || complain "$ca: its certificate is neither in tls/ca.pem nor in tls/intermediates.pem" || return
  # -q: no .curlrc has a say. The CRL proves itself by its signature, so plain HTTP is enough (RFC 5280 8).
  curl -q --silent --show-error --fail --proto '=http,https' --max-time 30 --max-filesize 100000000 \
    --output "$work/fetched.der" -- "$url" 2>"$work/said" || complain "$ca: $url: $(head -n 1 "$work/said")" || return
  openssl crl -inform DER -in "$work/fetched.der" -out "$work/fetched.pem" 2>/dev/null || complain "$ca: $url serves no CRL" || return
  there=
  for crl in "$work"/crl.*; do
    if [ -f "$crl" ] && signed_by "$certificate" "$crl"; then there=$crl; fi
  done
  acceptable "$certificate" "$work/fetched.pem" "$there" || return
  mv "$work/fetched.pem" "${there:-$work/crl.of.$ca}"
}

split tls/ca.pem "$work/ca.1"
split tls/intermediates.pem "$work/ca.2"
split tls/crl.pem "$work/crl"

failed=0
while read -r name key url; do
  case $name in '' | '#'*) continue ;; esac
  take "$name" "$key" "$url" || failed=1
done <tls/crl-sources

cat "$work"/crl.* >"$work/all" 2>/dev/null || { complain 'there is no CRL to put into tls/crl.pem' || exit; }
if ! cmp -s "$work/all" tls/crl.pem; then
  # Whole or not at all: a reader sees the old file or the new one. A dotfile, and on the same file system for rename.
  new=$(mktemp tls/.crl.XXXXXX)
  { cat "$work/all" >"$new" && chmod 644 "$new" && mv -f "$new" tls/crl.pem; } || { complain 'tls/crl.pem cannot be written' || exit; }
  new=
  if [ -n "${RELOAD:-}" ]; then
    sh -c "$RELOAD" || { complain "tls/crl.pem is new, but this failed: $RELOAD" || exit; }
  fi
fi
exit "$failed"
