import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FALCO_RULE_COUNT, FALCO_RULE_FILES, falcoRuleNeeds } from '../../support/falco.ts';
import { runCommand } from '../../support/run-command.ts';
import { file, type Explained } from './explain-fixture.ts';

const RULES = `
- list: shells
  items: [bash, sh]
- macro: started
  condition: (evt.type in (execve, execveat) and evt.rawres = 0)
- macro: shell
  condition: (proc.name in (shells) or proc.exepath regex ".*/k?sh")
- rule: Shell by another
  desc: A shell that is no shell's.
  condition: started and shell and not (proc.pname in (shells) or container.id = host)
  output: "%proc.name %proc.cmdline"
  priority: WARNING
  tags: [b, a]
- rule: Traced
  desc: Nothing reports it.
  condition: evt.type = ioctl and evt.arg.request = 1
  output: o
  priority: NOTICE
  enabled: false
`;

describe('varvel explain', () => {
  test('a rule as a page', async () => {
    const path = file('rules.yaml', RULES);
    const { code, out, err } = await runCommand('explain', 'Shell by another', path);
    assert.deepEqual([code, err], [0, '']);
    assert.equal(
      out,
      `Shell by another
  ${path}:8
  Warning; source syscall; tags a, b

  A shell that is no shell's.

Condition:
  evt.type in (execve, execveat)
  and evt.rawres = 0
  and (proc.name in (bash, sh) or proc.exepath regex .*/k?sh)
  and not (proc.pname in (bash, sh) or container.id = host)

Events:
  execve, execveat

With the response "deny":
  It can only kill the process after the effect: the kernel cannot be certain of
  this rule.
  The kernel does not decide:
  - proc.exepath regex .*/k?sh

Fields of the condition:
  container.id  CHARBUF  available
  evt.rawres    INT64    available
  evt.type      CHARBUF  available
  proc.exepath  CHARBUF  available
  proc.name     CHARBUF  available
  proc.pname    CHARBUF  available

Fields of the output besides:
  proc.cmdline  CHARBUF  available

Cost:
  hooks        sys_execve, sys_execveat: attached while a container is in scope
  comparisons  at most 6 an event, fewer where one settles it
  patterns     proc.exepath regex .*/k?sh
  worst case   0.09 ms for an event, 0.19 ms more for a detection: an estimate,
               for texts as long as they can be
`,
    );
  });

  test('a disabled rule of events that are not reported', async () => {
    const { out } = await runCommand('explain', 'traced', file('rules.yaml', RULES));
    assert.match(
      out,
      /tags none; disabled in its file: the operator’s\n {2}`rules` or an app’s policy can enable it\n/,
    );
    assert.match(out, /ioctl\n {2}The agent reports none of them yet: the rule never matches\.\n/);
    assert.match(out, /evt\.arg\.request {2}CHARBUF {2}not yet: absent in every event\n/);
    assert.match(out, /hooks {8}none of its own\n/);
  });

  test('what the kernel decides of a rule about file calls', async () => {
    const path = file(
      'opens.yaml',
      `- rule: Secret read
  desc: d
  condition: >
    evt.type in (open, openat) and evt.is_open_read = true and fd.num >= 0 and proc.pname = x
    and (fd.name startswith /secret/ and not fd.name endswith .pub or fd.directory = /keys)
  output: o
  priority: NOTICE
- rule: Failed
  desc: d
  condition: evt.type = creat and evt.failed = true and user.uid = 0
  output: o
  priority: NOTICE
`,
    );
    const { out } = await runCommand('explain', 'Secret read', path);
    assert.ok(
      out.includes(`
Decided in the kernel:
  6 of 7 comparisons. A call is reported for this rule only if it
  - is open or openat for reading and succeeds, with fd.directory = /keys
  - is open or openat for reading and succeeds, with fd.name startswith /secret/
    and not fd.name endswith .pub

`),
      out,
    );
    const failed = await runCommand('explain', 'Failed', path);
    assert.match(failed.out, /\n {2}- is creat and fails\n/);
    const json = await runCommand('explain', 'Secret read', path, '--json');
    const { kernel } = JSON.parse(json.out) as { kernel: { decided: number; passes: unknown[] } };
    assert.equal(kernel.decided, 6);
    assert.deepEqual(kernel.passes[0], {
      events: ['open', 'openat'],
      reads: true,
      writes: false,
      worked: true,
      failed: false,
      where: ['fd.directory = /keys'],
    });
    const moves = file(
      'moves.yaml',
      `- rule: Moved
  desc: d
  condition: >
    evt.type in (rename, unlink) and evt.rawres = 0
    and (evt.arg.newpath startswith /secret/ or evt.arg.path = /x)
  output: o
  priority: NOTICE
`,
    );
    const moved = await runCommand('explain', 'Moved', moves);
    assert.ok(
      moved.out.includes(`
  4 of 4 comparisons. A call is reported for this rule only if it
  - is rename and succeeds, with evt.arg.newpath startswith /secret/
  - is unlink and succeeds, with evt.arg.path = /x
`),
      moved.out,
    );
    const metadata = await runCommand('explain', 'Cloud metadata service contacted');
    assert.match(
      metadata.out,
      /\n {2}- is connect, with fd\.sip in \(169\.254\.169\.254, [^)]*\) and not\s+fd\.sport = 53\n/,
    );
    assert.match(
      metadata.out,
      /With the response "deny":\n {2}It refuses the connection before it is made\s+\(EPERM, by\s+cgroup\/connect4,\s/,
    );
    const programs = file(
      'programs.yaml',
      Object.entries({
        'New program': '',
        'By a user': ' and user.uid = 0',
        'By an ancestor': ' and proc.container_aname = cron',
        'By no ancestor': ' and not proc.container_aname = cron',
      })
        .map(
          ([name, more]) => `- rule: ${name}
  desc: d
  condition: evt.type = execve and proc.is_exe_upper_layer = true${more}
  output: o
  priority: NOTICE
`,
        )
        .join(''),
    );
    const certain = await runCommand('explain', 'New program', programs);
    assert.match(
      certain.out,
      /With the response "deny":\n {2}It ends the program before its first/,
    );
    const unsure = await runCommand('explain', 'By a user', programs);
    assert.match(
      unsure.out,
      /It can only kill the process after the effect: .*\n(?:.*\n)*.*- user\.uid = 0\n/,
    );
    // That no ancestor is one is known, but not that one is.
    const ancestors = await runCommand('explain', 'By an ancestor', programs);
    assert.match(
      ancestors.out,
      /It can only kill .*\n(?:.*\n)*.*does not decide:\n {2}- proc\.container_aname = cron\n\n/,
    );
    const none = await runCommand('explain', 'By no ancestor', programs);
    assert.match(none.out, /It ends the program before its first/);
    assert.doesNotMatch(none.out, /does not decide/);
    const alone = await runCommand('explain', 'By a user', programs, '--response', 'deny');
    assert.match(
      alone.out,
      /^By a user\n.*\n.*\n\n {2}d\n\nWith the response "deny":\n {2}It can only kill [^]*- user\.uid = 0\n$/,
    );
    const setns = file(
      'setns.yaml',
      '- rule: r\n  desc: d\n  condition: evt.type = setns\n  output: o\n  priority: NOTICE\n',
    );
    const late = await runCommand('explain', 'r', setns, '--response', 'deny');
    assert.match(late.out, /With the response "deny":\n {2}It kills the process after the event/);
    for (const [options, says] of [
      [['--response', 'pause'], /--response must be deny; it is "pause"/],
      [['--response', 'deny', '-r'], /--runbook or --response, not both/],
    ] as const) {
      const refused = await runCommand('explain', 'r', setns, ...options);
      assert.equal(refused.code, 2);
      assert.match(refused.err, says);
    }
    // Of a rule that can be certain some comparisons may stay undecided.
    const partly = await runCommand('explain', 'Network tool gives away a shell');
    assert.match(
      partly.out,
      /It ends the program before .*\n.*enough\.\n {2}The kernel does not decide:\n {2}- basename\(proc\.exe\) /,
    );
    const opens = file(
      'opens.yaml',
      ['= /etc/key.pem', 'endswith .pem']
        .map(
          (how) =>
            `- rule: Key ${how}\n  desc: d\n  condition: evt.type = openat and fd.name ${how}\n  output: o\n  priority: NOTICE\n`,
        )
        .join(''),
    );
    const named = await runCommand('explain', 'Key = /etc/key.pem', opens, '--response', 'deny');
    assert.match(named.out, /A file that it names is known by its\s+inode/);
    const ending = await runCommand('explain', 'Key endswith .pem', opens, '--response', 'deny');
    assert.match(ending.out, /It compares paths alone/);
    const other = await runCommand('explain', 'Shell by another', file('rules.yaml', RULES));
    assert.doesNotMatch(other.out, /Decided in the kernel/);
  });

  test('every rule, and those that come with varvel', async () => {
    const text = await runCommand('explain', '--all');
    const json = await runCommand('explain', '--all', '--json');
    const rules = JSON.parse(json.out) as Explained[];
    assert.ok(rules.length >= 14);
    for (const { rule } of rules) assert.ok(text.out.includes(`${rule}\n  `), rule);
    for (const line of text.out.split('\n')) assert.ok(line.length <= 80, line);
    const one = await runCommand('explain', 'Sensitive file read', '--json');
    assert.deepEqual(
      JSON.parse(one.out),
      rules.find(({ rule }) => rule === 'Sensitive file read'),
    );
  });

  test('a rule for apps that set a variable: its lists are empty, and it is off for all others', async () => {
    const name = 'Connection to a host that the app does not expect';
    const { out } = await runCommand('explain', name);
    assert.match(out, /tags [^;]*app_outbound_hosts[^;]*; disabled/);
    assert.match(out, /and not fd\.sip\.name in \(\)\n/);
    assert.match(out, /hooks +[^\n]*sys_connect/);
  });

  test('a rule that is left out', async () => {
    const rule = '- rule: r\n  desc: d\n  output: o\n  priority: error\n';
    const other = file('other.yaml', `${rule}  source: aws\n  condition: evt.num > 0\n`);
    const unknown = file(
      'unknown.yaml',
      `${rule}  skip-if-unknown-filter: true\n  condition: evt.type = open and no.such = 1\n`,
    );
    for (const [path, code] of [
      [other, 'LOAD_UNKNOWN_SOURCE'],
      [unknown, 'LOAD_UNKNOWN_FILTER'],
    ] as const) {
      const { code: exit, err } = await runCommand('explain', 'r', path);
      assert.equal(exit, 2);
      assert.match(
        err,
        /^varvel: The rule "r" is left out, so that there is nothing to explain\.\n/,
      );
      assert.ok(err.includes(`(${code})`), err);
    }
  });

  test('a list of 50,000 items, and a name that would steer the terminal', async () => {
    const items = Array.from({ length: 50_000 }, (_, at) => `/usr/bin/program-${at}`).join(', ');
    const path = file(
      'long.yaml',
      `- list: many\n  items: [${items}]\n- rule: "r\\e[2J"\n  desc: "d\\e[2J"\n  output: o\n` +
        '  priority: error\n  condition: evt.type = open and fd.name in (many)\n',
    );
    const { code, out } = await runCommand('explain', '--all', path);
    assert.equal(code, 0);
    assert.ok(!out.includes('\u001b'));
    assert.ok(out.split('\n').every((line) => line.length <= 80));
    assert.match(out, /program-49999\)\n/);
  });

  test('1: the rule files have errors', async () => {
    const path = file('bad.yaml', RULES.replace('execveat', 'execvat'));
    const { code, out, err } = await runCommand('explain', 'Traced', path);
    assert.deepEqual([code, out], [1, '']);
    assert.match(err, /bad\.yaml:5:\d+: error: .*unknown event type execvat/);
  });

  test('2: no such rule, no such file, nothing named', async () => {
    const path = file('rules.yaml', RULES);
    const says = async (pattern: RegExp, ...argv: string[]): Promise<void> => {
      const { code, err, out } = await runCommand('explain', ...argv);
      assert.deepEqual([code, out], [2, '']);
      assert.match(err, pattern);
    };
    await says(
      /There is no rule "Shell by an other" in .*Did you mean "Shell by another"\?/,
      'Shell by an other',
      path,
    );
    await says(/There is no rule "xyz" in these 2 files\.\n$/, 'xyz', path, path);
    await says(/There is no rule file by\. A name of several words needs quotes\./, 'Shell', 'by');
    await says(/Name a rule, in quotes, or say --all/);
    await says(/There is no rule file nope\.yaml\.\n$/, '--all', 'nope.yaml');
    await says(/it is not a regular file/, 'x', '/dev/null');
  });
});

