// Ways around denials of programs, where no connection can be denied: without v2. See kernel-files.ts.
import '../../kernel/bypass-programs.test.ts';
