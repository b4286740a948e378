#!/usr/bin/env bash
# Makes sure that PostgreSQL's server binaries are on this machine; starts no server.
# Exit status 2: they are not, and this user may not install them (the line to run is printed).
set -euo pipefail

found() {
    local directory
    for directory in "${STEPGATE_PG_BIN:-}" "$(dirname "$(readlink -f "$(command -v postgres || true)")")" \
        "$(pg_config --bindir 2>/dev/null || true)" /usr/lib/postgresql/*/bin; do
        [ -x "$directory/postgres" ] && [ -x "$directory/initdb" ] && [ -x "$directory/psql" ] && return 0
    done
    return 1
}

found && exit 0

if ! command -v apt-get >/dev/null; then
    echo "PostgreSQL's server binaries are needed (postgres, initdb, psql; 13 or newer): install them with this machine's package manager." >&2
    exit 2
fi
if [ "$(id -u)" != 0 ]; then
    echo "PostgreSQL's server binaries are needed. Run this line, then try again:" >&2
    echo "  sudo $(readlink -f "$0")" >&2
    exit 2
fi

echo "Installing PostgreSQL's server binaries (no cluster is created or started) ..." >&2
# Debian's package otherwise creates and starts a cluster on port 5432.
mkdir -p /etc/postgresql-common
[ -e /etc/postgresql-common/createcluster.conf ] ||
    echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq </dev/null
apt-get install -y -qq --no-install-recommends -o Dpkg::Options::=--force-confold postgresql </dev/null >/dev/null
found || { echo "installed, but the binaries are still not found" >&2; exit 2; }
