#!/usr/bin/env bash
# psql as people use it, from scripts: several statements, PREPARE, COPY both ways, Ctrl-C. Ends with "ok".
set -euo pipefail

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
die() { echo "$*" >&2; cat "$scratch"/* >&2; exit 1; }

# Runs it; `state` is what psql's last error was (00000: none).
run() {
    { cat; printf '\n%s\n' '\echo state :SQLSTATE'; } | psql -XAtq >"$scratch/out" 2>"$scratch/err" || true
    state=$(sed -n 's/^state //p' "$scratch/out")
}
# Presses Ctrl-C a moment after; psql takes it, although the shell has told background jobs not to.
interrupted() {
    psql -XAtq -v VERBOSITY=sqlstate -c "$1" >"$scratch/out" 2>"$scratch/err" &
    sleep 1
    kill -INT $!
    wait $! && die "passed: $1"
    grep -q '^ERROR:  57014' "$scratch/err" || die "not cancelled: $1"
}

# Held, and released from outside; then by the grant.
run <<<"select full_name, ssn from customers where id = 1;"
grep -q '^Amir Bauer|901-00-0001$' "$scratch/out" || die "the held statement"
grep -q '^NOTICE:  stepgate: held' "$scratch/err" || die "no notice"
run <<<"select ssn from customers where id = 2;"
grep -q '^9' "$scratch/out" || die "by the grant"
run <<<"prepare by_id (bigint) as select id from products where id = \$1; execute by_id (2); execute by_id (3);"
[ "$(paste -sd' ' "$scratch/out")" = "2 3 state 00000" ] || die "prepared"

# Held, and denied by others: an error of the statement.
run <<<"create table copied as select ssn from customers;"
[ "$state" = 42501 ] && grep -q '^ERROR:  stepgate: ' "$scratch/err" || die "the copy passed ($state)"

# Held, and cancelled by its sender; one that runs is cancelled as well.
interrupted "select salary from hr.employees"
interrupted "select pg_sleep(60)"

# COPY both ways, behind a savepoint and an error, and back.
printf '998\tcopied\thome\t2\n999\tcopied\thome\t2\n' >"$scratch/rows"
run <<END
begin;
\copy products from $scratch/rows
savepoint s;
select 1/0;
rollback to s;
\copy (select name from products where id >= 900) to $scratch/copied
copy (select count(*) from products) to stdout;
rollback;
END
[ "$(sort -u "$scratch/copied")" = copied ] && grep -qx 202 "$scratch/out" || die "COPY"

# Several statements in one message; an error in it takes the others back.
psql -XAtq -c "insert into products values (997, 'p', 'home', 1); select 1/0" >"$scratch/out" 2>&1 && die "no error"
run <<<"select 1 \; select count(*) from products;"
grep -qx 200 "$scratch/out" && [ "$state" = 00000 ] || die "afterwards ($state)"
echo ok
