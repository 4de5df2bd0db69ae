// Kernel tests in a guest's kernel: processes, cgroups and the scope. See kernel-files.ts.
import '../../kernel/fork.test.ts';
import '../../kernel/exit.test.ts';
import '../../kernel/cgroup.test.ts';
import '../../kernel/scope.test.ts';
import '../../kernel/tree-outside.test.ts';
