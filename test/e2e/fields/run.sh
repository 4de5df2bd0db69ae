#!/usr/bin/env bash
# npm run compare:fields: sets up what it needs, compares, and writes the table for `varvel fields --status`.
set -euo pipefail
cd "$(dirname "$0")/../../.."
bash test/support/setup.sh test
exec node --import tsx test/e2e/fields/run.ts "$@"
