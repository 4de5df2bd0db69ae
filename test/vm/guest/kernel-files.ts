// Kernel tests in a guest's kernel: files, programs and sockets. One process for all: each start of Node takes seconds in
// an emulated machine. In none of these: what tests the loader beside the kernel, and what needs a real machine's speed.
import '../../kernel/open.test.ts';
import '../../kernel/open-path.test.ts';
import '../../kernel/exec.test.ts';
import '../../kernel/exec-arguments.test.ts';
import '../../kernel/exec-file.test.ts';
import '../../kernel/exec-standard.test.ts';
import '../../kernel/exec-state.test.ts';
import '../../kernel/connect.test.ts';
import '../../kernel/connect-races.test.ts';
import '../../kernel/credentials.test.ts';
import '../../kernel/verdicts.test.ts';
