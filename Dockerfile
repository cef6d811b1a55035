# syntax=docker/dockerfile:1
# The operator as a static binary in an image without shell or package manager.
#
#   docker build --tag supabase-operator:0.1.0 --build-arg REVISION="$(git rev-parse HEAD)" \
#     --build-arg CREATED="$(git log -1 --format=%cI)" .
#
# Without Docker: make image.

ARG RUST=1.95

FROM rust:${RUST}-slim-bookworm AS build
SHELL ["/bin/bash", "-o", "errexit", "-o", "pipefail", "-c"]
WORKDIR /src
COPY . .
# With --target the flag reaches the program only, not build scripts and procedural macros, which must stay dynamic.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    target="$(rustc --print host-tuple)"; \
    RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --target "${target}" --bin supabase-operator; \
    install -D "target/${target}/release/supabase-operator" /out/supabase-operator; \
    if readelf --dynamic /out/supabase-operator | grep NEEDED; then echo "not a static binary" >&2; exit 1; fi; \
    /out/supabase-operator crds >/dev/null

# Holds CA certificates, time zones, /etc/passwd and an empty /tmp; for a release, pin it by digest.
FROM gcr.io/distroless/static-debian12:nonroot
# From here on `make image` reads this file too, and makes an image that says the same of itself.
ARG VERSION=0.1.0
ARG REVISION=
ARG CREATED=
COPY --from=build /out/supabase-operator /supabase-operator
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
# Not the home of a user that OpenShift replaces by one of its own, who may not enter it.
WORKDIR /
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/supabase-operator"]
LABEL org.opencontainers.image.title="supabase-operator" \
      org.opencontainers.image.description="Kubernetes operator for hosted Supabase projects" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.url="https://supabase-operator.dev" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
