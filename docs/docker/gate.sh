#!/bin/sh
# Configures the gate at its first start, then runs what it is asked to.
set -eu
if [ ! -e /etc/stepgate/stepgate.yaml ] && [ -n "${STEPGATE_DATABASE:-}" ]; then
    # The password of the database's role: a file, never a variable or an argument.
    stepgate init /etc/stepgate --database "$STEPGATE_DATABASE" --sslmode "${STEPGATE_SSLMODE:-verify-full}" \
        --listen 0.0.0.0:6432 --console 0.0.0.0:6480 <"${STEPGATE_PASSWORD_FILE:?}"
    if [ -d /samples ]; then
        cp /samples/pii-map.yaml /samples/policy.yaml /etc/stepgate/policies/
    fi
    sed -i 's|url: "https://0.0.0.0:6480"|url: "https://localhost:6480"|' /etc/stepgate/stepgate.yaml
fi
exec "$@"
