#!/usr/bin/env bash
# Makes a folder that runs on a host without Node, npm, a compiler or a network:
#   bundle.sh OUT          OUT/node (nodejs.org's Node, from the npm registry) and OUT/varvel (dist, the probe and its loader, the rules)
#   NODE_DIR=DIR …         uses DIR/bin/node instead; a distribution's Node may need a newer C library
# Builds missing parts first. The same sources give the same bytes. OUT must not exist.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
  echo "bundle: $*" >&2
  exit 1
}
[ $# = 1 ] || fail 'Use: manifests/bundle.sh OUT'
[ ! -e "$1" ] || fail "$1 is there already: remove it, or name another folder."
[ -d node_modules ] || fail 'The npm packages are missing: npm run setup'
built=native/build/Release/ebpf_loader.node
for source in native/probe/*.bpf.c; do built="$built native/build/$(basename "$source" .c).o"; done
for file in $built; do [ -e "$file" ] || { npm run --silent build:native; break; }; done
[ -d dist/parts ] || npm run --silent build
[ -n "${NODE_DIR:-}" ] || NODE_DIR=$(node manifests/official-node.mjs) || fail 'Node could not be fetched. Name an unpacked one: NODE_DIR=DIR'
node=$NODE_DIR/bin/node
[ -x "$node" ] || fail "$node is not a program: NODE_DIR must be a folder with bin/node."

mkdir -p "$1/node/bin" "$1/varvel/bin" "$1/varvel/lib" "$1/varvel/manifests"
out=$(cd "$1" && pwd)
app=$out/varvel
install -m 755 "$(readlink -f "$node")" "$out/node/bin/node"

cp package.json LICENSE "$app/"
mkdir "$app/dist"
cp -R dist/main.js dist/parts "$app/dist/"
find "$app/dist" -name '*.map' -delete
cp -R manifests/rules "$app/manifests/rules"
cp -R manifests/man "$app/manifests/man"
# What Prometheus and Grafana are given; the README beside them is for who has the sources.
mkdir "$app/manifests/dashboards"
cp manifests/dashboards/*.yaml manifests/dashboards/*.json "$app/manifests/dashboards/"

# The npm packages are bundled into dist; the addon's workspace becomes a plain folder of the files that it ships.
loader=$app/node_modules/ebpf-loader-napi
mkdir -p "$loader/build/Release"
cp native/package.json native/*.cjs "$loader/"
cp native/build/*.bpf.o "$loader/build/"
strip --strip-unneeded -o "$loader/build/Release/ebpf_loader.node" native/build/Release/ebpf_loader.node

# Shared libraries that a host may lack: all that the addon and Node are linked with, except the C library itself. GCC's own
# libraries are used only on hosts without any, if they need a newer C library than the rest.
: >"$app/lib/PACKAGES"
needs() { node manifests/older-libc.mjs needs "$@"; }
# put FOLDER LIBRARY: copies it; a line in lib/PACKAGES says which Debian package it is of.
put() {
  local file package
  file=$(readlink -f "$2")
  mkdir -p "$app/$1"
  install -m 644 "$file" "$app/$1/${2##*/}"
  # Before /lib was a link to /usr/lib, packages had their files in the one.
  package=$(dpkg-query -S "$file" 2>/dev/null || dpkg-query -S "${file#/usr}" 2>/dev/null) || return 0
  package=${package%%:*}
  dpkg-query -W -f "$1/${2##*/}\t\${Package}\t\${Version}\n" "$package:amd64" >>"$app/lib/PACKAGES"
}
is_newer() { [ "$1" != "$2" ] && [ "$(printf '%s\n' "$1" "$2" | sort -V | tail -n 1)" = "$1" ]; }
ldd "$loader/build/Release/ebpf_loader.node" "$out/node/bin/node" |
  awk '$2 == "=>" && $3 ~ /^\// {print $3}' | sort -u |
  while read -r library; do
    case ${library##*/} in
      libc.so.* | libm.so.* | libpthread.so.* | libdl.so.* | librt.so.* | ld-linux*) continue ;;
      libstdc++.so.* | libgcc_s.so.*) ;;
      *) put lib "$library" ;;
    esac
  done
node manifests/older-libc.mjs relax "$app"/lib/*.so*
glibc=$(needs "$out/node/bin/node" "$loader/build/Release/ebpf_loader.node" "$app"/lib/*.so*)
for library in $(ldd "$out/node/bin/node" | awk '$3 ~ /\/lib(stdc\+\+|gcc_s)\.so/ {print $3}'); do
  if is_newer "$(needs "$library")" "$glibc"; then put lib/if-missing "$library"; else put lib "$library"; fi
done

# The oldest C library that everything here runs with.
echo "$glibc" >"$app/GLIBC"

# The licenses of all that is not varvel's own; Debian's refer to texts that a host may not have.
line=$(printf '%080d' 0 | tr 0 -)
heading() { printf '\n%s\n\n%s\n\n' "$line" "$1"; }
licenses=$app/LICENSES.txt
cp dist/LICENSES.txt "$licenses"
if [ -e "$NODE_DIR/LICENSE" ]; then
  heading "node $("$node" --version | tr -d v)" >>"$licenses"
  cat "$NODE_DIR/LICENSE" >>"$licenses"
fi
debian=$(mktemp)
trap 'rm -f "$debian"' EXIT
cut -f2,3 "$app/lib/PACKAGES" | sort -u | while read -r package version; do
  [ ! -e "/usr/share/doc/$package/copyright" ] || { heading "$package $version (Debian)" && cat "/usr/share/doc/$package/copyright"; } >>"$debian"
done
{ grep -oh '/usr/share/common-licenses/[A-Za-z0-9.-]*[A-Za-z0-9]' "$debian" || true; } | xargs -r readlink -f | sort -u | while read -r text; do
  heading "$text" && cat "$text"
done >>"$debian"
cat "$debian" >>"$licenses"

cat >"$app/bin/varvel" <<'WRAPPER'
#!/bin/sh
# Runs varvel with the Node and the libraries that came with it. Call it by this path (links are not followed).
here=${0%/*}
[ "$here" != "$0" ] || here=.
app=$(cd "$here/.." && pwd) || exit 1
# What an agent starts as its successor (SIGUSR2).
export VARVEL_PROGRAM="$app/bin/varvel"
export LD_LIBRARY_PATH="$app/lib"
if [ -d "$app/lib/if-missing" ]; then
  case $(/sbin/ldconfig -p 2>/dev/null) in
    *libstdc++.so.6*) ;;
    *) LD_LIBRARY_PATH="$app/lib:$app/lib/if-missing" ;;
  esac
fi
# With as much room for short-lived objects as V8 takes by itself, the agent has 130 MB under load instead of 103, and takes no less CPU.
exec "${app%/*}/node/bin/node" --max-semi-space-size=2 "$app/dist/main.js" "$@"
WRAPPER
chmod 755 "$app/bin/varvel"
chmod 644 "$loader/build/Release/ebpf_loader.node"
chmod -R u=rwX,go=rX "$out"
