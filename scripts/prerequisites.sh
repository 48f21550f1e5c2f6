#!/bin/sh
# Installs from Debian what the tests need and the machine lacks: PostgreSQL, git, npm (it carries an OpenTofu), runc to see
# the sandbox in containers, and docker-compose to read docker-compose.yml with (no engine is needed for that).
set -eu

missing=
command -v git >/dev/null || missing="$missing git"
command -v npm >/dev/null || missing="$missing npm"
if ! command -v initdb >/dev/null && ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
    missing="$missing postgresql"
fi
if ! docker compose version >/dev/null 2>&1 && ! command -v docker-compose >/dev/null; then
    missing="$missing docker-compose"
fi
command -v runc >/dev/null || [ -x /usr/sbin/runc ] || missing="$missing runc"
[ -n "$missing" ] || exit 0

as_root=
[ "$(id -u)" = 0 ] || as_root=sudo
$as_root apt-get update -q
# shellcheck disable=SC2086  # a list of packages
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
