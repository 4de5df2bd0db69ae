#!/usr/bin/env bash
# npm test: all set-up, then each layer that this machine can run, without the files of long-tests.mjs.
#   --all           every test of every layer (npm run test:all)
#   --require all   what this machine cannot run is a failure, as with CI=true; without it that is left out, and said
# Three lanes run side by side: much of a test is waiting. A lane stops at its first layer that fails.
set -euo pipefail
cd "$(dirname "$0")/../.."

layers() {
  for layer in "$@"; do
    echo "== $layer"
    if [ "$layer" = fuzz ]; then
      node --import tsx test/fuzz/run.ts --seconds "$FUZZ_SECONDS" || return 1
    else
      # shellcheck disable=SC2086
      node test/support/run.mjs $layer || return 1
    fi
  done
}
if [ "${1:-}" = lane ]; then
  shift
  layers "$@"
  exit
fi

require=no
[ "${CI:-}" != true ] || require=yes
# Half of the runs of each property, unless all tests are wanted.
export VARVEL_TESTS=quick FUZZ_SECONDS=20 VARVEL_TEST_RUNS=${VARVEL_TEST_RUNS:-0.5}
while [ $# -gt 0 ]; do
  case "$1" in
    --all) VARVEL_TESTS=all FUZZ_SECONDS=60 VARVEL_TEST_RUNS=1 ;;
    --require)
      [ "${2:-}" = all ] || { echo 'npm test: --require takes "all"' >&2; exit 2; }
      require=yes
      shift
      ;;
    *)
      echo "npm test: there is no option \"$1\". Use: npm test -- [--all] [--require all]" >&2
      exit 2
      ;;
  esac
  shift
done

bash test/support/setup.sh vm --partial
work=$(mktemp -d /tmp/varvel-test-run-XXXX)
table=$work/table
export FAILED_TESTS_FILE=$work/failed COUNTED_TESTS_FILE=$work/counted
touch "$FAILED_TESTS_FILE" "$COUNTED_TESTS_FILE"
lanes=()
# When this is cut, so are the other lanes; what they said is shown in any case. What failed comes last.
finish() {
  for lane in "${lanes[@]}"; do kill -- "-$lane" 2>/dev/null || true; done
  for said in "$work"/lane-*; do [ ! -e "$said" ] || cat "$said"; done
  [ ! -s "$FAILED_TESTS_FILE" ] || { echo "== What failed, of all layers" && cat "$FAILED_TESTS_FILE"; } >&2
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

node test/support/machine.mjs --out "$table"
can() { grep -q -P "^runs\t$1\t" "$table"; }
left_out=$(grep -P '^out\t' "$table" || true)
if [ -n "$left_out" ] && [ "$require" = yes ]; then
  echo 'npm test: what this machine cannot run is a failure here, because of CI=true or --require all. See the table above.' >&2
  exit 1
fi
# Two engines at once would see each other's containers: what needs one is in one lane.
with_engine=() with_probe=() others=()
small='unit property'
! can scale || small='unit property scale'
! can integration/engine || with_engine+=(integration/engine)
! can e2e || with_engine+=('e2e !e2e/no-engine')
! can kernel || with_probe+=(kernel)
! can e2e/no-engine || with_probe+=(e2e/no-engine)
! can unit || others+=("$small")
! can fuzz || others+=(fuzz)
! can integration || others+=('integration !integration/engine')
# One guest kernel is booted; `npm run test:vm` boots them all.
! can vm || others+=(vm/ci)

# Runs the layers in a process group of its own, so that it can be ended with all that it has started. Only a hang takes an hour.
begin() {
  local said=$1
  shift
  [ $# -gt 0 ] || return 0
  local list
  list=$(printf ', %s' "$@")
  echo "Meanwhile, with their output at the end: ${list#, }."
  setsid timeout 3600 bash test/support/run-all.sh lane "$@" >"$said" 2>&1 &
  lanes+=($!)
}
before=$(bash test/support/leftovers.sh)
failed=0
if [ "${#with_engine[@]}" -gt 0 ]; then
  begin "$work/lane-1" "${with_probe[@]}"
  begin "$work/lane-2" "${others[@]}"
  layers "${with_engine[@]}" || failed=1
else
  begin "$work/lane-1" "${with_probe[@]}"
  layers "${others[@]}" || failed=1
fi
for lane in "${lanes[@]}"; do wait "$lane" || failed=1; done
lanes=()
for said in "$work"/lane-*; do [ ! -e "$said" ] || { cat "$said" && rm "$said"; }; done
[ "$failed" = 0 ] || exit 1

left=$(comm -13 <(sort <<<"$before") <(bash test/support/leftovers.sh | sort))
if [ -n "$left" ]; then
  printf 'The tests left something behind:\n%s\n' "$left" >&2
  exit 1
fi
node test/support/summary.mjs "$table" "$COUNTED_TESTS_FILE"