test("R13 each of Falco's 93 rules: its events and its fields", async () => {
  const { code, out, err } = await runCommand('explain', '--all', '--json', ...FALCO_RULE_FILES);
  assert.equal(code, 0, err);
  const rules = new Map((JSON.parse(out) as Explained[]).map((rule) => [rule.rule, rule]));
  const rows = falcoRuleNeeds();
  assert.equal(rows.length, FALCO_RULE_COUNT);
  assert.equal(rules.size, FALCO_RULE_COUNT);
  for (const { rule, enabled, events, fields } of rows) {
    const found = rules.get(rule);
    assert.ok(found, rule);
    assert.deepEqual(found.events, events, rule);
    assert.equal(found.any_event, false, rule);
    assert.equal(found.enabled, enabled, rule);
    assert.deepEqual(
      found.condition_fields.map(({ key }) => key),
      fields,
      rule,
    );
  }
  const { out: page } = await runCommand('explain', '--all', ...FALCO_RULE_FILES);
  for (const { rule, events } of rows) {
    const own = page.slice(page.indexOf(`\n${rule}\n  `) + 1);
    const printed = /\nEvents:\n((?: {2}.*\n)+)/.exec(own)?.[1] ?? '';
    const names = printed.split(/\s+Not reported|\s+The agent reports/)[0] ?? '';
    assert.deepEqual(names.split(/[\s,]+/).filter(Boolean), events, rule);
  }
});

