#!/bin/sh
# The demo: install scaffold as a user would, apply the banking example, prove it by handshakes. Runs as often as you like.
set -eu

python=$1
demo=$2
PATH="$PATH:/usr/sbin:/sbin"

bold='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then    # https://no-color.org
    bold=$(printf '\033[1m') plain=$(printf '\033[0m')
fi

say() { printf '\n%s$ %s%s\n' "$bold" "$*" "$plain"; }
run() { say "$@"; "$@"; }

mkdir -p "$demo"
if [ ! -x "$demo/venv/bin/scaffold" ] || [ -n "$(find scaffold templates examples pyproject.toml -newer "$demo/venv/installed" -print -quit 2>/dev/null)" ]; then
    say "python3 -m venv $demo/venv && $demo/venv/bin/pip install ."
    [ -x "$demo/venv/bin/python" ] || "$python" -m venv "$demo/venv"
    "$demo/venv/bin/python" -m pip install --quiet --disable-pip-version-check .
    touch "$demo/venv/installed"
fi
PATH="$(cd "$demo/venv/bin" && pwd):$PATH"

cd "$demo"
[ -e topology.yaml ] || run scaffold init --example banking
run scaffold apply --yes
# The example's ports may be taken on this machine: the servers move to free ones for the time of the probes.
run scaffold verify --ports auto

cat <<END

What to look at next, in $demo:
  topology.yaml                   what you have just seen, in one file
  banking/servers/gateway         a project that runs wherever you copy it: sh run.sh
  banking/pki                     the certification authorities
Then change a line of topology.yaml and ask what that would do:
  cd $demo && . venv/bin/activate
  scaffold plan
END
