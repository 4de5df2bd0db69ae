// The part of denial-calls.ts that `npm test` runs: each hook that changes what a function returns refuses a call.
import '../../kernel/deny-opens.test.ts';
import '../../kernel/deny-paths.test.ts';
import '../../kernel/deny-calls.test.ts';
import '../../kernel/deny-unix.test.ts';
