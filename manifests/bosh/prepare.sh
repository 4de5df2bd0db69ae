#!/usr/bin/env bash
# Makes a folder for `bosh create-release` from a build of this repository:
#   prepare.sh OUT                  then: bosh create-release --dir OUT --force --tarball varvel.tgz
#   prepare.sh OUT BUNDLE           takes this folder, which manifests/bundle.sh has made
#   NODE_DIR=DIR prepare.sh OUT     uses the Node unpacked in DIR, which may need a newer C library than the default
# The same sources give the same bytes. OUT must not exist.
set -euo pipefail
[ $# = 1 ] || [ $# = 2 ] || { echo 'prepare: Use: manifests/bosh/prepare.sh OUT [BUNDLE]' >&2; exit 1; }
[ ! -e "$1" ] || { echo "prepare: $1 is there already: remove it, or name another folder." >&2; exit 1; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1/blobs/node" "$1/blobs/varvel"
out=$(cd "$1" && pwd)
cp -R "$here/config" "$here/jobs" "$here/packages" "$out/"
cp "$here/../../LICENSE" "$out/"
mkdir "$out/src"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bundle=${2:-$work/bundle}
[ $# = 2 ] || "$here/../bundle.sh" "$bundle"
echo '---' >"$out/config/blobs.yml"
for package in node varvel; do
  blob=$package/$package.tar.gz
  tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$bundle/$package" -cf - . | gzip -n >"$out/blobs/$blob"
  printf '%s:\n  size: %s\n  sha: sha256:%s\n' "$blob" "$(stat -c %s "$out/blobs/$blob")" \
    "$(sha256sum "$out/blobs/$blob" | cut -d' ' -f1)" >>"$out/config/blobs.yml"
done
echo "prepare: $out needs glibc $(cat "$bundle/varvel/GLIBC") or newer on the stemcell (jammy has 2.35, noble 2.39)"
