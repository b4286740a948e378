#!/usr/bin/env bash
# Fetches what the tests of the pages drive: Debian's chromium (installed by apt, where we may), and from npm
# playwright-core and axe-core, into .work/browser. What cannot be had is named here, and the tests say SKIP.
set -uo pipefail
cd "$(dirname "$0")/../.."
mkdir -p .work
work=$PWD/.work

have_chromium() {
    command -v chromium >/dev/null && return
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || { echo "no chromium, and no apt-get as root" >&2; return 1; }
    export DEBIAN_FRONTEND=noninteractive
    set -- apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core
    "$@" </dev/null >/dev/null 2>&1 || { apt-get update -qq </dev/null && "$@" </dev/null >/dev/null; } || return
    command -v chromium >/dev/null
}

have_playwright() {
    command -v npm >/dev/null || { echo "no npm" >&2; return 1; }
    [ -e "$work/browser/node_modules/playwright-core" ] && [ -e "$work/browser/node_modules/axe-core" ] ||
        npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$work/browser" 'playwright-core@1' 'axe-core@4' \
            </dev/null >/dev/null
}

for part in chromium playwright; do
    ( "have_$part" ) || echo "SKIP: browser cannot be had here, for want of $part; the tests of pages will say so too" >&2
done
exit 0
