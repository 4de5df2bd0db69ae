/**
 * The events of Falco's schema 4.3.0, in its order: one a line, with its category and its params in order.
 *
 * `name category[/flags] param:TYPE[/format] …`, where flags are what a call does with its descriptor (`r` reads
 * from it, `w` writes to it) or with its caller (`s` makes it wait), and format is how a number is printed
 * (`o` octal, `x` hexadecimal; decimal without one). Where an event's beginning and end differ, this is its end.
 */
export const SYSCALL_LINES = `
open file fd:FD name:FSPATH flags:FLAGS32 mode:UINT32/o dev:UINT32/x ino:UINT64
close io-other res:ERRNO fd:FD
read io-read/r res:ERRNO data:BYTEBUF fd:FD size:UINT32
write io-write/w res:ERRNO data:BYTEBUF fd:FD size:UINT32
socket net fd:FD domain:ENUMFLAGS32 type:UINT32 proto:UINT32 flags:FLAGS32
bind net res:ERRNO addr:SOCKADDR fd:FD
connect net res:ERRNO tuple:SOCKTUPLE fd:FD addr:SOCKADDR
listen net res:ERRNO fd:FD backlog:INT32
send io-write/w res:ERRNO data:BYTEBUF fd:FD size:UINT32 tuple:SOCKTUPLE
sendto io-write/w res:ERRNO data:BYTEBUF fd:FD size:UINT32 tuple:SOCKTUPLE
recv io-read/r res:ERRNO data:BYTEBUF fd:FD size:UINT32 tuple:SOCKTUPLE
recvfrom io-read/r res:ERRNO data:BYTEBUF tuple:SOCKTUPLE fd:FD size:UINT32
shutdown net res:ERRNO fd:FD how:ENUMFLAGS8
getsockname net
getpeername net
socketpair IPC res:ERRNO fd1:FD fd2:FD source:UINT64/x peer:UINT64/x domain:ENUMFLAGS32 type:UINT32 proto:UINT32
setsockopt net res:ERRNO fd:FD level:ENUMFLAGS8 optname:ENUMFLAGS8 val:DYNAMIC optlen:UINT32
getsockopt net res:ERRNO fd:FD level:ENUMFLAGS8 optname:ENUMFLAGS8 val:DYNAMIC optlen:UINT32
sendmsg io-write/w res:ERRNO data:BYTEBUF fd:FD size:UINT32 tuple:SOCKTUPLE
sendmmsg io-write/w res:ERRNO fd:FD size:UINT32 data:BYTEBUF tuple:SOCKTUPLE
recvmsg io-read/r res:ERRNO size:UINT32 data:BYTEBUF tuple:SOCKTUPLE msgcontrol:BYTEBUF fd:FD
recvmmsg io-read/r res:ERRNO fd:FD size:UINT32 data:BYTEBUF tuple:SOCKTUPLE msgcontrol:BYTEBUF
creat file fd:FD name:FSPATH mode:UINT32/o dev:UINT32/x ino:UINT64 creat_flags:FLAGS16
pipe IPC res:ERRNO fd1:FD fd2:FD ino:UINT64
eventfd IPC res:FD initval:UINT64 flags:UINT32/x
futex IPC res:ERRNO addr:UINT64/x op:FLAGS16 val:UINT64
stat file res:ERRNO path:FSPATH
lstat file res:ERRNO path:FSPATH
fstat file res:ERRNO fd:FD
stat64 file res:ERRNO path:FSPATH
lstat64 file res:ERRNO path:FSPATH
fstat64 file res:ERRNO
epoll_wait wait/s res:ERRNO maxevents:ERRNO
poll wait/s res:ERRNO fds:FDLIST timeout:INT64
select wait/s res:ERRNO
lseek file res:ERRNO fd:FD offset:UINT64 whence:ENUMFLAGS8
llseek file res:ERRNO fd:FD offset:UINT64 whence:ENUMFLAGS8
getcwd file res:ERRNO path:CHARBUF
chdir file res:ERRNO path:CHARBUF
fchdir file res:ERRNO fd:FD
pread io-read/r res:ERRNO data:BYTEBUF fd:FD size:UINT32 pos:UINT64
pwrite io-write/w res:ERRNO data:BYTEBUF fd:FD size:UINT32 pos:UINT64
readv io-read/r res:ERRNO size:UINT32 data:BYTEBUF fd:FD
writev io-write/w res:ERRNO data:BYTEBUF fd:FD size:UINT32
preadv io-read/r res:ERRNO size:UINT32 data:BYTEBUF fd:FD pos:UINT64
pwritev io-write/w res:ERRNO data:BYTEBUF fd:FD size:UINT32 pos:UINT64
signalfd signal res:FD fd:FD mask:UINT32/x flags:UINT8/x
kill signal res:ERRNO pid:PID sig:SIGTYPE
tkill signal res:ERRNO tid:PID sig:SIGTYPE
tgkill signal res:ERRNO pid:PID tid:PID sig:SIGTYPE
nanosleep sleep/s res:ERRNO interval:RELTIME
timerfd_create time res:FD clockid:UINT8 flags:UINT8/x
inotify_init IPC res:FD flags:UINT8/x
getrlimit process res:ERRNO cur:INT64 max:INT64 resource:ENUMFLAGS8
setrlimit process res:ERRNO cur:INT64 max:INT64 resource:ENUMFLAGS8
prlimit process res:ERRNO newcur:INT64 newmax:INT64 oldcur:INT64 oldmax:INT64 pid:INT64 resource:ENUMFLAGS8
fcntl io-other res:FD fd:FD cmd:ENUMFLAGS8 arg:UINT64/x
brk memory res:UINT64/x vm_size:UINT32 vm_rss:UINT32 vm_swap:UINT32 addr:UINT64/x
mmap memory res:ERRNO vm_size:UINT32 vm_rss:UINT32 vm_swap:UINT32 addr:UINT64/x length:UINT64 prot:FLAGS32 flags:FLAGS32 fd:FD offset:UINT64
mmap2 memory res:ERRNO vm_size:UINT32 vm_rss:UINT32 vm_swap:UINT32 addr:UINT64/x length:UINT64 prot:FLAGS32 flags:FLAGS32 fd:FD pgoffset:UINT64
munmap memory res:ERRNO vm_size:UINT32 vm_rss:UINT32 vm_swap:UINT32 addr:UINT64/x length:UINT64
splice io-other res:ERRNO fd_in:FD fd_out:FD size:UINT64 flags:FLAGS32
ptrace process res:ERRNO addr:DYNAMIC data:DYNAMIC request:ENUMFLAGS16 pid:PID
ioctl io-other res:ERRNO fd:FD request:UINT64/x argument:UINT64/x
rename file res:ERRNO oldpath:FSPATH newpath:FSPATH
renameat file res:ERRNO olddirfd:FD oldpath:FSRELPATH newdirfd:FD newpath:FSRELPATH
symlink file res:ERRNO target:CHARBUF linkpath:FSPATH
symlinkat file res:ERRNO target:CHARBUF linkdirfd:FD linkpath:FSRELPATH
sendfile io-write res:ERRNO offset:UINT64 out_fd:FD in_fd:FD size:UINT64
quotactl user res:ERRNO special:CHARBUF quotafilepath:CHARBUF dqb_bhardlimit:UINT64 dqb_bsoftlimit:UINT64 dqb_curspace:UINT64 dqb_ihardlimit:UINT64 dqb_isoftlimit:UINT64 dqb_btime:RELTIME dqb_itime:RELTIME dqi_bgrace:RELTIME dqi_igrace:RELTIME dqi_flags:FLAGS8 quota_fmt_out:FLAGS8 cmd:FLAGS16 type:FLAGS8 id:UINT32 quota_fmt:FLAGS8
setresuid user res:ERRNO ruid:UID euid:UID suid:UID
setresgid user res:ERRNO rgid:GID egid:GID sgid:GID
setuid user res:ERRNO uid:UID
setgid user res:ERRNO gid:GID
getuid user uid:UID
geteuid user euid:UID
getgid user gid:GID
getegid user egid:GID
getresuid user res:ERRNO ruid:UID euid:UID suid:UID
getresgid user res:ERRNO rgid:GID egid:GID sgid:GID
clone process res:PID exe:CHARBUF args:BYTEBUF tid:PID pid:PID ptid:PID cwd:CHARBUF fdlimit:INT64 pgft_maj:UINT64 pgft_min:UINT64 vm_size:UINT32 vm_rss:UINT32 vm_swap:UINT32 comm:CHARBUF cgroups:BYTEBUF flags:FLAGS32 uid:UINT32 gid:UINT32 vtid:PID vpid:PID pidns_init_start_ts:UINT64
fork process res:PID exe:CHARBUF args:BYTEBUF tid:PID pid:PID ptid:PID cwd:CHARBUF fdlimit:INT64 pgft_maj:UINT64 pgft_min:UINT64 vm_size:UINT32 vm_rss:UINT32 vm_swap:UINT32 comm:CHARBUF cgroups:BYTEBUF flags:FLAGS32 uid:UINT32 gid:UINT32 vtid:PID vpid:PID pidns_init_start_ts:UINT64
vfork process res:PID exe:CHARBUF args:BYTEBUF tid:PID pid:PID ptid:PID cwd:CHARBUF fdlimit:INT64 pgft_maj:UINT64 pgft_min:UINT64 vm_size:UINT32 vm_rss:UINT32 vm_swap:UINT32 comm:CHARBUF cgroups:BYTEBUF flags:FLAGS32 uid:UINT32 gid:UINT32 vtid:PID vpid:PID pidns_init_start_ts:UINT64
getdents file res:ERRNO fd:FD
getdents64 file res:ERRNO fd:FD
setns process res:ERRNO fd:FD nstype:FLAGS32
flock file res:ERRNO fd:FD operation:FLAGS32
accept net fd:FD tuple:SOCKTUPLE queuepct:UINT8 queuelen:UINT32 queuemax:UINT32
semop process res:ERRNO nsops:UINT32 sem_num_0:UINT16 sem_op_0:INT16 sem_flg_0:FLAGS16 sem_num_1:UINT16 sem_op_1:INT16 sem_flg_1:FLAGS16 semid:INT32
semctl process res:ERRNO semid:INT32 semnum:INT32 cmd:FLAGS16 val:INT32
ppoll wait/s res:ERRNO fds:FDLIST timeout:RELTIME sigmask:SIGSET
mount file res:ERRNO dev:CHARBUF dir:FSPATH type:CHARBUF flags:FLAGS32
semget process res:ERRNO key:INT32/x nsems:INT32 semflg:FLAGS32
access file res:ERRNO name:FSPATH mode:FLAGS32
chroot process res:ERRNO path:FSPATH
setsid process res:PID
mkdir file res:ERRNO path:FSPATH mode:UINT32/x
rmdir file res:ERRNO path:FSPATH
unshare process res:ERRNO flags:FLAGS32
execve process res:ERRNO exe:CHARBUF args:BYTEBUF tid:PID pid:PID ptid:PID cwd:CHARBUF fdlimit:UINT64 pgft_maj:UINT64 pgft_min:UINT64 vm_size:UINT32 vm_rss:UINT32 vm_swap:UINT32 comm:CHARBUF cgroups:BYTEBUF env:BYTEBUF tty:UINT32 vpgid:PID loginuid:UID flags:FLAGS32 cap_inheritable:UINT64/x cap_permitted:UINT64/x cap_effective:UINT64/x exe_ino:UINT64 exe_ino_ctime:ABSTIME exe_ino_mtime:ABSTIME uid:UID trusted_exepath:FSPATH pgid:PID gid:GID filename:FSPATH
setpgid process res:ERRNO pid:PID pgid:PID
seccomp other res:ERRNO op:UINT64 flags:UINT64/x
unlink file res:ERRNO path:FSPATH
unlinkat file res:ERRNO dirfd:FD name:FSRELPATH flags:FLAGS32
mkdirat file res:ERRNO dirfd:FD path:FSRELPATH mode:UINT32/x
openat file fd:FD dirfd:FD name:FSRELPATH flags:FLAGS32 mode:UINT32/o dev:UINT32/x ino:UINT64
link file res:ERRNO oldpath:FSPATH newpath:FSPATH
linkat file res:ERRNO olddir:FD oldpath:FSRELPATH newdir:FD newpath:FSRELPATH flags:FLAGS32
fchmodat file res:ERRNO dirfd:FD filename:FSRELPATH mode:MODE/o
chmod file res:ERRNO filename:FSPATH mode:MODE/o
fchmod file res:ERRNO fd:FD mode:MODE/o
renameat2 file res:ERRNO olddirfd:FD oldpath:FSRELPATH newdirfd:FD newpath:FSRELPATH flags:FLAGS32
userfaultfd file res:ERRNO flags:FLAGS32
openat2 file fd:FD dirfd:FD name:FSRELPATH flags:FLAGS32 mode:UINT32/o resolve:FLAGS32 dev:UINT32/x ino:UINT64
mprotect memory res:ERRNO addr:UINT64/x length:UINT64 prot:FLAGS32
execveat process res:ERRNO exe:CHARBUF args:BYTEBUF tid:PID pid:PID ptid:PID cwd:CHARBUF fdlimit:UINT64 pgft_maj:UINT64 pgft_min:UINT64 vm_size:UINT32 vm_rss:UINT32 vm_swap:UINT32 comm:CHARBUF cgroups:BYTEBUF env:BYTEBUF tty:UINT32 vpgid:PID loginuid:UID flags:FLAGS32 cap_inheritable:UINT64/x cap_permitted:UINT64/x cap_effective:UINT64/x exe_ino:UINT64 exe_ino_ctime:ABSTIME exe_ino_mtime:ABSTIME uid:UID trusted_exepath:FSPATH pgid:PID gid:GID
copy_file_range file/rw res:ERRNO fdout:FD offout:UINT64 fdin:FD offin:UINT64 len:UINT64
clone3 process res:PID exe:CHARBUF args:BYTEBUF tid:PID pid:PID ptid:PID cwd:CHARBUF fdlimit:INT64 pgft_maj:UINT64 pgft_min:UINT64 vm_size:UINT32 vm_rss:UINT32 vm_swap:UINT32 comm:CHARBUF cgroups:BYTEBUF flags:FLAGS32 uid:UINT32 gid:UINT32 vtid:PID vpid:PID pidns_init_start_ts:UINT64
open_by_handle_at file fd:FD mountfd:FD flags:FLAGS32 path:FSPATH dev:UINT32/x ino:UINT64
io_uring_setup io-other res:ERRNO entries:UINT32 sq_entries:UINT32 cq_entries:UINT32 flags:FLAGS32 sq_thread_cpu:UINT32 sq_thread_idle:UINT32 features:FLAGS32
io_uring_enter io-other res:ERRNO fd:FD to_submit:UINT32 min_complete:UINT32 flags:FLAGS32 sig:SIGSET
io_uring_register io-other res:ERRNO fd:FD opcode:ENUMFLAGS16 arg:UINT64/x nr_args:UINT32
mlock memory res:ERRNO addr:UINT64/x len:UINT64
munlock memory res:ERRNO addr:UINT64/x len:UINT64
mlockall memory res:ERRNO flags:FLAGS32
munlockall memory res:ERRNO
capset process res:ERRNO cap_inheritable:UINT64/x cap_permitted:UINT64/x cap_effective:UINT64/x
dup2 io-other res:FD oldfd:FD newfd:FD
dup3 io-other res:FD oldfd:FD newfd:FD flags:FLAGS32
dup io-other res:FD oldfd:FD
bpf other fd:FD cmd:ENUMFLAGS32
mlock2 memory res:ERRNO addr:UINT64/x len:UINT64 flags:FLAGS32
fsconfig system res:ERRNO fd:FD cmd:ENUMFLAGS32 key:CHARBUF value_bytebuf:BYTEBUF value_charbuf:CHARBUF aux:INT32
epoll_create wait res:ERRNO size:INT32
epoll_create1 wait res:ERRNO flags:FLAGS32
chown file res:ERRNO path:FSPATH uid:UINT32 gid:UINT32
lchown file res:ERRNO path:FSPATH uid:UINT32 gid:UINT32
fchown file res:ERRNO fd:FD uid:UINT32 gid:UINT32
fchownat file res:ERRNO dirfd:FD pathname:FSRELPATH uid:UINT32 gid:UINT32 flags:FLAGS32
umount file res:ERRNO name:FSPATH
accept4 net fd:FD tuple:SOCKTUPLE queuepct:UINT8 queuelen:UINT32 queuemax:UINT32 flags:INT32/x
umount2 file res:ERRNO name:FSPATH flags:FLAGS32
pipe2 IPC res:ERRNO fd1:FD fd2:FD ino:UINT64 flags:FLAGS32
inotify_init1 IPC res:FD flags:FLAGS16
eventfd2 IPC res:FD flags:FLAGS16 initval:UINT64
signalfd4 signal res:FD flags:FLAGS16 fd:FD mask:UINT32/x
prctl process res:ERRNO option:ENUMFLAGS32 arg2_str:CHARBUF arg2_int:INT64
memfd_create memory fd:FD name:CHARBUF flags:FLAGS32
pidfd_getfd process fd:FD pid_fd:FD target_fd:FD flags:UINT32/x
pidfd_open process fd:FD pid:PID flags:FLAGS32
init_module other res:ERRNO img:BYTEBUF length:UINT64 uargs:CHARBUF
finit_module other/r res:ERRNO fd:FD uargs:CHARBUF flags:FLAGS32
mknod other res:ERRNO path:FSPATH mode:MODE/o dev:UINT32
mknodat other res:ERRNO dirfd:FD path:FSRELPATH mode:MODE/o dev:UINT32
newfstatat file res:ERRNO dirfd:FD path:FSRELPATH flags:FLAGS32
process_vm_readv IPC res:INT64 pid:PID data:BYTEBUF
process_vm_writev IPC res:INT64 pid:PID data:BYTEBUF
delete_module other res:ERRNO name:CHARBUF flags:FLAGS32
setreuid user res:ERRNO ruid:UID euid:UID
setregid user res:ERRNO rgid:UID egid:UID
close_range io-other res:ERRNO first:UINT32 last:UINT32 flags:FLAGS32
keyctl other res:ERRNO operation:ENUMFLAGS32 arg2:DYNAMIC arg3:DYNAMIC arg4:DYNAMIC arg5:DYNAMIC
`;

