import { testInGuests } from './guest-tests.ts';

// No bpf_rdonly_cast: every load is a bpf_probe_read_kernel. The verifier follows less than later ones do.
testInGuests('bookworm', /^6\.1\./, [
  { cgroups: 'v2', files: ['kernel-files', 'kernel-processes'] },
  { cgroups: 'v2', files: ['kernel-ways'] },
  { cgroups: 'v2', files: ['kernel-calls'] },
  { cgroups: 'v2', files: ['probe', 'agent', 'docker', 'denial-opens'] },
  { cgroups: 'v2', files: ['denial-attacks-1'] },
  { cgroups: 'v2', files: ['denial-attacks-2'] },
  { cgroups: 'v2', files: ['denial-bypasses'] },
  { cgroups: 'v1', files: ['denial-bypasses', 'denial-bypasses-programs'] },
  { cgroups: 'hybrid', files: ['probe', 'agent', 'docker', 'denial-opens'] },
]);
