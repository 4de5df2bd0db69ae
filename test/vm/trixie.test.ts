import { testInGuests } from './guest-tests.ts';

// Loading the probe takes this kernel three times as long in an emulated machine: two guests, to end in time.
testInGuests('trixie', /^6\.12\./, [
  { cgroups: 'v2', files: ['kernel-files'] },
  { cgroups: 'v2', files: ['kernel-ways'] },
  { cgroups: 'v2', files: ['kernel-processes'] },
  { cgroups: 'v2', files: ['probe', 'agent', 'docker', 'denial-opens'] },
  { cgroups: 'v1', files: ['probe', 'agent', 'docker', 'denial-opens'] },
  { cgroups: 'v2', files: ['systemd'], systemd: true },
  { cgroups: 'v2', files: ['systemd-capabilities', 'systemd-enforce'], systemd: true },
]);
