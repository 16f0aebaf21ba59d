# Both bases are arguments, so that local ones can stand in where no registry is reachable: see deploy/README.md.
ARG BUILD_BASE=rust:1-slim-bookworm
ARG RUNTIME_BASE=debian:bookworm-slim

FROM ${BUILD_BASE} AS build
WORKDIR /src
COPY . .
RUN cargo build --locked --release --bin realtime && strip --strip-debug target/release/realtime

FROM ${RUNTIME_BASE}
# Numeric, so that a cluster which insists on non-root users can see that it is none.
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin realtime
COPY --from=build /src/target/release/realtime /usr/local/bin/realtime
USER 10001:10001
EXPOSE 3101
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=10s --retries=3 CMD ["/usr/local/bin/realtime", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/realtime"]