/** System calls that Falco knows by name only: category `other`, params ID and nativeID. */
export const GENERIC_SYSCALLS = `
rseq_slice_yield uprobe file_getattr open_tree_attr setxattrat uretprobe lsm_list_modules
lsm_get_self_attr capget inotify_rm_watch kexec_load mq_notify utimes set_robust_list shmget
fspick timer_delete sethostname listns exit_group fsmount clock_gettime listxattrat
timerfd_gettime timer_getoverrun s390_pci_mmio_write io_setup inotify_add_watch
pidfd_send_signal epoll_ctl get_thread_area switch_endian setitimer io_submit sched_setaffinity
request_key fanotify_init fsopen sched_setattr sched_getaffinity rt_sigqueueinfo utimensat
fremovexattr getgroups removexattr getcpu llistxattr waitid arch_prctl sigaction mq_timedsend
setxattr shmdt sigpending fgetxattr lgetxattr fsync spu_create fsetxattr lsetxattr idle shmat
adjtimex query_module timer_create gettid membarrier add_key swapoff madvise s390_pci_mmio_read
setfsgid setfsuid getpgrp personality getxattr move_mount get_mempolicy getpriority
removexattrat readlinkat mount_setattr clock_getres clock_settime umask lookup_dcookie
quotactl_fd timer_settime truncate mremap rtas lsm_set_self_attr syslog fstatfs ioperm
riscv_flush_icache uselib reboot futimesat timer_gettime flistxattr setgroups
sched_rr_get_interval gettimeofday readlink syncfs get_robust_list file_setattr listxattr
set_mempolicy s390_guarded_storage settimeofday mq_unlink swapon pselect6 io_cancel ioprio_get
uname shmctl time pkey_free readahead statfs fanotify_mark ioprio_set times process_madvise
vmsplice rt_sigtimedwait preadv2 create_module remap_file_pages lremovexattr
landlock_create_ruleset timerfd pause stime sched_setparam name_to_handle_at utime getpid sync
getxattrat clock_adjtime restart_syscall io_getevents sysfs get_kernel_syms epoll_pwait
futex_wait acct setdomainname sysinfo msgsnd mincore cachestat pivot_root exit getppid
io_destroy ustat epoll_wait_old vhangup _sysctl alarm rt_sigprocmask rt_tgsigqueueinfo
rt_sigaction fchmodat2 wait4 getpgid sched_yield signal statmount clock_nanosleep pkey_mprotect
fdatasync getrusage futex_wake sched_getparam sched_setscheduler setpriority mseal open_tree
kcmp sched_getscheduler sched_get_priority_min rt_sigsuspend rt_sigpending semtimedop getitimer
timerfd_settime sync_file_range2 ipc mq_open epoll_pwait2 perf_event_open msgrcv
process_mrelease bdflush msgctl statfs64 fstatfs64 fstatat64 sigprocmask socketcall
sys_debug_setcontext set_tid_address _newselect map_shadow_stack sgetmask olduname mq_getsetattr
nice tee waitpid fallocate sigaltstack getrandom fadvise64 memfd_secret kexec_file_load
pkey_alloc msgget landlock_restrict_self mq_timedreceive landlock_add_rule msync modify_ldt
migrate_pages futex_waitv move_pages mbind epoll_ctl_old statx io_pgetevents
set_mempolicy_home_node getpmsg sigsuspend nfsservctl rseq pciconfig_read sched_getattr
faccessat2 sync_file_range readdir s390_sthyi s390_runtime_instr sigreturn ftruncate
riscv_hwprobe pwritev2 futex_requeue oldstat multiplexer oldlstat oldfstat ssetmask spu_run iopl
getsid swapcontext pciconfig_write vm86 sched_get_priority_max oldolduname faccessat
set_thread_area subpage_prot rt_sigreturn pciconfig_iobase listmount
`;

