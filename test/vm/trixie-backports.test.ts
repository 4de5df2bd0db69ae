import { testInGuests } from './guest-tests.ts';

// The newest that Debian has for a stable release. Its suite moves on to newer kernels.
testInGuests('trixie-backports', /^7\./, [
  { cgroups: 'v2', files: ['kernel-ways'] },
  { cgroups: 'v2', files: ['denial-calls', 'denial-bypasses'] },
  { cgroups: 'v2', files: ['probe', 'agent', 'denial-opens', 'kernel-preempted'] },
]);
