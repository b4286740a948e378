#!/usr/bin/env bash
# Fetches the drivers that the client tests use, into .work/ (nothing is installed on the machine).
# A driver that cannot be had is named here, as by its tests, which say SKIP (.ci/run reads these names).
set -uo pipefail
cd "$(dirname "$0")/../.."
mkdir -p .work
work=$PWD/.work

# python MODULE REQUIREMENT: below .work/MODULE
python() {
    PYTHONPATH=$work/$1 python3 -c "import $1" 2>/dev/null ||
        python3 -m pip install --quiet --no-warn-conflicts --disable-pip-version-check --root-user-action ignore \
            --target "$work/$1" "$2" </dev/null
}

psycopg() { python psycopg 'psycopg[binary]>=3.2,<4'; }
psycopg2() { python psycopg2 'psycopg2-binary>=2.9,<3'; }
asyncpg() { python asyncpg 'asyncpg>=0.30,<1'; }
pg8000() { python pg8000 'pg8000>=1.31,<2'; }
sqlalchemy() { python sqlalchemy 'sqlalchemy>=2,<3'; }

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
    [ -e "$work/node/node_modules/pg-copy-streams" ] && [ -e "$work/node/node_modules/postgres" ] ||
        npm install --silent --no-audit --no-fund --prefix "$work/node" 'pg@8' 'pg-copy-streams@7' 'postgres@3' \
            </dev/null >/dev/null
}

# tokio-postgres and sqlx: built with a lock file of their own.
rust() {
    cargo build --quiet --locked --manifest-path tests/clients/rust/Cargo.toml --target-dir "$work/rust" </dev/null
}

# pgx as Debian packages it, in a GOPATH as old as that: Go's module proxy is not asked.
pgx() {
    local gopath=/usr/share/gocode
    [ -e "$gopath/src/github.com/jackc/pgx/v4" ] && command -v go >/dev/null || {
        [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || { echo "no go, or no pgx" >&2; return 1; }
        set -- apt-get install -y -qq --no-install-recommends golang-go golang-github-jackc-pgx-v4-dev
        export DEBIAN_FRONTEND=noninteractive
        "$@" </dev/null >/dev/null 2>&1 || { apt-get update -qq </dev/null && "$@" </dev/null >/dev/null; } || return
    }
    GO111MODULE=off GOPATH=$gopath GOFLAGS= GOCACHE=$work/go/cache \
        go build -o "$work/go/pgx_client" tests/clients/pgx_client.go
}

for driver in psycopg psycopg2 asyncpg pg8000 sqlalchemy jdbc node_pg rust pgx; do
    ( "$driver" ) || echo "SKIP: $driver cannot be had here; its tests will say so too" >&2
done
exit 0
