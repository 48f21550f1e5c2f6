# The server with terraform, as an ordinary user. Build arguments choose the versions:
#   docker build --build-arg TERRAFORM_VERSION=1.11.4 -t terraplane .
ARG TERRAFORM_VERSION=1.11.4

FROM hashicorp/terraform:${TERRAFORM_VERSION} AS terraform

FROM rust:1.95-trixie AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY templates templates
COPY tests/it/main.rs tests/it/main.rs
COPY benches benches
RUN cargo build --release --locked --bin terraplane

FROM debian:trixie-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates git openssh-client \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --create-home --home-dir /var/lib/terraplane terraplane
COPY --from=terraform /bin/terraform /usr/local/bin/terraform
COPY --from=build /src/target/release/terraplane /usr/local/bin/terraplane
USER terraplane
WORKDIR /var/lib/terraplane
VOLUME /var/lib/terraplane
EXPOSE 4141
# Exec form: SIGTERM reaches the server itself, which then drains.
ENTRYPOINT ["terraplane"]
CMD ["serve", "--config", "/etc/terraplane/server.yaml"]
