#!/bin/busybox sh
# PID 1 of a guest of test/vm/guest.ts. First from the initramfs, to reach the host's root file system (9p, read-only); then
# again from there, with "root" as argument, to make it a host: kernel file systems, cgroups in the wanted layout, scratch
# space in memory. Runs the command and writes its exit code to the second serial port.
# Kernel command line: guest.cgroups=v2|hybrid|v1 guest.cwd=DIR guest.init=systemd (then systemd becomes PID 1 and runs the command)
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
HERE=/run/guest # in the host's tree, where everybody has a /run

if [ "$1" != root ]; then
  /bin/busybox --install -s /bin
  mount -t proc proc /proc
  mount -t devtmpfs dev /dev
  # Without an order to follow, a glob sorts by name: they are numbered.
  for module in /modules/*.ko; do insmod "$module" || echo "guest: $module does not load"; done
  mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose host /host ||
    { echo 'guest: the host file system cannot be mounted'; poweroff -f; }
  mount -t tmpfs -o mode=755 run /host/run
  mkdir /host$HERE
  cp /bin/busybox /init /command /host$HERE
  umount /proc /dev
  exec switch_root /host $HERE/busybox sh $HERE/init root
fi

busybox() { $HERE/busybox "$@"; }
busybox mount -t proc proc /proc
busybox mount -t sysfs sys /sys
busybox mount -t devtmpfs dev /dev
# Those that maxcpus=1 left out, see guest.ts.
for processor in /sys/devices/system/cpu/cpu[1-9]*; do
  [ ! -e $processor/online ] || echo 1 >$processor/online
done
busybox mkdir -p /dev/pts /dev/shm /run/lock
systemd=
case " $(busybox cat /proc/cmdline) " in *' guest.init=systemd '*) systemd=yes ;; esac
# What is installed into these is gone with the guest.
for place in ${systemd:+etc opt var usr/local}; do
  busybox mkdir -p $HERE/upper/$place $HERE/changing/$place
  busybox mount -t overlay -o lowerdir=/$place,upperdir=$HERE/upper/$place,workdir=$HERE/changing/$place overlay /$place
done
busybox mount -t devpts -o ptmxmode=666 devpts /dev/pts
for place in /dev/shm /tmp /var/tmp /root; do busybox mount -t tmpfs -o mode=1777 scratch $place; done
busybox mount -t bpf bpf /sys/fs/bpf
busybox mount -t securityfs security /sys/kernel/security
busybox ip link set lo up
busybox hostname guest

for word in $(busybox cat /proc/cmdline); do
  case $word in
    guest.cgroups=*) layout=${word#*=} ;;
    guest.cwd=*) cwd=${word#*=} ;;
  esac
done
# A clone below one of the scratch places is behind it now: a bind of the root shows the host's tree without them.
if [ ! -d "$cwd" ]; then
  busybox mkdir -p $HERE/tree "$cwd"
  busybox mount --bind / $HERE/tree
  busybox mount --bind "$HERE/tree$cwd" "$cwd"
fi
cgroups=/sys/fs/cgroup
if [ -n "$systemd" ]; then
  : # It mounts v2 itself.
elif [ "$layout" = v2 ]; then
  busybox mount -t cgroup2 cgroup2 $cgroups
else
  busybox mount -t tmpfs -o mode=755 cgroup $cgroups
  for controller in cpu cpuacct cpuset memory devices freezer blkio pids; do
    busybox mkdir $cgroups/$controller
    # A kernel may be built without one of them.
    busybox mount -t cgroup -o $controller cgroup $cgroups/$controller 2>/dev/null || busybox rmdir $cgroups/$controller
  done
  busybox mkdir $cgroups/systemd
  busybox mount -t cgroup -o none,name=systemd cgroup $cgroups/systemd
  if [ "$layout" = hybrid ]; then
    busybox mkdir $cgroups/unified
    busybox mount -t cgroup2 cgroup2 $cgroups/unified
  fi
fi

export PATH HOME=/root
cat >$HERE/run-command <<EOF
cd "$cwd" && /bin/sh $HERE/command </dev/null
echo \$? >/dev/ttyS1
$HERE/busybox poweroff -f
EOF
[ -n "$systemd" ] || exec $HERE/busybox sh $HERE/run-command
# A machine that has nothing to do but the command; services that the command starts bring the rest of the system along.
busybox mkdir -p /run/systemd/system
# Nothing to rebuild, which would take an emulated machine longer than the tests; no network.
touch -r /usr /etc/.updated /var/.updated
ln -s /dev/null /run/systemd/system/systemd-timesyncd.service
cat >/run/systemd/system/guest.service <<EOF
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
Environment=HOME=/root PATH=$PATH
StandardOutput=append:/dev/ttyS0
StandardError=append:/dev/ttyS0
ExecStart=/bin/sh $HERE/run-command
EOF
exec /lib/systemd/systemd --system --unit=guest.service
