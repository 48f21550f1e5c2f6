#!/bin/sh
# Fetches the forges' published API descriptions from the package registries and prints the directory that holds them:
# github.json (OpenAPI, from the npm package @octokit/openapi) and gitea.json (Swagger, from the crate forgejo-api).
#
#   scripts/install-descriptions.sh [DIRECTORY]
#
# The directory is target/descriptions by default. Does nothing if the right versions are there.
set -eu

github=23.0.2
forgejo=0.12.0
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "${1:-$root/target/descriptions}"
directory=$(cd "${1:-$root/target/descriptions}" && pwd)

if [ "$(cat "$directory/github.version" 2>/dev/null)" != "$github" ]; then
    command -v npm >/dev/null || { echo "install-descriptions.sh: npm is needed" >&2; exit 1; }
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    (cd "$scratch" && npm pack --silent "@octokit/openapi@$github" >&2 && tar xzf ./*.tgz package/generated/api.github.com.json)
    mv "$scratch/package/generated/api.github.com.json" "$directory/github.json"
    echo "$github" > "$directory/github.version"
fi

if [ "$(cat "$directory/gitea.version" 2>/dev/null)" != "$forgejo" ]; then
    # A package that depends on the crate, so that cargo fetches it; nothing of it is built.
    mkdir -p "$directory/crate/src"
    : > "$directory/crate/src/lib.rs"
    printf '[package]\nname = "descriptions"\nversion = "0.0.0"\nedition = "2021"\n[dependencies]\nforgejo-api = "=%s"\n[workspace]\n' \
        "$forgejo" > "$directory/crate/Cargo.toml"
    cargo vendor --quiet --manifest-path "$directory/crate/Cargo.toml" "$directory/crate/vendor" >/dev/null
    cp "$directory/crate/vendor/forgejo-api/swagger.v1.json" "$directory/gitea.json"
    rm -rf "$directory/crate"
    echo "$forgejo" > "$directory/gitea.version"
fi

echo "$directory"
