import { testInGuests } from './guest-tests.ts';

// Too old: what the probe is loaded by came with 5.14.
testInGuests('bullseye', /^5\.10\./, [{ cgroups: 'v2', files: ['too-old'] }]);
