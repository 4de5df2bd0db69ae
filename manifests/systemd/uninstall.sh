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
systemctl disable --now varvel.service 2>/dev/null || true
rm -rf /etc/systemd/system/varvel.service /etc/systemd/system/varvel.service.d /run/varvel /usr/local/bin/varvel
rm -f /usr/local/share/man/man1/varvel.1
systemctl daemon-reload
systemctl reset-failed varvel.service 2>/dev/null || true
[ "$keep" = yes ] || rm -rf /etc/varvel /var/lib/varvel /var/log/varvel
rm -rf /opt/varvel /opt/varvel.new /opt/varvel.old
echo 'uninstall: varvel is gone.'
