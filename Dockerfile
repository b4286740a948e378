# The gate: built on Debian 12, run there as a user of its own.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev libclang-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --locked --release -p stepgate && cp target/release/stepgate /stepgate

FROM debian:12-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/stepgate --create-home stepgate \
    && install -d -o stepgate -g stepgate -m 0700 /etc/stepgate
COPY --from=build /stepgate /usr/local/bin/stepgate
COPY --chmod=0755 docs/docker/gate.sh /usr/local/bin/gate.sh
USER stepgate
ENV STEPGATE_CONFIG=/etc/stepgate/stepgate.yaml
# Configuration, keys and audit log: /etc/stepgate must be a volume, and be backed up.
VOLUME /etc/stepgate
EXPOSE 6432 6480
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["stepgate", "session", "ls"]
ENTRYPOINT ["gate.sh"]
CMD ["stepgate", "serve"]
