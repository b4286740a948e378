#!/usr/bin/env bash
# Fetches what makes up queries for PostgreSQL to judge (crates/stepgate-sql/tests/oracle.rs): sqlsmith, and the
# queries of TPC-H and TPC-DS, into .work/tpc. What cannot be had is named here, and its test says SKIP.
set -uo pipefail
cd "$(dirname "$0")/../.."
mkdir -p .work

sqlsmith() {
    # A function of this name is no program.
    type -P sqlsmith >/dev/null && return
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null &&
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends sqlsmith </dev/null >/dev/null
}

tpc() {
    [ -e .work/tpc/schema.sql ] && return
    local sdist
    sdist=$(mktemp -d) || return
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --no-binary sqlglot --dest "$sdist" \
        'sqlglot==25.0.0' </dev/null &&
        python3 tests/oracle/tpc.py "$sdist/sqlglot-25.0.0.tar.gz" .work/tpc
    local status=$?
    rm -rf "$sdist"
    return "$status"
}

for source in sqlsmith tpc; do
    ( "$source" ) || echo "SKIP: $source cannot be had here; its test will say so too" >&2
done
exit 0
