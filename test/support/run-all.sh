#!/usr/bin/env bash
# npm test: all set-up, then each layer that this machine can run, without the files of long-tests.mjs.
#   --all           every test of every layer (npm run test:all)
#   --require all   what this machine cannot run is a failure, as with CI=true; without it that is left out, and said
# Two lanes run side by side: most of the one is waiting, most of the other computing. A lane stops at its first layer that fails.
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
export VARVEL_TESTS=quick FUZZ_SECONDS=20
while [ $# -gt 0 ]; do
  case "$1" in
    --all) VARVEL_TESTS=all FUZZ_SECONDS=60 ;;
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
other=$work/other
export FAILED_TESTS_FILE=$work/failed COUNTED_TESTS_FILE=$work/counted
touch "$FAILED_TESTS_FILE" "$COUNTED_TESTS_FILE"
lane=
# When this is cut, so is the other lane; what it said is shown in any case. What failed comes last.
finish() {
  if [ -n "$lane" ]; then kill -- "-$lane" 2>/dev/null || true; fi
  [ ! -e "$other" ] || cat "$other"
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
first=()
second=()
small='unit property'
! can scale || small='unit property scale'
! can unit || first+=("$small")
! can kernel || first+=(kernel)
! can e2e/no-engine || first+=(e2e/no-engine)
! can fuzz || first+=(fuzz)
if can vm; then
  # One guest kernel is booted; `npm run test:vm` boots them all.
  first+=(vm/ci)
fi
! can integration || second+=(integration)
! can e2e || second+=('e2e !e2e/no-engine')
before=$(bash test/support/leftovers.sh)
failed=0
if [ "${#first[@]}" -gt 0 ] && [ "${#second[@]}" -gt 0 ]; then
  echo "Meanwhile, with their output at the end: ${first[*]}."
  # In a process group of its own, so that it can be ended with all that it has started. Only a hang takes an hour.
  setsid timeout 3600 bash test/support/run-all.sh lane "${first[@]}" >"$other" 2>&1 &
  lane=$!
  # Two engines at once would see each other's containers: integration and the rest of e2e come one after the other.
  layers "${second[@]}" || failed=1
  wait "$lane" || failed=1
  lane=
  cat "$other"
  rm -f "$other"
else
  layers "${first[@]}" "${second[@]}" || failed=1
fi
[ "$failed" = 0 ] || exit 1

left=$(comm -13 <(sort <<<"$before") <(bash test/support/leftovers.sh | sort))
if [ -n "$left" ]; then
  printf 'The tests left something behind:\n%s\n' "$left" >&2
  exit 1
fi
node test/support/summary.mjs "$table" "$COUNTED_TESTS_FILE"
