// Ways around denials of calls on files, which are refused in guests only. See kernel-files.ts.
import '../../kernel/bypass-opens.test.ts';
import '../../kernel/bypass-changes.test.ts';
