# For people with a container engine: docker build -t zitadel-secret-operator .
# `make image` makes the released image, without an engine. This one differs in its authorities, which are Debian's.
FROM rust:1.95.0-bookworm AS build
WORKDIR /work
RUN cargo install --locked --version 0.7.7 cargo-auditable
COPY . .
# Static, so that nothing else has to be in the image, and with the system call for random numbers, so that no device is needed.
# The host's triple is named so that build scripts are not linked like this.
ENV RUSTFLAGS='-C target-feature=+crt-static --cfg getrandom_backend="linux_getrandom"'
RUN host="$(rustc -vV | sed -n 's/^host: //p')" \
 && cargo auditable build --locked --release --bin zitadel-secret-operator --target "$host" \
 && cp "target/$host/release/zitadel-secret-operator" /zitadel-secret-operator

FROM scratch
LABEL org.opencontainers.image.title="zitadel-secret-operator" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build --chmod=0444 /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build --chmod=0555 /zitadel-secret-operator /zitadel-secret-operator
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/zitadel-secret-operator"]
CMD ["run"]
