#!/usr/bin/env bash
# Fetches the drivers that the client tests use, into .work/ (nothing is installed on the machine).
# A driver that cannot be had is named here, and its tests say SKIP.
set -uo pipefail
cd "$(dirname "$0")/../.."
mkdir -p .work
work=$PWD/.work

psycopg() {
    PYTHONPATH=$work/psycopg python3 -c 'import psycopg' 2>/dev/null ||
        python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore \
            --target "$work/psycopg" 'psycopg[binary]>=3.1,<4' </dev/null
}

sqlalchemy() {
    PYTHONPATH=$work/sqlalchemy python3 -c 'import sqlalchemy' 2>/dev/null ||
        python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore \
            --target "$work/sqlalchemy" 'sqlalchemy>=2,<3' </dev/null
}

# Debian's package, unpacked beside us: Maven is not asked for.
jdbc() {
    command -v java >/dev/null || { echo "no java" >&2; return 1; }
    [ -e "$work/jdbc/postgresql.jar" ] && return
    mkdir -p "$work/jdbc" && cd "$work/jdbc" || return
    apt-get download -qq libpostgresql-jdbc-java </dev/null 2>/dev/null ||
        { [ "$(id -u)" = 0 ] && apt-get update -qq </dev/null &&
            apt-get download -qq libpostgresql-jdbc-java </dev/null 2>/dev/null; } || return
    dpkg-deb -x libpostgresql-jdbc-java_*.deb . &&
        cp -L usr/share/java/postgresql.jar postgresql.jar && rm -rf usr libpostgresql-jdbc-java_*.deb
}

node_pg() {
    command -v npm >/dev/null || { echo "no npm" >&2; return 1; }
    [ -e "$work/node/node_modules/pg" ] ||
        npm install --silent --no-audit --no-fund --prefix "$work/node" 'pg@8' </dev/null >/dev/null
}

for driver in psycopg sqlalchemy jdbc node_pg; do
    ( "$driver" ) || echo "SKIP: driver $driver cannot be had here; its tests will say so too" >&2
done
exit 0
