#!/bin/sh
# Names what this machine lacks, and installs it where that can be done: with apt-get, as root.
set -eu

PATH="$PATH:/usr/sbin:/sbin"
python=${PYTHON:-python3}
packages=

need() { # COMMAND PACKAGE
    command -v "$1" >/dev/null 2>&1 || packages="$packages $2"
}

need "$python" python3
need nginx nginx
need curl curl
need openssl openssl
# A venv is made to see whether one can be: Debian's python3 has the module but, without python3-venv, not what it needs.
if command -v "$python" >/dev/null 2>&1; then
    trial=$(mktemp -d)
    trap 'rm -rf "$trial"' EXIT
    "$python" -m venv "$trial/venv" >/dev/null 2>&1 || packages="$packages python3-venv"
else
    packages="$packages python3-venv"
fi

if [ -n "$packages" ]; then
    echo "This machine lacks:$packages"
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        echo "error: install what is missing first" >&2
        echo "hint: on Debian or Ubuntu: sudo apt-get install$packages" >&2
        exit 1
    fi
    echo "Installing with apt-get …"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # Without recommends; and no service of nginx's own is started: policy-rc.d forbids it for this one command.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
        trap 'rm -f "$policy"; rm -rf "${trial:-/nonexistent}"' EXIT
    fi
    # shellcheck disable=SC2086
    apt-get install -qq -y --no-install-recommends $packages >/dev/null
fi

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "error: $python is older than Python 3.11" >&2
    echo "hint: make PYTHON=/path/to/python3.11 …" >&2
    exit 1
}
