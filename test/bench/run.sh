#!/usr/bin/env bash
# npm run bench: builds what it needs and runs the benchmark; results as JSON below test/bench/results.
# npm run bench rules: the rules alone, without a kernel. npm run bench policies: 1,000 apps with policies of their own.
# npm run bench verdicts: which calls of ordinary work end in the kernel.
# npm run bench peer: varvel beside another engine (BENCH_PEER), with real containers and nginx.
# npm run bench enforce: what rules that deny add to calls that are allowed. npm run bench enforce guest: in a guest, in instructions.
# npm run bench events: what each kind of event costs. npm run bench neighbours: what a hostile container costs the one beside it.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ "$(cat /proc/sys/kernel/bpf_stats_enabled 2>/dev/null || echo 0)" != 0 ] && [ "${1:-}" != rules ] && [ "${1:-}" != policies ]; then
  echo "bench: the kernel measures every run of a BPF program, some 80 ns each. Turn that off first: sysctl -w kernel.bpf_stats_enabled=0" >&2
  exit 1
fi
case "${1:-}" in
  rules | policies) bash test/support/setup.sh ;;
  *) bash test/support/setup.sh test ;;
esac
if [ "${1:-}" = rules ]; then
  exec node --import tsx test/bench/rules.ts
fi
if [ "${1:-}" = policies ]; then
  exec node --expose-gc --import tsx test/bench/policies.ts
fi
if [ "${1:-}" = neighbours ]; then
  shift
  exec node --import tsx test/bench/neighbours.ts "$@"
fi
if [ "${1:-}" = enforce ] && [ "${2:-}" = guest ]; then
  exec node --import tsx test/bench/enforce-guest.ts
fi
if [ "${1:-}" = verdicts ] || [ "${1:-}" = peer ]; then
  exec node --import tsx "test/bench/$1.ts"
fi
work=$(mktemp -d /tmp/varvel-bench-XXXX)
trap 'rm -rf "$work"' EXIT
gcc -O2 -Wall -static -o "$work/syscalls" test/bench/syscalls.c
if [ "${1:-}" = enforce ]; then
  node --import tsx test/bench/enforce.ts "$work"
elif [ "${1:-}" = events ]; then
  shift
  node --import tsx test/bench/events.ts "$work" "$@"
else
  node --import tsx test/bench/bench.ts "$work" "$@"
fi
