# The gateway for AWS alone, without the embedded endpoint: docker build .
# With it, for demos and tests: docker build --build-arg FEATURES=emulator .
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
ARG FEATURES=""
RUN cargo build --release --locked --no-default-features --features "$FEATURES"

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --system --create-home --uid 10001 athena-flight
COPY --from=build /src/target/release/athena-flight /usr/local/bin/athena-flight
USER athena-flight
# The server listens on loopback only until it has sign-in and TLS: share its network, as a sidecar does.
EXPOSE 31337
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/31337"]
ENTRYPOINT ["athena-flight"]
CMD ["serve"]
