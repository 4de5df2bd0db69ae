#!/usr/bin/env bash
# npm test: all set-up, then every layer in order. Stops at the first layer that fails; checks that nothing is left behind.
set -euo pipefail
cd "$(dirname "$0")/../.."
bash test/support/setup.sh test
before=$(bash test/support/leftovers.sh)
for layer in "unit property" kernel integration e2e; do
  [ -n "$(find $(for l in $layer; do echo "test/$l"; done) -name '*.test.ts' -print -quit)" ] || continue
  echo "== $layer"
  # shellcheck disable=SC2086
  node test/support/run.mjs $layer
done
echo "== fuzz"
node --import tsx test/fuzz/run.ts --seconds 60
after=$(bash test/support/leftovers.sh)
if [ "$before" != "$after" ]; then
  echo "The tests left something behind (< before, > after):" >&2
  diff <(echo "$before") <(echo "$after") >&2 || true
  exit 1
fi
echo "All layers passed, and nothing is left behind."
