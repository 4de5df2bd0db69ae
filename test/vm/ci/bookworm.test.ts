import { testInGuests } from '../guest-tests.ts';

// The guest of `npm test`: what the kernels of most machines for CI do not do, calls on files that are refused. `npm run test:all` runs more.
const files = process.env['VARVEL_TESTS'] === 'quick' ? 'denial-files' : 'denial-calls';
testInGuests('bookworm', /^6\.1\./, [{ cgroups: 'v2', files: [files] }]);
