#!/usr/bin/env bash
# Fetches an OpenID provider for the tests, into .work/idp (nothing is installed on the machine). Where it cannot be had,
# its tests say SKIP.
set -uo pipefail
cd "$(dirname "$0")/../.."
mkdir -p .work/idp
cd .work/idp

have() { node -e 'import("oidc-provider").then(() => import("jose"))' 2>/dev/null; }

[ -f package.json ] || echo '{"private": true, "type": "module"}' >package.json
have || npm install --silent --no-audit --no-fund --no-save 'oidc-provider@^9' 'jose@^6' </dev/null >/dev/null 2>&1
have || echo "SKIP: oidc-provider cannot be had here; the tests of identity providers will say so too" >&2
exit 0
