#!/bin/sh
# Run by PostgreSQL's image at its first start: the sample data, and a password for the gate's role.
set -eu
psql -X -q -v ON_ERROR_STOP=1 -U postgres -d shop -f /samples/shop.sql
psql -X -q -v ON_ERROR_STOP=1 -U postgres -d shop -v password="$(head -n 1 /run/secrets/analyst)" <<'S'
alter role stepgate_analyst password :'password';
S
