#!/usr/bin/env bash
# Installs varvel on this host as a service, or upgrades it; needs root and systemd.
#   install.sh BUNDLE      BUNDLE: a folder made by manifests/bundle.sh, here or on another machine
# Creates /opt/varvel, /usr/local/bin/varvel, its manual page, /etc/systemd/system/varvel.service, and /etc/varvel/varvel.yaml if there is none.
# uninstall.sh removes all of it. A service that runs is replaced without a gap. One that does not is not started: systemctl enable --now varvel
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
fail() {
  echo "install: $*" >&2
  exit 1
}
[ $# = 1 ] || fail 'Use: manifests/systemd/install.sh BUNDLE (manifests/bundle.sh makes one)'
[ -x "$1/node/bin/node" ] && [ -x "$1/varvel/bin/varvel" ] || fail "$1 is no bundle: manifests/bundle.sh makes one."
[ "$(id -u)" = 0 ] || fail 'Run it as root.'
[ ! -e /usr/lib/varvel/varvel ] ||
  fail 'varvel is installed here by its Debian package: upgrade that, or remove it first (apt-get remove varvel).'
command -v systemctl >/dev/null ||
  fail "This host has no systemd, so nothing was installed. Run $1/varvel/bin/varvel agent by what starts services here."
"$1/varvel/bin/varvel" --version >/dev/null ||
  fail "What is in $1 does not run here: it was built for glibc $(cat "$1/varvel/GLIBC") or newer."

# Installs beside the old version, then swaps: a service that starts meanwhile finds a complete one.
rm -rf /opt/varvel.new /opt/varvel.old
mkdir -p /opt
cp -R "$1" /opt/varvel.new
mkdir -p /opt/varvel.new/systemd
cp "$here/uninstall.sh" "$here/hand-over.sh" "$here/enforce.conf" /opt/varvel.new/systemd/
[ ! -e /opt/varvel ] || mv /opt/varvel /opt/varvel.old
mv /opt/varvel.new /opt/varvel
rm -rf /opt/varvel.old

mkdir -p /usr/local/bin
printf '#!/bin/sh\nexec /opt/varvel/varvel/bin/varvel "$@"\n' >/usr/local/bin/varvel
chmod 755 /usr/local/bin/varvel
install -D -m 644 /opt/varvel/varvel/manifests/man/varvel.1 /usr/local/share/man/man1/varvel.1
install -D -m 644 "$here/varvel.service" /etc/systemd/system/varvel.service
[ -e /etc/varvel/varvel.yaml ] || install -D -m 640 "$here/varvel.yaml" /etc/varvel/varvel.yaml
# Where an image is made, systemd is there and does not run.
[ ! -d /run/systemd/system ] || systemctl daemon-reload
echo "install: varvel $(/usr/local/bin/varvel --version) is in /opt/varvel. Check this host: varvel doctor. Start: systemctl enable --now varvel"
/opt/varvel/systemd/hand-over.sh
