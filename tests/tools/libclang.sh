#!/usr/bin/env bash
# Makes sure that what builds PostgreSQL's grammar (libpg_query, through bindgen) is on this machine: libclang
# with its headers, and a C compiler.
# Exit status 2: it is not, and this user may not install it (the line to run is printed).
set -euo pipefail

found() {
    command -v cc >/dev/null || return 1
    # With headers of its own, or told where other ones are.
    [ -n "${LIBCLANG_PATH:-}" ] && return 0
    compgen -G '/usr/lib/llvm-*/lib/libclang[.-]*so*' >/dev/null &&
        { [ -n "${BINDGEN_EXTRA_CLANG_ARGS:-}" ] ||
            compgen -G '/usr/lib/llvm-*/lib/clang/*/include/stddef.h' >/dev/null; }
}

found && exit 0

if ! command -v apt-get >/dev/null; then
    echo "libclang (with its headers) and a C compiler are needed: install them with this machine's package manager, and set LIBCLANG_PATH." >&2
    exit 2
fi
if [ "$(id -u)" != 0 ]; then
    echo "libclang and a C compiler are needed. Run this line, then try again:" >&2
    echo "  sudo $(readlink -f "$0")" >&2
    exit 2
fi

echo "Installing libclang ..." >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq </dev/null
apt-get install -y -qq --no-install-recommends gcc libc6-dev libclang-dev </dev/null >/dev/null
found || { echo "installed, but libclang is still not found" >&2; exit 2; }
