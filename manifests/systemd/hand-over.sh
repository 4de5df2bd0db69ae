#!/usr/bin/env bash
# Has a running service replaced by the installed version, without a gap: its agent starts the new one (SIGUSR2), which takes over.
# Does nothing where the service does not run. Exit code 1: the former version goes on, and a sentence says why.
set -euo pipefail
[ -d /run/systemd/system ] && systemctl is-active --quiet varvel || exit 0
fail() {
  echo "varvel: $* The former version goes on. With a gap of some seconds the new one starts by: systemctl restart varvel" >&2
  exit 1
}
pid() { systemctl show -p MainPID --value varvel; }

before=$(pid)
# The signal would end an agent of a version that does not know it. SIGUSR2 is bit 11 of the signals that a process catches.
caught=$(awk '$1 == "SigCgt:" {print $2}' "/proc/$before/status" 2>/dev/null || true)
(((16#${caught:-0} & 0x800) != 0)) || fail 'The agent that runs cannot start its successor.'
# Nor would systemd take another main process.
tr '\0' '\n' <"/proc/$before/environ" | grep -q '^NOTIFY_SOCKET=' || fail 'It was started by a unit without NotifyAccess=main.'
kill -USR2 "$before"
for _ in $(seq 120); do
  now=$(pid)
  if [ "$now" != "$before" ] && [ "$now" != 0 ] && [ ! -d "/proc/$before" ]; then
    echo 'varvel: the new version has taken over, without a gap.'
    exit 0
  fi
  sleep 1
done
fail 'The new version has not taken over within two minutes (journalctl -u varvel says why).'
