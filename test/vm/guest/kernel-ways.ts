// System calls by other ways than the 64-bit one. See kernel-files.ts.
import '../../kernel/compat.test.ts';
import '../../kernel/compat-exit.test.ts';
import '../../kernel/compat-memory.test.ts';
import '../../kernel/uring.test.ts';
import '../../kernel/uring-misuse.test.ts';
