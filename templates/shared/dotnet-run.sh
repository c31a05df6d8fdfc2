#!/bin/sh
{% block about %}{% endblock %}
set -eu
umask u+rwx    # one that takes this account's own rights away would leave it files that it cannot use
cd -- "$(dirname -- "$0")"
command -v dotnet >/dev/null || { echo "run.sh: dotnet is not on PATH; the .NET 10 SDK is needed" >&2; exit 127; }

# No build server is left behind, and nothing is sent or asked when dotnet runs for the first time.
export MSBUILDDISABLENODEREUSE=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 DOTNET_GENERATE_ASPNET_CERTIFICATE=false

program=bin/Release/net10.0/{{ cookiecutter.name }}-{% block role %}{% endblock %}.dll
# The files that a build reads, in whatever folder; arguments narrow them as those of find do.
sources() {
    find . \( -path ./bin -o -path ./obj -o -path ./tls -o -name '.?*' \) -prune -o -type f \
        \( -name '*.cs' -o -name '*.csproj' -o -name '*.props' -o -name '*.targets' -o -name '*.resx' -o -name '*.razor' \) "$@" -print | LC_ALL=C sort
}
# obj/run.sources says what the last build by this script read. A build by another hand counts where there was none.
changed() {
    [ -e "$program" ] || return 0
    if [ ! -e obj/run.sources ]; then [ -n "$(sources -newer "$program")" ]; return; fi
    [ -n "$(sources -newer obj/run.sources)" ] || [ "$(sources)" != "$(cat obj/run.sources)" ]
}
build() {
    case $PWD in *%[0-9a-fA-F][0-9a-fA-F]* | *[\;*?\\]* | *'@('*)
        printf 'run.sh: MSBuild takes %s in the path of a folder for its own syntax and cannot build here: %s\n' '; * ? \ @( and %20' "$PWD" >&2
        exit 1 ;;
    esac
    # The SDK keeps files under HOME, and a service's user may have none.
    if [ -z "${DOTNET_CLI_HOME:-}" ] && [ ! -w "${HOME:-/nonexistent}" ]; then export DOTNET_CLI_HOME="$PWD/.home"; fi
    # Listed first: what is saved during the build is built the next time.
    sources >obj/run.sources.new
    dotnet build --configuration Release --nologo --verbosity quiet -p:UseSharedCompilation=false >&2
    mv obj/run.sources.new obj/run.sources
}
if changed; then
    mkdir -p obj
    exec 9>obj/run.lock
    if command -v flock >/dev/null; then flock 9; fi
    if changed; then build; fi
    exec 9>&-
fi

exec dotnet "$program"{% block arguments %}{% endblock %}
