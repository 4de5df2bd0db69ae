// Kernel tests in a guest's kernel: every system call of native/schema/calls.mjs, here also those of modules; and when a
// socket is connected. See kernel-files.ts.
import '../../kernel/calls-descriptors.test.ts';
import '../../kernel/calls-directories.test.ts';
import '../../kernel/calls-files.test.ts';
import '../../kernel/calls-memory.test.ts';
import '../../kernel/calls-messages.test.ts';
import '../../kernel/calls-modes.test.ts';
import '../../kernel/calls-modules.test.ts';
import '../../kernel/calls-mounts.test.ts';
import '../../kernel/calls-paths.test.ts';
import '../../kernel/calls-processes.test.ts';
import '../../kernel/calls-sockets.test.ts';
import '../../kernel/connected.test.ts';
import '../../kernel/messages-connecting.test.ts';
import '../../kernel/messages-sockets.test.ts';
