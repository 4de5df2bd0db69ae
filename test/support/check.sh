#!/usr/bin/env bash
# npm run check: what every commit has to pass, in under a minute on two cores: what only reads runs beside the tests.
# ESLint looks again at files that have changed; in a fresh clone, as in CI, at all: half a minute more.
set -uo pipefail
cd "$(dirname "$0")/../.."
npm run -s check:generated || exit 1
log=$(mktemp)
trap 'rm -f "$log"' EXIT
(
  npm run -s check:types && npm run -s check:lint && npm run -s check:format
) > "$log" 2>&1 &
reading=$!
# A fifth of the runs of each property: `npm test` does all.
VARVEL_TEST_RUNS=0.2 npm run -s test:unit
tests=$?
wait "$reading"
static=$?
cat "$log"
[ "$static" = 0 ] || echo "check: types, lint or format failed: see above" >&2
[ "$tests" = 0 ] || echo "check: unit or property tests failed: see above" >&2
[ "$static" = 0 ] && [ "$tests" = 0 ]
