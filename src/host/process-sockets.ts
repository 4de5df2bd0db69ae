/** Looks at sockets of one process, named by its pid and its start (ticks since boot). Throws LoaderError: ESRCH, EPERM, ENOSYS, EBUSY. */
export { socketsOf, type ProcessSocket } from 'ebpf-loader-napi';
