#!/bin/sh
# Installs what this machine lacks for `make check`, `demo`, `test` or `test-long`, where it can: with apt-get, as root.
#
#     sh tools/needs.sh check|demo|test|test-long
#
# What is missing otherwise is named. Without Python nothing can run, and without its servers there is no demo; a test
# that lacks a program is skipped with the reason.
set -eu

PATH="$PATH:/usr/sbin:/sbin"
python=${PYTHON:-python3}
packages=
policy=
scratch=$(mktemp -d)
trap 'rm -rf "$scratch" ${policy:+"$policy"}' EXIT

main() {
    case ${1:-} in
    check)
        python_needs
        must_have
        ;;
    demo)
        python_needs
        demo_needs
        must_have
        ;;
    test | test-long)
        python_needs
        must_have
        demo_needs
        test_needs
        [ "$1" = test ] || long_needs
        may_have
        mermaid
        [ "$1" = test ] || express
        ;;
    *)
        echo "usage: sh tools/needs.sh check|demo|test|test-long" >&2
        exit 2
        ;;
    esac
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "error: $python is older than Python 3.11" >&2
        echo "hint: make PYTHON=/path/to/python3.11 …" >&2
        exit 1
    }
}

python_needs() {
    need "$python" python3
    # A venv is made to see whether one can be: Debian's python3 has the module but, without python3-venv, not what it needs.
    "$python" -m venv "$scratch/venv" >/dev/null 2>&1 || packages="$packages python3-venv"
}

demo_needs() {
    need nginx nginx
    need curl curl
    need openssl openssl
}

# A file of its own in Debian's nginx; others have it within.
nginx_has_stream() {
    said=$(nginx -V 2>&1) || return
    case $said in
        *--with-stream=dynamic*)
            modules=${said##*--modules-path=}
            test -f "${modules%% *}/ngx_stream_module.so"
            ;;
        *--with-stream*) ;;
        *) return 1 ;;
    esac
}

test_needs() {
    nginx_has_stream || packages="$packages libnginx-mod-stream"
    need dash dash
    need faketime faketime
    need git git
    need haproxy haproxy
    need hg mercurial
    need mosquitto mosquitto
    # Debian keeps it out of PATH.
    ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || packages="$packages postgresql"
    need systemd-analyze systemd
    # The independent judges of certificates: GnuTLS, NSS, and Java, whose compiler runs a program from its source.
    need certtool gnutls-bin
    need certutil libnss3-tools
    need javac default-jdk-headless
    # The shells whose completion is tried; bash is there.
    need zsh zsh
    need fish fish
    # The browser in which pages are looked at, and which trusts roots.
    need chromium chromium
}

# Firefox, which trusts roots too, is large.
long_needs() {
    command -v firefox >/dev/null 2>&1 || need firefox-esr firefox-esr
}

need() { # COMMAND PACKAGE
    command -v "$1" >/dev/null 2>&1 || packages="$packages $2"
}

must_have() {
    [ -n "$packages" ] || return 0
    echo "This machine lacks:$packages"
    if ! can_install; then
        echo "error: install what is missing first" >&2
        echo "hint: on Debian or Ubuntu: sudo apt-get install --no-install-recommends$packages" >&2
        exit 1
    fi
    # shellcheck disable=SC2086
    install $packages
    packages=
}

may_have() {
    [ -n "$packages" ] || return 0
    echo "This machine lacks:$packages"
    missing=
    for package in $packages; do
        # One by one: where a distribution does not have one of them, the others are installed all the same.
        { can_install && install "$package"; } || missing="$missing $package"
    done
    if [ -n "$missing" ]; then
        echo "Tests that need them are skipped. On Debian or Ubuntu: sudo apt-get install --no-install-recommends$missing"
    fi
}

# What draws Mermaid's diagrams, where npm is there: a bundle for browsers, complete in itself.
mermaid() {
    [ ! -e build/npm/package/dist/mermaid.min.js ] && command -v npm >/dev/null 2>&1 || return 0
    echo "Fetching mermaid with npm …"
    mkdir -p build/npm
    { (cd build/npm && npm pack --silent mermaid@12.3.0 >/dev/null) &&
        tar -xzf build/npm/mermaid-12.3.0.tgz -C build/npm package/dist/mermaid.min.js; } ||
        echo "npm cannot fetch mermaid: no test renders its diagrams"
}

# What the example for Express in docs/your-own-service.md imports, where npm is there.
express() {
    [ ! -e build/npm/node_modules/express ] && command -v npm >/dev/null 2>&1 || return 0
    echo "Fetching express with npm …"
    mkdir -p build/npm
    npm install --prefix build/npm --no-save --no-audit --no-fund --loglevel=error express@5.3.0 >/dev/null ||
        echo "npm cannot fetch express: its example is not run"
}

can_install() {
    [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1
}

install() { # PACKAGE...
    echo "Installing $* with apt-get …"
    export DEBIAN_FRONTEND=noninteractive
    [ -e "$scratch/updated" ] || apt-get update -qq
    touch "$scratch/updated"
    # No service that comes with a package is started: policy-rc.d forbids it while this script runs.
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        policy=/usr/sbin/policy-rc.d
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
    fi
    apt-get install -qq -y --no-install-recommends "$@" >/dev/null
}

main "$@"
