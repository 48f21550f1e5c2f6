#!/bin/sh
# Installs from Debian what the tests need and the machine lacks: PostgreSQL, git, npm (it carries an OpenTofu),
# docker-compose to read docker-compose.yml with (no engine is needed for that), runc to see the sandbox in containers, Chromium
# to see what a browser makes of comments, and what attacks on it are written in: python3 (in /usr, which is what a cage sees), curl, ps, and the tools of util-linux.
set -eu

missing=
command -v git >/dev/null || missing="$missing git"
command -v npm >/dev/null || missing="$missing npm"
command -v curl >/dev/null || missing="$missing curl"
command -v ps >/dev/null || missing="$missing procps"
command -v setpriv >/dev/null || missing="$missing util-linux"
[ -x /usr/bin/python3 ] || missing="$missing python3"
if ! command -v initdb >/dev/null && ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
    missing="$missing postgresql"
fi
if ! docker compose version >/dev/null 2>&1 && ! command -v docker-compose >/dev/null; then
    missing="$missing docker-compose"
fi
command -v chromium >/dev/null || missing="$missing chromium"
command -v runc >/dev/null || [ -x /usr/sbin/runc ] || missing="$missing runc"
[ -n "$missing" ] || exit 0

as_root=
[ "$(id -u)" = 0 ] || as_root=sudo
$as_root apt-get update -q
# shellcheck disable=SC2086  # a list of packages
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
