/** Cuts containers off from the network; see native/index.d.ts. */
export { Isolation, testIsolation } from 'ebpf-loader-napi';
