#!/bin/sh
# Builds the service where it is not built yet or has changed since, then runs it in the foreground.
# TERM ends it; HUP makes it read tls/ at once. LISTEN (host:port) move it.
set -eu
cd -- "$(dirname -- "$0")"
command -v dotnet >/dev/null || { echo "run.sh: dotnet is not on PATH; the .NET 10 SDK is needed" >&2; exit 127; }

# No build server is left behind, and nothing is sent or asked when dotnet runs for the first time.
export MSBUILDDISABLENODEREUSE=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 DOTNET_GENERATE_ASPNET_CERTIFICATE=false

program=bin/Release/net10.0/accounts-server.dll
changed() {
    [ ! -e "$program" ] || [ -n "$(find . -maxdepth 2 \( -name '*.cs' -o -name '*.csproj' \) ! -path './obj/*' -newer "$program")" ]
}
if changed; then
    mkdir -p obj
    exec 9>obj/run.lock
    if command -v flock >/dev/null; then flock 9; fi
    if changed; then dotnet build --configuration Release --nologo --verbosity quiet -p:UseSharedCompilation=false >&2; fi
    exec 9>&-
fi

exec dotnet "$program"
