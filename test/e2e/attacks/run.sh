#!/usr/bin/env bash
# npm run attacks: sets up what it needs, then runs the attacks and the ordinary apps.
set -euo pipefail
cd "$(dirname "$0")/../../.."
bash test/support/setup.sh test
exec node --import tsx test/e2e/attacks/run.ts "$@"
