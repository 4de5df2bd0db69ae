import type { Condition } from '../../src/rules/language/ast.ts';
import { print } from '../../src/rules/language/printer.ts';
import { code } from './markdown.ts';

/** What macros of the default rules exclude, in words. */
const MACROS: Readonly<Record<string, string>> = {
  busybox_httpd: 'busybox httpd serving a request',
  by_cron: 'what cron runs',
  by_log_rotation: 'logrotate and savelog of the image',
  below_package_manager: 'what package managers run',
  is_package_manager: 'package managers',
  by_package_manager: 'package managers and what they run',
  expected_new_program: 'what the app says it puts there and runs (`expected_executables`)',
  expected_program: 'programs that the app says it starts (`expected_executables`)',
  first_of_the_image: 'the image’s own first process',
  from_outside:
    'what the runtime started from outside (the first process, health checks, exec) in its first ten minutes',
  is_browser: 'browsers of the distribution, which make their own sandboxes',
  is_git: 'git of the image',
  is_platform_program: 'Cloud Foundry’s own programs (Garden)',
  shuts_in_package_script: 'package managers before they run a script of a package',
  loader_only_lists: 'ldd and other calls of the loader that run nothing',
  parent_is_job_runner: 'what cron, supervisors and init programs start',
  parent_is_shell: 'what a shell starts',
  php_reads_secret: 'PHP and Apache of the image reading mounted secrets',
  python_compiles: 'Python of the image compiling what it imports',
  runs_from_droplet: 'programs of a Cloud Foundry droplet up to five minutes after the start',
  shell_runs_git_half: 'the shell that git runs for a repository on the same disk',
  shell_asks_for_ticks: 'the shell in which pm2 and others ask for the kernel’s ticks and pages',
  start_scripts_run: 'start scripts, in the first minute',
  started_by_cf_ssh: 'cf ssh, which has rules of its own',
  was_shell_before: 'a shell that becomes another one',
  started_by_launcher: 'Cloud Foundry’s launcher running the start command',
  staging: 'the staging of an app, on Cloud Foundry',
  starting_up:
    'tools that start an app (npm start, java wrappers), in their first 15 seconds; npm, yarn and pnpm in their first minute',
  step_of_a_build: 'the steps of an image’s build',
};

/** What comparisons exclude, in words, by their printed form. */
const COMPARISONS: Readonly<Record<string, string>> = {
  'fd.sip.name in (app_outbound_hosts)': 'domain names that the app says it connects to',
  'proc.vpid = 1': 'the container’s first process',
  'proc.pname in (gcc, g++, cc, c++, clang, clang++, collect2, make, cmake, go, rustc, cargo)':
    'what compilers and make run',
};

/**
 * What the condition excludes at its top level, as Markdown: in words if available, else as code. Throws for a macro without
 * words.
 */
export function leftOut(condition: Condition): readonly string[] {
  const parts = condition.kind === 'and' ? condition.operands : [condition];
  return parts.flatMap((part) => (part.kind === 'not' ? [describe(part.operand)] : []));
}

function describe(condition: Condition): string {
  const printed = print(condition);
  if (condition.kind !== 'macro') return COMPARISONS[printed] ?? code(printed);
  const words = MACROS[condition.name];
  if (words === undefined) throw new Error(`left-out.ts has no words for ${condition.name}`);
  return words;
}
