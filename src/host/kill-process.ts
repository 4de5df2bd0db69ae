/** Ends one process, named by its pid and its start (ticks since boot). Throws LoaderError: ESRCH, EPERM, EINVAL. */
export { killProcess } from 'ebpf-loader-napi';
