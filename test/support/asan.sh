#!/usr/bin/env bash
# npm run test:asan: the addon built with AddressSanitizer and UBSan, put through everything it can do. Leaks are not
# looked for here: Node itself leaks by design, and its frames are below every one of ours. test/kernel/loader-end.test.ts
# counts descriptors and memory over many loads instead.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
work=$(mktemp -d /tmp/varvel-asan-XXXX)
trap 'rm -rf "$work"' EXIT
cp -r native "$work/native"
rm -rf "$work/native/build" "$work/native/node_modules"
echo "building the addon with sanitizers"
(cd "$work/native" && PATH="$root/node_modules/.bin:$PATH" npm run -s build:asan)
bytes=$(node --import tsx --input-type=module -e \
  'import { TABLE } from "./src/plan/verdicts/layout.ts"; console.log(TABLE.bytes);')
preload=$(gcc -print-file-name=libasan.so):$(gcc -print-file-name=libubsan.so)
LD_PRELOAD=$preload ASAN_OPTIONS=detect_leaks=0:halt_on_error=1:abort_on_error=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
  node test/support/asan-exercise.cjs "$work/native" "$bytes"
