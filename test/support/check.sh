#!/usr/bin/env bash
# npm run check: what every commit has to pass. What only reads runs beside the tests, in two lanes: lint is as long as all the rest.
# Each part looks again only at files that have changed. In a fresh clone, as in CI, it looks at all of them.
set -uo pipefail
cd "$(dirname "$0")/../.."
said=$(mktemp -d)
trap 'rm -rf "$said"' EXIT
npm run -s check:lint > "$said/lint" 2>&1 &
lint=$!
{ npm run -s check:generated && npm run -s check:types && npm run -s check:format; } > "$said/rest" 2>&1 &
rest=$!
failed=()
# A fifth of the runs of each property, of the files whose text has changed since they passed: `npm run test:all` does all.
VARVEL_TESTS=changed VARVEL_TEST_RUNS=0.2 npm run -s test:unit || failed+=('unit or property tests')
wait "$lint" || failed+=(lint)
wait "$rest" || failed+=('generated files, types or format')
cat "$said/lint" "$said/rest"
[ "${#failed[@]}" = 0 ] && exit
printf 'check: failed, see above: %s\n' "${failed[@]}" >&2
exit 1
