#!/usr/bin/env bash
# suites.sh SUITE: plays a driver's own test suite against the server that PG* variables name (a superuser postgres,
# databases suite_test and postgres). docs/DRIVERS.md says what comes of it.
# psycopg2, asyncpg, pg8000: from PyPI's source packages; pgx: from Debian's. psycopg, node_pg, postgres_js: from
# checkouts of their repositories, $STEPGATE_SUITES_SRC/{psycopg,node-postgres,postgres}.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$PWD/.work/suites
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
mkdir -p "$work"

# An environment of Python's own, with what the suites need.
python() {
    [ -e "$work/python/bin/pytest" ] || {
        python3 -m venv "$work/python"
        "$work/python/bin/pip" install -q asyncpg==0.32.0 psycopg2-binary==2.9.13 'psycopg[binary]==3.3.4' \
            pg8000==1.31.6 pytest pytest-mock pytest-benchmark pytest-timeout anyio pytz docutils dnspython distro pproxy
    } </dev/null >&2
}
# The tests of PROJECT VERSION, unpacked here.
sdist() {
    [ -e "$work/$1-$2.tar.gz" ] ||
        python3 -m pip download -q --no-deps --no-binary :all: --dest "$work" "$1==$2" </dev/null >&2
    tar xzf "$work/$1-$2.tar.gz" -C "$here" --strip-components 1
    cd "$here"
}
pytest() {
    "$work/python/bin/python" -m pytest -q -p no:cacheprovider --timeout 120 -rfE --tb=line "$@"
}
# A checkout of NAME, copied here.
checkout() {
    cp -r "${STEPGATE_SUITES_SRC:?says where the checkouts are}/$1/." "$here"
    cd "$here"
}

psycopg2() {
    python && sdist psycopg2 2.9.13
    # As the wheel has it, not as it lies there.
    rm -rf lib psycopg
    PSYCOPG2_TESTDB=suite_test pytest tests
}
asyncpg() {
    python && sdist asyncpg 0.32.0
    rm -rf asyncpg
    PGDATABASE=suite_test pytest tests --deselect tests/test__sourcecode.py \
        --deselect tests/test_introspection.py::TestIntrospection::test_introspection_on_large_db
}
pg8000() {
    python && sdist pg8000 1.31.6
    # Those of auth/ need a pg_hba.conf of their own; the README's examples do as well.
    pytest --benchmark-disable test --ignore test/legacy/auth --ignore test/native/auth --ignore test/dbapi/auth \
        --ignore test/test_readme.py
}
psycopg() {
    python && checkout psycopg
    PSYCOPG_TEST_DSN="host=$PGHOST port=$PGPORT user=$PGUSER password=$PGPASSWORD dbname=suite_test sslmode=disable" \
        pytest -m 'not slow and not mypy' --ignore tests/pool --ignore tests/test_typing.py tests
}
pgx() {
    export GO111MODULE=off GOPATH=/usr/share/gocode GOFLAGS= GOCACHE=$work/go
    local server="host=$PGHOST port=$PGPORT user=$PGUSER password=$PGPASSWORD database=suite_test"
    export PGX_TEST_DATABASE="$server sslmode=disable" PGX_TEST_CONN_STRING="$server sslmode=disable" \
        PGX_TEST_SCRAM_PASSWORD_CONN_STRING="$server sslmode=disable"
    go test -p 1 -v github.com/jackc/pgconn github.com/jackc/pgconn/stmtcache github.com/jackc/pgx/v4 \
        github.com/jackc/pgx/v4/pgxpool github.com/jackc/pgx/v4/stdlib >"$here/log" || true
    grep -E '^ *--- FAIL' "$here/log" || true
    echo "$(grep -cE '^ *--- PASS' "$here/log") passed, $(grep -cE '^ *--- FAIL' "$here/log") failed"
}
node_pg() {
    [ -e "$work/node/node_modules/pg-protocol" ] ||
        npm install --silent --no-audit --no-fund --prefix "$work/node" pg-types@2.2.0 pgpass@1.0.5 pg-protocol@1 pg-pool@3 \
            pg-connection-string@2 async@2.6.4 bluebird@3.7.2 co@4.6.0 pg-copy-streams@0.3.0 </dev/null >&2
    checkout node-postgres
    cp -r "$work/node/node_modules" . && ln -sfn ../packages/pg node_modules/pg && cd packages/pg
    local passed=0 failed=0 file
    export PGTESTNOSSL=1
    for file in $(find test/integration -name '*-tests.js' | sort); do
        if timeout 60 node "$file" "postgres://$PGUSER:$PGPASSWORD@$PGHOST:$PGPORT/suite_test" >"$here/log" 2>&1 </dev/null; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1)) && echo "FAILED $file" && grep -m1 -E 'stepgate|Error' "$here/log" || true
        fi
    done
    echo "$passed passed, $failed failed"
}
postgres_js() {
    checkout postgres
    # What bootstrap.js makes is there already; each test is played, whatever became of those before.
    echo 'export function exec() {}' >tests/bootstrap.js
    sed -i "s/localhost:5432/localhost:$PGPORT/g; s/user: 'postgres_js_test'$/user: '$PGUSER', pass: '$PGPASSWORD'/
        s/db: 'postgres_js_test'/db: 'suite_test'/" tests/index.js
    sed -i 's/failed = true/void 0/g; s/Object.values(tests).every((x) => {/Object.values(tests).forEach((x) => {/' tests/test.js
    cat >>tests/test.js <<'END'
process.on('uncaughtException', () => {})
process.on('unhandledRejection', () => {})
process.on('exit', () => console.log('\n' + Object.values(tests).filter((it) => it.succeeded).length + ' passed of '
  + Object.values(tests).length))
END
    node tests/index.js 2>&1 </dev/null || true
}

"$1"
