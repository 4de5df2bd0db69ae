#!/usr/bin/env bash
# Builds the probe object and the addon. Run it through npm (npm run build:native): npm tells node-gyp where Node's headers are.
set -euo pipefail
cd "$(dirname "$0")"
CLANG=$(command -v clang-19 || command -v clang || true)
STRIP=$(command -v llvm-strip-19 || command -v llvm-strip || true)
if [ -z "$CLANG" ] || [ ! -e /usr/include/bpf/libbpf.h ]; then
  echo "The native build needs clang (with the BPF target) and libbpf-dev. Install them with: npm run setup" >&2
  exit 1
fi
[ "${VARVEL_ASAN:-0}" = 1 ] || node schema/generate.mjs
mkdir -p build
for source in probe/*.bpf.c; do
  object=$(basename "$source" .bpf.c)
  # The same bytes in whatever folder it is built: BTF names the source files.
  "$CLANG" -g -O2 -Wall -Werror -mcpu=v3 -target bpf -D__TARGET_ARCH_x86 -Iprobe -I/usr/include/x86_64-linux-gnu \
    "-ffile-prefix-map=$PWD=." \
    -c "$source" -o "build/$object.bpf.o"
  # DWARF goes, BTF stays
  [ -z "$STRIP" ] || "$STRIP" -g "build/$object.bpf.o"
done
node-gyp configure build --silent --directory . > build/node-gyp.log 2>&1 || { cat build/node-gyp.log >&2; exit 1; }
ls -l build/*.bpf.o build/Release/ebpf_loader.node | awk '{print $5, $9}'
