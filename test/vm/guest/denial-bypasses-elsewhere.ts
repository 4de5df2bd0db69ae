// Ways around denials of programs and connections, which are tried without a guest, too. See kernel-files.ts.
import '../../kernel/bypass-programs.test.ts';
import '../../kernel/bypass-connects.test.ts';
