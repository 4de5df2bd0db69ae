import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Where the files of a test are; gone with the process, which may run several files of tests. */
export const folder = mkdtempSync(join(tmpdir(), 'varvel-test-'));
process.on('exit', () => rmSync(folder, { recursive: true }));

/** Writes a file there and returns its path. */
export function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

// What test files call `rules: rules.yaml`.
file(
  'rules.yaml',
  `
- list: shells
  items: [bash, sh]
- macro: started
  condition: (evt.type in (execve, execveat) and proc.name in (shells))
- rule: Shell
  desc: d
  condition: started and not proc.pname startswith apt
  output: shell %proc.name by %proc.pname (%proc.pid) %fd.types
  priority: NOTICE
- rule: Any start
  desc: d
  condition: evt.type = execve
  output: "%evt.time"
  priority: NOTICE
- rule: Off
  desc: d
  condition: evt.type = open
  output: o
  priority: NOTICE
  enabled: false
`,
);
