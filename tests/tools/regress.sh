#!/usr/bin/env bash
# Fetches the regression tests of the PostgreSQL that is here, of its very version, into .work/regress: its SQL, its data, and
# the functions in C that it loads. They are PostgreSQL's, and are not kept in this repository.
set -euo pipefail
cd "$(dirname "$0")/../.."

postgres=$(ls /usr/lib/postgresql/*/bin/postgres 2>/dev/null | sort -V | tail -1)
version=$("${postgres:-postgres}" --version | grep -oE '[0-9]+\.[0-9]+' | head -1)
major=${version%%.*}
there=.work/regress-$version
if [ -e "$there/regress.so" ]; then
    echo "$there"
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for source in \
    "http://deb.debian.org/debian/pool/main/p/postgresql-$major/postgresql-${major}_$version.orig.tar.bz2" \
    "https://ftp.postgresql.org/pub/source/v$version/postgresql-$version.tar.bz2"; do
    curl -fsSL --max-time 300 -o "$work/source.tar.bz2" "$source" && break
done
[ -s "$work/source.tar.bz2" ] || {
    echo "the sources of PostgreSQL $version cannot be had here" >&2
    exit 1
}
mkdir "$work/source"
tar -xjf "$work/source.tar.bz2" -C "$work/source" --strip-components=1

# What its C functions are compiled with: headers as this version has them.
(
    cd "$work/source"
    ./configure --without-readline --without-zlib --without-icu
    make -s -C src/backend generated-headers
    gcc -O1 -fPIC -shared -I src/include -o regress.so src/test/regress/regress.c
) >"$work/log" 2>&1 </dev/null || {
    tail -5 "$work/log" >&2
    exit 1
}

fresh=$there.new-$$
mkdir -p "$fresh"
cp -r "$work/source/src/test/regress"/{sql,data,expected,parallel_schedule} "$work/source/regress.so" "$fresh"
# The server reads them, and is somebody else.
chmod -R a+rX "$fresh"
rm -rf "$there"
mv "$fresh" "$there"
echo "$there"
