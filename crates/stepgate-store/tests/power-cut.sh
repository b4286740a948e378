#!/bin/sh
# Power cuts: a child appends to a log on an ext4 file system on a loop device, is stopped, and the device
# is copied as it is: what the kernel had not synced is lost. The copy is mounted and checked: no record
# that was acknowledged may be missing. Needs root and loop devices. Kinder than a real power cut, since
# what the device took is kept.
#
# usage: power-cut.sh TEST-BINARY [CUTS]
#   TEST-BINARY: from `cargo test -p stepgate-store --test crash --no-run`
set -eu
binary=$1
cuts=${2:-20}
work=$(mktemp -d)
child=
clean() {
    [ -z "$child" ] || kill -KILL "$child" 2>/dev/null || true
    [ -z "$child" ] || wait "$child" 2>/dev/null || true
    umount "$work/after" 2>/dev/null || true
    umount "$work/live" 2>/dev/null || true
    rm -rf "$work"
}
trap clean EXIT INT TERM
mkdir "$work/live" "$work/after"
cut=1
while [ "$cut" -le "$cuts" ]; do
    truncate -s 96M "$work/live.img"
    mkfs.ext4 -q -F "$work/live.img"
    mount -o loop "$work/live.img" "$work/live"
    STEPGATE_TEST_CRASH_DIR="$work/live/data" STEPGATE_TEST_CRASH_ROUND=$cut \
        "$binary" child_appends --exact --ignored --nocapture >"$work/acked" 2>"$work/errors" &
    child=$!
    until grep -q acked "$work/acked"; do
        kill -0 "$child" || { cat "$work/errors"; exit 1; }
    done
    # At another moment each time.
    sleep "0.$(printf '%03d' $((cut * 137 % 1000)))"
    kill -STOP "$child"
    cp "$work/acked" "$work/acked.then"
    cp --sparse=always "$work/live.img" "$work/after.img"
    kill -KILL "$child"
    wait "$child" 2>/dev/null || true
    child=
    umount "$work/live"
    mount -o loop "$work/after.img" "$work/after"
    STEPGATE_TEST_CRASH_DIR="$work/after/data" STEPGATE_TEST_CRASH_ACKED="$work/acked.then" \
        "$binary" child_checks --exact --ignored --nocapture >"$work/checked" 2>&1 || {
        cat "$work/checked"
        echo "FAILED: cut $cut"
        exit 1
    }
    grep 'after the power cut' "$work/checked"
    umount "$work/after"
    cut=$((cut + 1))
done
echo "ok: $cuts cuts"
