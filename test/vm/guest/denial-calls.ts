// Calls that are denied, on files and others: the least that a change of the probe must pass in a guest. See kernel-files.ts.
import './denial-files.ts';
import '../../kernel/deny-opens-layers.test.ts';
import '../../kernel/known-files.test.ts';
import '../../kernel/deny-calls-alike.test.ts';
import '../../kernel/deny-cgroup.test.ts';
