#!/usr/bin/env bash
# Removes everything that install.sh and the service created; needs root.
#   uninstall.sh           everything, including the configuration, logs and lines that wait for a receiver
#   uninstall.sh --keep    leaves /etc/varvel, /var/lib/varvel and /var/log/varvel
set -euo pipefail
case ${1:-} in
  '') keep=no ;;
  --keep) keep=yes ;;
  *)
    echo 'uninstall: Use: uninstall.sh [--keep]' >&2
    exit 1
    ;;
esac
[ "$(id -u)" = 0 ] || { echo 'uninstall: Run it as root.' >&2; exit 1; }
command -v systemctl >/dev/null || { echo 'uninstall: This host has no systemd: install.sh has installed nothing here.' >&2; exit 1; }
# Where an image is made, systemd is there and does not run.
running=no
[ ! -d /run/systemd/system ] || running=yes
systemctl disable varvel.service 2>/dev/null || true
[ "$running" = no ] || systemctl stop varvel.service 2>/dev/null || true
# What still denies in the kernel after the agent's end (probe.deny_without_agent) would go on.
[ "$running" = no ] || [ ! -x /usr/local/bin/varvel ] || /usr/local/bin/varvel lift || true
rmdir /sys/fs/bpf/varvel 2>/dev/null || true
rm -rf /etc/systemd/system/varvel.service /etc/systemd/system/varvel.service.d /run/varvel /usr/local/bin/varvel
rm -f /usr/local/share/man/man1/varvel.1
if [ "$running" = yes ]; then
  systemctl daemon-reload
  systemctl reset-failed varvel.service 2>/dev/null || true
fi
[ "$keep" = yes ] || rm -rf /etc/varvel /var/lib/varvel /var/log/varvel
rm -rf /opt/varvel /opt/varvel.new /opt/varvel.old
echo 'uninstall: varvel is gone.'
