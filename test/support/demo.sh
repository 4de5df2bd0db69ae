#!/usr/bin/env bash
# npm run demo [-- --docker]: all set-up, then the demo.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ "${1:-}" = "--docker" ]; then
  bash test/support/setup.sh demo --docker
  exec node --import tsx test/support/demo-docker.ts
fi
bash test/support/setup.sh demo --partial
exec node dist/main.js demo
