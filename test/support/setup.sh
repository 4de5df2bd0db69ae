#!/usr/bin/env bash
# What building, the tests and the demo need, and the build; what is there already is left alone.
#   setup.sh                  to build, and to make what is shipped: a compiler, libbpf, npm's packages
#   setup.sh test             for all tests but those in guest kernels: Docker, rsyslog, Prometheus and so on too
#   setup.sh vm               for those in guest kernels too
#   setup.sh browser          for all tests, and those that look at pages in Chromium (400 MB; skipped without it)
#   setup.sh demo             for the demo in a cgroup: as for building
#   setup.sh demo --docker    for the demo in a container
# Without root or Debian's packages it does what needs neither, names the packages, and fails at its end. With --partial as the last
# word it does not fail: `npm test` and the demo say themselves what they cannot do then.
set -euo pipefail
cd "$(dirname "$0")/../.."

NODE_MIN=20.19.0
POLICY=/usr/sbin/policy-rc.d
POLICY_SAVED=/usr/sbin/policy-rc.d.varvel-saved

say() { echo "setup: $*"; }
fail() {
  echo "setup: $*" >&2
  exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

partial=no
if [ "${!#}" = --partial ] && [ $# -gt 0 ]; then
  partial=yes
  set -- "${@:1:$#-1}"
fi
incomplete=
# Says what cannot be done here; the rest goes on.
leave_out() {
  echo "setup: $*" >&2
  incomplete=yes
}
docker=no
guests=no
browser=no
receivers=no
case "${1:-}" in
  '') ;;
  test | vm | browser)
    docker=yes
    receivers=yes
    [ "$1" != vm ] || guests=yes
    [ "$1" != browser ] || browser=yes
    ;;
  demo) [ "${2:-}" != --docker ] || docker=yes ;;
  *) fail "There is no set-up \"$1\". Use: setup.sh, setup.sh test, setup.sh vm, setup.sh browser, setup.sh demo, setup.sh demo --docker" ;;
esac

check_host() {
  [ "$(uname -s)" = Linux ] || fail "This is $(uname -s). varvel watches Linux hosts; use one, or a virtual machine."
  [ "$(uname -m)" = x86_64 ] || fail "This is $(uname -m). varvel is built and tested on x86-64 only."
  has node || fail "Node is missing. Install Node $NODE_MIN or newer, with npm."
  node -e '
    const [want, have] = [process.argv[1], process.versions.node].map((v) => v.split(".").map(Number));
    const at = want.findIndex((part, i) => part !== have[i]);
    process.exit(at < 0 || have[at] > want[at] ? 0 : 1);
  ' "$NODE_MIN" || fail "Node $(node --version) is too old. Install Node $NODE_MIN or newer."
  has npm || fail "npm is missing. Install it: apt-get install npm, or with Node from nodejs.org."
}

is_static() {
  # An interpreter is what a dynamic program has.
  [ -x "$1" ] && ! { ldd "$1" 2>/dev/null | grep -q '=>'; }
}

# The packages that provide what is missing, one a line. Looks for the thing, not for the package: it may have come in another way.
missing_packages() {
  has clang-19 || has clang || echo clang-19
  has llvm-strip-19 || has llvm-strip || echo llvm-19
  [ -e /usr/include/bpf/libbpf.h ] || echo libbpf-dev
  [ -e /usr/include/libelf.h ] || echo libelf-dev
  [ -e /usr/include/zlib.h ] || echo zlib1g-dev
  has g++ || echo g++
  has make || echo make
  has python3 || echo python3
  if [ "$docker" = yes ]; then
    has dockerd || echo docker.io
    has docker || echo docker-cli
    is_static /bin/busybox || echo busybox-static
    has ip || echo iproute2
  fi
  if [ "$receivers" = yes ]; then
    has openssl || echo openssl
    has unzip || echo unzip
    has mmdebstrap || echo mmdebstrap
    has containerd || echo containerd
    has runc || echo runc
    has go || echo golang-go
    [ -d /usr/share/gocode/src/github.com/Masterminds/sprig ] || echo golang-github-masterminds-sprig-dev
    [ -d /usr/share/gocode/src/sigs.k8s.io/yaml ] || echo golang-k8s-sigs-yaml-dev
    /usr/bin/python3 -c 'import ensurepip' 2>/dev/null || echo python3-venv
    has zsh || echo zsh
    has fish || echo fish
    has rsyslogd || echo rsyslog
    has groff || echo groff-base
    [ -e /usr/include/opentelemetry/proto/collector/logs/v1/logs_service.proto ] || echo opentelemetry-proto
    has curl || echo curl
    has promtool || echo prometheus
    { has prometheus-alertmanager && has amtool; } || echo prometheus-alertmanager
    compgen -G '/usr/lib/*/rsyslog/lmnsd_ossl.so' >/dev/null || echo rsyslog-openssl
    has ruby || echo ruby
    has systemd-analyze || echo systemd
    { has prometheus && has promtool; } || echo prometheus
  fi
  if [ "$guests" = yes ]; then
    has qemu-system-x86_64 || echo qemu-system-x86
    has xz || echo xz-utils
  fi
  if [ "$browser" = yes ]; then
    has chromium || echo chromium
  fi
}

