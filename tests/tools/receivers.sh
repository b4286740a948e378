#!/usr/bin/env bash
# Fetches what the tests of sinks and checkpoints send to, into .work/ (nothing is installed on the machine): Debian's
# rsyslog with GnuTLS, unpacked, and Python's aiosmtpd. What cannot be had is named here, and its tests say SKIP.
set -uo pipefail
cd "$(dirname "$0")/../.."
mkdir -p .work
work=$PWD/.work

aiosmtpd() {
    PYTHONPATH=$work/aiosmtpd python3 -c 'import aiosmtpd' 2>/dev/null ||
        python3 -m pip install --quiet --no-warn-conflicts --disable-pip-version-check --root-user-action ignore \
            --target "$work/aiosmtpd" 'aiosmtpd>=1.4,<2' </dev/null
}

rsyslog() {
    [ -x "$work/rsyslog/usr/sbin/rsyslogd" ] && return
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || { echo "no apt-get" >&2; return 1; }
    mkdir -p "$work/rsyslog/deb" && cd "$work/rsyslog/deb" || return
    set -- rsyslog rsyslog-gnutls libestr0 libfastjson4
    apt-get download -qq "$@" </dev/null 2>/dev/null ||
        { [ "$(id -u)" = 0 ] && apt-get update -qq </dev/null && apt-get download -qq "$@" </dev/null 2>/dev/null; } ||
        return
    for package in ./*.deb; do dpkg-deb -x "$package" .. || return; done
    rm -rf "$work/rsyslog/deb"
    LD_LIBRARY_PATH=$(echo "$work"/rsyslog/usr/lib/*-linux-gnu) "$work/rsyslog/usr/sbin/rsyslogd" -v >/dev/null
}

for receiver in aiosmtpd rsyslog; do
    ( "$receiver" ) || echo "SKIP: $receiver cannot be had here; its tests will say so too" >&2
done
