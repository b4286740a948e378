#!/usr/bin/env bash
# Fetches the programs that exports are opened with in tests, into .work/exports (nothing is installed on the machine).
# One that cannot be had is named here, as by its test, which says SKIP (.ci/run reads these names).
set -uo pipefail
cd "$(dirname "$0")/../.."
mkdir -p .work
work=$PWD/.work

# python MODULE REQUIREMENT: below .work/exports
python() {
    PYTHONPATH=$work/exports python3 -c "import $1" 2>/dev/null ||
        python3 -m pip install --quiet --no-warn-conflicts --disable-pip-version-check --root-user-action ignore \
            --upgrade --target "$work/exports" "$2" </dev/null
}

duckdb() { python duckdb 'duckdb>=1.1,<3'; }
pandas() { python pandas 'pandas>=2.2,<4'; }
pyarrow() { python pyarrow 'pyarrow>=17'; }
openpyxl() { python openpyxl 'openpyxl>=3.1,<4'; }
jsonschema() { python jsonschema 'jsonschema>=4.20,<5'; }
ocsf_json_schema() { python ocsf_json_schema 'ocsf-json-schema>=1.2,<2'; }

# A reader of tiled logs (tests/exports/tiles.py). It needs Python 3.12, and so has an environment of its own.
tlog() {
    "$work/tlog/bin/python" -c 'import aics_tlog' 2>/dev/null && return
    local python
    for python in python3 python3.13 python3.12 "$HOME"/.pyenv/versions/3.1[2-9]*/bin/python3; do
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null || continue
        "$python" -m venv "$work/tlog" &&
            "$work/tlog/bin/python" -m pip install --quiet --disable-pip-version-check 'aics-tlog>=0.2,<0.3' </dev/null &&
            return
        rm -rf "$work/tlog"
    done
    return 1
}

jq() {
    type -P jq >/dev/null || {
        [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || { echo "no jq" >&2; return 1; }
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends jq </dev/null >/dev/null 2>&1
    }
}

type -P python3 >/dev/null || echo "SKIP: python3 cannot be had here; the tests that want it will say so too" >&2
for tool in pandas pyarrow duckdb openpyxl jsonschema ocsf_json_schema tlog jq; do
    ( "$tool" ) || echo "SKIP: $tool cannot be had here; the test of exports will say so too" >&2
done
exit 0
