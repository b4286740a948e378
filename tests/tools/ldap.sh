#!/usr/bin/env bash
# Fetches a directory for the tests, into .work/ldap (nothing is installed on the machine): Debian's OpenLDAP, unpacked.
# Where it cannot be had, its tests say SKIP.
set -uo pipefail
cd "$(dirname "$0")/../.."
mkdir -p .work
work=$PWD/.work

runs() {
    LD_LIBRARY_PATH=$(echo "$work"/ldap/usr/lib/*-linux-gnu) "$work/ldap/usr/sbin/slapd" -VV 2>&1 | grep -q OpenLDAP
}

slapd() {
    runs && return
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || { echo "no apt-get" >&2; return 1; }
    rm -rf "$work/ldap" && mkdir -p "$work/ldap/deb" && cd "$work/ldap/deb" || return
    # Names of libraries differ from release to release: what slapd needs is what its package says.
    libraries() { apt-cache depends slapd 2>/dev/null | sed -n 's/^ *Depends: \(lib[a-z0-9.+-]*\)$/\1/p' | grep -v '^libc6$'; }
    [ -n "$(libraries)" ] || { [ "$(id -u)" = 0 ] && apt-get update -qq </dev/null; }
    mapfile -t needed < <(libraries)
    apt-get download -qq slapd "${needed[@]}" </dev/null 2>/dev/null ||
        { [ "$(id -u)" = 0 ] && apt-get update -qq </dev/null && apt-get download -qq slapd "${needed[@]}" </dev/null 2>/dev/null; } ||
        return
    for package in ./*.deb; do dpkg-deb -x "$package" .. || return; done
    rm -rf "$work/ldap/deb"
    runs
}

( slapd ) || echo "SKIP: slapd cannot be had here (OpenLDAP); the tests of directories will say so too" >&2
exit 0