/** Events that are no system calls, in the same form: of tracepoints, plugins and Falco itself. */
export const OTHER_LINES = `
switch scheduler next:PID pgft_maj:UINT64 pgft_min:UINT64 vm_size:UINT32 vm_rss:UINT32 vm_swap:UINT32
procexit process status:ERRNO ret:ERRNO sig:SIGTYPE core:UINT8 reaper_tid:PID
signaldeliver signal spid:PID dpid:PID sig:SIGTYPE
page_fault other addr:UINT64/x ip:UINT64/x error:FLAGS32
pluginevent other plugin_id:UINT32 event_data:BYTEBUF
drop internal ratio:UINT32
scapevent internal event_type:UINT32 event_data:UINT64
procinfo internal cpu_usr:UINT64 cpu_sys:UINT64
cpu_hotplug system cpu:UINT32 action:UINT32
notification other id:CHARBUF desc:CHARBUF
infra internal source:CHARBUF name:CHARBUF description:CHARBUF scope:CHARBUF
container process json:CHARBUF
useradded process uid:UINT32 gid:UINT32 name:CHARBUF home:CHARBUF shell:CHARBUF container_id:CHARBUF
userdeleted process uid:UINT32 gid:UINT32 name:CHARBUF home:CHARBUF shell:CHARBUF container_id:CHARBUF
groupadded process gid:UINT32 name:CHARBUF container_id:CHARBUF
groupdeleted process gid:UINT32 name:CHARBUF container_id:CHARBUF
asyncevent other plugin_id:UINT32 name:CHARBUF data:BYTEBUF
`;

