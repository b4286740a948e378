#!/usr/bin/env bash
# Fetches the programs that exports are opened with in tests, into .work/exports (nothing is installed on the machine).
# One that cannot be had is named here, and its test says SKIP.
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
ocsf() { python ocsf_json_schema 'ocsf-json-schema>=1.2,<2'; }

jq() {
    type -P jq >/dev/null || {
        [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || { echo "no jq" >&2; return 1; }
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends jq </dev/null >/dev/null 2>&1
    }
}

for tool in pandas pyarrow duckdb openpyxl jsonschema ocsf jq; do
    ( "$tool" ) || echo "SKIP: $tool cannot be had here; the test of exports will say so too" >&2
done
exit 0
