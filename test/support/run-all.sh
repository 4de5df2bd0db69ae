#!/usr/bin/env bash
# npm test: all set-up, then every layer, in two lanes side by side: most of the one is waiting, most of the other computing.
# Stops a lane at its first layer that fails; checks that nothing is left behind.
set -euo pipefail
cd "$(dirname "$0")/../.."
layers() {
  for layer in "$@"; do
    echo "== $layer"
    if [ "$layer" = fuzz ]; then
      node --import tsx test/fuzz/run.ts --seconds 60 || return 1
    else
      # shellcheck disable=SC2086
      node test/support/run.mjs $layer || return 1
    fi
  done
}
if [ "${1:-}" = lane ]; then
  # shellcheck disable=SC2086
  layers 'unit property scale' kernel e2e/no-engine fuzz ${GUEST_LAYER:-}
  exit
fi

# One guest kernel is booted, where its packages can be installed.
GUEST_LAYER=vm/ci
bash test/support/setup.sh vm || {
  bash test/support/setup.sh test
  echo 'Skipped: the guest kernel (vm/ci). qemu and what else it needs cannot be installed here, see above.' >&2
  GUEST_LAYER=
}
export GUEST_LAYER
before=$(bash test/support/leftovers.sh)
other=$(mktemp /tmp/varvel-lane-XXXX)
FAILED_TESTS_FILE=$(mktemp /tmp/varvel-failures-XXXX)
export FAILED_TESTS_FILE
lane=
# When this is cut, so is the other lane; what it said is shown in any case. What failed comes last.
finish() {
  if [ -n "$lane" ]; then kill -- "-$lane" 2>/dev/null || true; fi
  [ ! -e "$other" ] || cat "$other"
  [ ! -s "$FAILED_TESTS_FILE" ] || { echo "== What failed, of all layers" && cat "$FAILED_TESTS_FILE"; } >&2
  rm -f "$other" "$FAILED_TESTS_FILE"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
echo "Meanwhile, with their output at the end: unit, property, scale, kernel, fuzz, the part of e2e that needs no container engine, and a guest kernel."
# In a process group of its own, so that it can be ended with all that it has started. Only a hang takes an hour.
setsid timeout 3600 bash test/support/run-all.sh lane >"$other" 2>&1 &
lane=$!
failed=0
# Two engines at once would see each other's containers: integration and the rest of e2e come one after the other.
layers integration 'e2e !e2e/no-engine' || failed=1
wait "$lane" || failed=1
lane=
cat "$other"
rm -f "$other"
[ "$failed" = 0 ] || exit 1

left=$(comm -13 <(sort <<<"$before") <(bash test/support/leftovers.sh | grep -v -x -F "$FAILED_TESTS_FILE" | sort))
if [ -n "$left" ]; then
  printf 'The tests left something behind:\n%s\n' "$left" >&2
  exit 1
fi
echo "All layers passed, and nothing is left behind."
