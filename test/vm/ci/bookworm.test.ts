import { testInGuests } from '../guest-tests.ts';

// The guest of `npm test`: what the kernels of most machines for CI do not do, calls on files that are refused.
testInGuests('bookworm', /^6\.1\./, [{ cgroups: 'v2', files: ['denial-calls'] }]);