describe('what to do when a rule fires', () => {
  const NAME = 'Container client run in an app';

  test('comes first for the rules that have it written, and alone with --runbook', async () => {
    const all = await runCommand('explain', NAME);
    assert.match(all.out, /\n\nWhen it fires:\n[^]*\nLook first at:\n {2}1\. [^]*\nCondition:\n/);
    const only = await runCommand('explain', '-r', NAME.toUpperCase());
    assert.equal(only.code, 0);
    assert.match(only.out, /\nContain:\n[^]*\nKeep as evidence:\n[^]*\nMore:\n/);
    assert.doesNotMatch(only.out, /Condition:|Cost:/);
    for (const line of only.out.split('\n')) assert.ok(line.length <= 80, line);
    const json = await runCommand('explain', '--json', NAME);
    const { runbook } = JSON.parse(json.out) as { runbook: { rule: string; tell: string } };
    assert.deepEqual([runbook.rule, runbook.tell], [NAME, 'team-now']);
  });

  test('another rule of the same name is not taken for it', async () => {
    const path = file(
      'own.yaml',
      `- rule: ${NAME}\n  desc: d\n  output: o\n  priority: error\n  condition: evt.type = open\n`,
    );
    const { out } = await runCommand('explain', NAME, path);
    assert.doesNotMatch(out, /When it fires/);
    const only = await runCommand('explain', '-r', NAME, path);
    assert.match(only.out, /This rule has no runbook entry\./);
    const json = await runCommand('explain', '--json', NAME, path);
    assert.match(json.out, /"runbook": null/);
  });

  test('what the agent says of itself is no rule', async () => {
    const { code, err } = await runCommand('explain', 'varvel: lines lost');
    assert.equal(code, 2);
    assert.match(err, /is not a rule but a notice from the agent\. Lines are missing in this log/);
  });
});
