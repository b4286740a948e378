#!/bin/sh
# Power cuts: a child lives on an ext4 file system on a loop device, is stopped, and the device is copied as it is at
# that moment: what the kernel had not synced is lost. The copy is mounted and checked: no record that was acknowledged
# may be missing, nor any other thing that was told to be done undone. Then the child goes on, and is cut again.
#
# What it cannot show: what a disk loses or reorders that says it has it (here, what the device took is kept); writes torn
# within a sector; and an fdatasync that is cut off in its middle, for SIGSTOP lets one that runs come to its end first.
#
# usage: power-cut.sh TEST-BINARY [CUTS [DISK]]
#   TEST-BINARY: from `cargo test -p stepgate-store --lib --no-run`
#   DISK: several may run at a time; each is cut at other moments
# Ends with 77, and says why, where loop devices cannot be had.
set -eu
binary=$1
cuts=${2:-20}
disk=${3:-0}
# A file system is used for so many cuts: the log grows, and is read again after each.
a_disk=5
skip() { echo "$1"; exit 77; }
[ "$(id -u)" = 0 ] || skip "this takes root, for loop devices"
for tool in mkfs.ext4 mount losetup cmp; do
    command -v "$tool" >/dev/null || skip "there is no $tool"
done
# In memory, where there is room: the disk is the file, wherever that is, and what was not written to it is lost.
room=$(df --output=avail -k /dev/shm 2>/dev/null | tail -1)
if [ "${room:-0}" -gt 300000 ]; then
    work=$(mktemp -d -p /dev/shm)
else
    work=$(mktemp -d)
fi
child=
clean() {
    [ -z "$child" ] || kill -KILL "$child" 2>/dev/null || true
    [ -z "$child" ] || wait "$child" 2>/dev/null || true
    umount "$work/after" 2>/dev/null || true
    umount "$work/live" 2>/dev/null || true
    rm -rf "$work"
}
trap clean EXIT
trap 'exit 1' INT TERM
mkdir "$work/live" "$work/after"

# An empty file system, made once.
truncate -s 64M "$work/empty.img"
mkfs.ext4 -q -F -m 0 -E lazy_itable_init=0,lazy_journal_init=0 -J size=4 "$work/empty.img"

begin() {
    cp --sparse=always "$work/empty.img" "$work/live.img"
    mount -o loop "$work/live.img" "$work/live" 2>"$work/errors" || skip "no loop device: $(cat "$work/errors")"
    # What an earlier child said must not be taken for this one's word.
    : >"$work/told"
    STEPGATE_TEST_CRASH_DIR="$work/live" STEPGATE_TEST_CRASH_ROUND=$1 \
        "$binary" tests::crash::child::child_lives --exact --ignored --nocapture >"$work/told" 2>"$work/errors" &
    child=$!
    until grep -q acked "$work/told"; do
        kill -0 "$child" || { cat "$work/errors"; exit 1; }
        sleep 0.01
    done
}

end() {
    [ -n "$child" ] || return 0
    kill -KILL "$child" || { cat "$work/errors"; df "$work/live"; echo "FAILED: it ended by itself after cut $cut"; exit 1; }
    wait "$child" 2>/dev/null || true
    child=
    umount "$work/live"
}

cut=1
acknowledged=0
while [ "$cut" -le "$cuts" ]; do
    if [ $((cut % a_disk)) = 1 ]; then
        end
        begin "$cut"
    fi
    # At another moment each time.
    sleep "0.$(printf '%03d' $(((cut * 137 + disk * 71) % 150)))"
    kill -0 "$child" || { cat "$work/errors" "$work/told"; echo "FAILED: it ended by itself before cut $cut"; exit 1; }
    kill -STOP "$child"
    cp "$work/told" "$work/told.then"
    # The kernel may still write what it has: only a copy that is the disk at one moment counts.
    until cp --sparse=always "$work/live.img" "$work/after.img" && cmp -s "$work/live.img" "$work/after.img"; do :; done
    kill -CONT "$child"
    mount -o loop "$work/after.img" "$work/after"
    STEPGATE_TEST_CRASH_DIR="$work/after" STEPGATE_TEST_CRASH_TOLD="$work/told.then" \
        "$binary" tests::crash::child_checks --exact --ignored --nocapture >"$work/checked" 2>&1 || {
        cat "$work/checked"
        echo "FAILED: cut $cut"
        exit 1
    }
    grep 'after the power cut' "$work/checked" || { cat "$work/checked"; echo "FAILED: cut $cut was not checked"; exit 1; }
    umount "$work/after"
    acknowledged=$((acknowledged + $(grep -c '^acked.*\.$' "$work/told.then")))
    cut=$((cut + 1))
done
end
echo "ok: $cuts power cuts, none of the records acknowledged before each is missing ($acknowledged in all, those of a disk anew after each), no panic"
