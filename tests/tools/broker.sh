#!/usr/bin/env bash
# Fetches a SAML identity provider (npm samlp) and a broker that speaks SAML to it and OpenID Connect to the gate (SATOSA), into
# .work/broker (nothing is installed on the machine). Where they cannot be had, their test says SKIP.
set -uo pipefail
cd "$(dirname "$0")/../.."
mkdir -p .work/broker/debs
cd .work/broker

have() { [ -x usr/bin/xmlsec1 ] && [ -x venv/bin/gunicorn ] && [ -d node_modules/samlp ]; }

if ! have; then
  (cd debs && apt-get download xmlsec1 libxmlsec1 libxmlsec1-openssl >/dev/null 2>&1)
  for deb in debs/*.deb; do [ -f "$deb" ] && dpkg -x "$deb" .; done
  [ -f package.json ] || echo '{"private": true}' >package.json
  npm install --silent --no-audit --no-fund --no-save 'samlp@^7' </dev/null >/dev/null 2>&1
  python3 -m venv venv >/dev/null 2>&1 && venv/bin/pip -q install 'SATOSA==8.6.*' >/dev/null 2>&1
fi
have || echo "SKIP: saml cannot be had here (a provider and a broker); its test will say so too" >&2
exit 0
