# syntax=docker/dockerfile:1
# Two stages: a build with the dependencies in a layer of their own, and a small image that runs as an
# unprivileged user. The build needs no database: queries are checked against .sqlx.

FROM rust:1.95-slim-bookworm AS build
# aws-lc (JWTs, TLS) needs a C compiler.
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /build

# Dependencies only: this layer is rebuilt when Cargo.toml or Cargo.lock change.
COPY Cargo.toml Cargo.lock ./
COPY crates/local-postgres/Cargo.toml crates/local-postgres/
RUN mkdir src crates/local-postgres/src \
 && echo '//! placeholder' | tee src/lib.rs crates/local-postgres/src/lib.rs \
 && echo '//! placeholder\nfn main() {}' > src/main.rs \
 && cargo build --release --locked \
 && rm -rf src crates

COPY .cargo .cargo
COPY .sqlx .sqlx
COPY migrations migrations
COPY crates crates
COPY src src
COPY console/dist console/dist
# Cargo compares times: the sources must be newer than what was built from the placeholders.
RUN touch src/lib.rs src/main.rs crates/*/src/lib.rs && cargo build --release --locked

FROM debian:bookworm-slim
# ca-certificates: TLS to issuers of users' tokens and to a collector of traces.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin rally
COPY --from=build /build/target/release/rally-api-keys /usr/local/bin/rally-api-keys
USER 10001:10001
ENV LISTEN_ADDR=0.0.0.0:8080 LOG_FORMAT=json
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["rally-api-keys", "health"]
ENTRYPOINT ["rally-api-keys"]
