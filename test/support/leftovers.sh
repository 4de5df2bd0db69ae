#!/usr/bin/env bash
# Prints what tests could leave behind: cgroups, mounts, BPF objects held by some process, pins, daemons, folders.
set -uo pipefail
find /sys/fs/cgroup -mindepth 1 -type d \( -name '*varvel*' -o -name 'docker' -o -regex '.*/docker/.*' \) 2>/dev/null | sort
awk '{print $5}' /proc/self/mountinfo | grep -E '/vd-|varvel|docker' | sort
for fd in /proc/[0-9]*/fd/*; do
  case "$(readlink "$fd" 2>/dev/null)" in
    *bpf-link* | *bpf_link* | *bpf-prog*) echo "BPF object in $(tr '\0' ' ' < "${fd%/fd/*}/cmdline" | cut -c1-80)" ;;
  esac
done | sort -u
find /sys/fs/bpf -mindepth 1 2>/dev/null | sort
# All states but Z: a process that has ended holds nothing, and when its entry goes is up to the init of the machine.
pgrep -a -r R,S,D,T,t,I 'dockerd|containerd' | cut -d' ' -f2- | sort
ls -d /tmp/vd-* /tmp/varvel-* 2>/dev/null
true
