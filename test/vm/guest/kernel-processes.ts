// Kernel tests in a guest's kernel: processes, cgroups and the scope, and what is judged by them. See kernel-files.ts.
import '../../kernel/fork.test.ts';
import '../../kernel/exit.test.ts';
import '../../kernel/cgroup.test.ts';
import '../../kernel/scope.test.ts';
import '../../kernel/tree-outside.test.ts';
import '../../kernel/verdicts-connects.test.ts';
import '../../kernel/verdicts-paths.test.ts';
import '../../kernel/verdicts-programs.test.ts';
import '../../kernel/verdicts-argv.test.ts';
import '../../kernel/verdicts-ancestors.test.ts';
import '../../kernel/deny.test.ts';
import '../../kernel/deny-connects.test.ts';
import '../../kernel/deny-messages.test.ts';
import '../../kernel/deny-opens.test.ts';
import '../../kernel/deny-paths.test.ts';
import '../../kernel/denial-pinned.test.ts';
import '../../kernel/denial-test.test.ts';