# Installing docker.io or containerd must not start a daemon on this host: invoke-rc.d asks policy-rc.d, and 101 forbids.
forbid_daemons() {
  [ ! -e "$POLICY_SAVED" ] || mv "$POLICY_SAVED" "$POLICY" # an earlier run was killed
  if [ -x "$POLICY" ]; then
    local answer=0
    "$POLICY" docker start >/dev/null 2>&1 || answer=$?
    [ "$answer" != 101 ] || return 0
    mv "$POLICY" "$POLICY_SAVED"
  fi
  trap allow_daemons EXIT
  printf '#!/bin/sh\nexit 101\n' >"$POLICY"
  chmod 755 "$POLICY"
}

allow_daemons() {
  rm -f "$POLICY"
  [ ! -e "$POLICY_SAVED" ] || mv "$POLICY_SAVED" "$POLICY"
  trap - EXIT
}

# Runs a command whose output is worth seeing only if it fails.
quietly() {
  local what=$1 log
  shift
  log=$(mktemp)
  if ! "$@" >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    rm -f "$log"
    fail "$what failed; its last lines are above."
  fi
  rm -f "$log"
}

install_packages() {
  local packages
  packages=$(missing_packages)
  [ -n "$packages" ] || return 0
  # shellcheck disable=SC2086
  set -- $packages
  if ! has apt-get; then
    leave_out "This is not Debian (no apt-get), so these are left out. Install what these Debian packages have: $*"
    return 0
  fi
  if [ "$(id -u)" != 0 ]; then
    leave_out "You are not root, so these Debian packages are left out. As root: apt-get install $*"
    return 0
  fi
  if [[ " $* " == *" busybox-static "* ]] && dpkg-query -W -f '${Status}' busybox 2>/dev/null | grep -q ' installed$'; then
    fail "The package busybox would be replaced by busybox-static, which the tests need. If that is fine: apt-get install busybox-static"
  fi
  export DEBIAN_FRONTEND=noninteractive
  local apt=(apt-get -q -y -o DPkg::Lock::Timeout=120)
  say "installing $*"
  local log
  log=$(mktemp)
  if ! "${apt[@]}" update >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    rm -f "$log"
    leave_out "apt-get has no network or no sources (above), so these Debian packages are left out: $*"
    return 0
  fi
  forbid_daemons
  if ! "${apt[@]}" install --no-install-recommends --no-remove "$@" >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    leave_out "apt-get could not install these Debian packages (above), so they are left out: $*"
  fi
  rm -f "$log"
  [ "$(trap -p EXIT)" = '' ] || allow_daemons
  packages=$(missing_packages)
  [ -z "$packages" ] || leave_out "Still missing after the installation: $(echo $packages)"
}

install_modules() {
  if [ -e node_modules/.package-lock.json ] && [ ! package-lock.json -nt node_modules/.package-lock.json ]; then return 0; fi
  say 'installing npm packages'
  quietly 'npm ci' npm ci --no-audit --no-fund
  touch node_modules/.package-lock.json
}

# build_if_changed STAMP WHAT SCRIPT SOURCE…: the stamp is from before the build, and only there after a good one.
build_if_changed() {
  local stamp=$1 what=$2 script=$3
  shift 3
  # (The native build writes its generated files itself.)
  if [ -e "$stamp" ] && [ -z "$(find "$@" -type f -newer "$stamp" ! -path 'native/*.gen.*' -print -quit)" ]; then return 0; fi
  say "building $what"
  local started
  started=$(mktemp)
  quietly "npm run $script" npm run --silent "$script"
  mv "$started" "$stamp"
}

check_host
install_packages
install_modules
if ! { has clang-19 || has clang; } || [ ! -e /usr/include/bpf/libbpf.h ]; then
  [ -e native/build/.built ] || leave_out 'The probe is not built: that needs the packages above. Nothing here can watch containers.'
else
  build_if_changed native/build/.built 'the probe and its loader' build:native \
    native/addon native/probe native/schema native/binding.gyp native/build.sh native/package.json
fi
build_if_changed dist/.built 'the agent' build src manifests/build.mjs package-lock.json package.json
if [ -z "$incomplete" ]; then
  say 'ready'
elif [ "$partial" = yes ]; then
  say 'ready for what needs none of that'
else
  fail 'What needs none of that is ready; the rest is named above.'
fi