/** Names that Falco takes in conditions and that no event of the schema has any more, or only under another name. */
export const OTHER_EVENT_NAMES = `
NA k8s mesos syscall task task_file_anon_inode task_file_directory task_file_memfd
task_file_pipe task_file_regular task_file_socket_inet task_file_socket_inet6
task_file_socket_netlink task_file_socket_unix tracer _llseek fcntl64 getegid32 geteuid32
getgid32 getresgid32 getresuid32 getuid32 page_fault_kernel page_fault_user pread64 prlimit64
pwrite64 sched_process_exit sched_switch sendfile64 setgid32 setresgid32 setresuid32 setuid32
signal_deliver ugetrlimit unknown
`;

/** Params of events before the schema: `evt.rawarg` of each has this type, and it is in no event of today. */
export const FORMER_PARAMS = `
argv:CHARBUFARRAY exe_ino_num:UINT64 exepath:FSPATH fd_type:FLAGS8 image:CHARBUF ino_num:UINT64
local_ip:IPV4ADDR local_port:PORT mnt_id:UINT32 ppid:PID32 remote_ip:IPV4ADDR remote_port:PORT
res_or_fd:DYNAMIC root:FSPATH sid:PID32 sk_pointer:UINT64 sk_proto:UINT16 sk_type:UINT16
start_time:ABSTIME sun_path:FSPATH tags:CHARBUFARRAY vtgid:PID32
`;

/** Params whose first appearance in Falco's own table is older than the schema, and of another type. */
export const FORMER_TYPES = `
request:UINT64 fdlimit:UINT64 tty:INT32 event_data:UINT64 uid:UINT32 gid:UINT32
`;

/** System calls above that x86-64 does not have: of other processors, or of 32-bit programs only. */
export const NOT_X86_64 = `
send recv stat64 lstat64 fstat64 llseek mmap2 umount s390_pci_mmio_write s390_pci_mmio_read
s390_guarded_storage s390_sthyi s390_runtime_instr switch_endian sigaction sigpending spu_create
spu_run idle rtas riscv_flush_icache riscv_hwprobe timerfd stime signal sync_file_range2 ipc bdflush
statfs64 fstatfs64 fstatat64 sigprocmask socketcall sys_debug_setcontext _newselect sgetmask ssetmask
olduname oldolduname oldstat oldlstat oldfstat nice waitpid sigsuspend sigreturn readdir multiplexer
swapcontext subpage_prot vm86 pciconfig_read pciconfig_write pciconfig_iobase
`;
