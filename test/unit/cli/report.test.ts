import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { runCommand, runCommandOn } from '../../support/run-command.ts';
import { line, START_MS } from '../reading/report-fixture.ts';

const folder = mkdtempSync(join(tmpdir(), 'varvel-report-'));
after(() => rmSync(folder, { recursive: true }));
const log = join(folder, 'log');
writeFileSync(
  log,
  [
    line(1, 0, { rule: 'Shell started by an app' }),
    line(2, 3600, { rule: 'Mine' }),
    'GET / 200',
    '',
  ].join('\n'),
);

test('a page in a file, and what is in it on stderr', async () => {
  const page = join(folder, 'page.html');
  const { code, out, err } = await runCommand('report', log, '-o', page);
  assert.deepEqual([code, out], [0, '']);
  assert.equal(err, `2 detections of 2 rules in 3 lines. The report is ${page}.\n`);
  const html = readFileSync(page, 'utf8');
  assert.match(html, /^<!DOCTYPE html>\n/);
  // From the rules that come with varvel.
  assert.match(html, /most exploits that run commands/);
  assert.match(html, /What to do now/);
  const explained = await runCommand('explain', '--json', 'Shell started by an app');
  const { runbook } = JSON.parse(explained.out) as { runbook: { means: string; benign: string } };
  for (const text of [runbook.means, runbook.benign])
    assert.ok(html.includes(text.split(/[`&<>"']/)[0] ?? ''), text);
});

test('standard input and output; a time, an app, a detection', async () => {
  const input = readFileSync(log);
  const rules = async (...options: string[]): Promise<string[]> => {
    const { code, out } = await runCommandOn([input], 'report', ...options);
    assert.equal(code, 0);
    return [...out.matchAll(/<h3>(.*?)<\/h3>\s*<span class="count">/g)].map(
      ([, rule = '']) => rule,
    );
  };
  assert.deepEqual(await rules(), ['Shell started by an app', 'Mine']);
  assert.deepEqual(await rules('-', '--since', '2026-01-31T08:30'), ['Mine']);
  assert.deepEqual(await rules('--since', '2026-01-31 09:30:00+01:00', '-'), ['Mine']);
  assert.deepEqual(await rules('--until', '2026-01-31T08:30:00.5Z'), ['Shell started by an app']);
  assert.deepEqual(await rules('--until', '2026-01-31'), []);
  const agoHours = Math.floor((Date.now() - START_MS) / 3_600_000);
  assert.deepEqual(await rules('--since', `${agoHours}h`), ['Mine']);
  assert.deepEqual(await rules('--id', 'id-2-3600'), ['Mine']);
  assert.deepEqual(await rules('--app', 'pay'), []);
});

test('bytes that are no UTF-8, lines of 100 KiB and of 8 KiB of markup, a last line without an end', async () => {
  const huge = line(1, 0, {
    output: '<b>'.repeat(5000),
    outputFields: { 'fd.name': '<i>'.repeat(5000) },
  });
  assert.ok(huge.length > 8000);
  const { code, out, err } = await runCommandOn(
    [
      Buffer.from([0x3c, 0xff, 0xfe, 0x0a]),
      'x'.repeat(100 * 1024),
      '\r\n',
      huge.slice(0, 4000),
      huge.slice(4000),
      '\n',
      Buffer.from([0xe2, 0x82]),
    ],
    'report',
  );
  assert.equal(code, 0);
  assert.equal(err, '1 detection of 1 rule in 4 lines.\n');
  assert.match(out, /&lt;\ufffd\ufffd/);
  assert.match(out, /x{2000}…/);
  assert.doesNotMatch(out, /x{2001}|<b><b>|<i>/);
  assert.ok(out.includes(huge.slice(-60).replaceAll('"', '&quot;')), 'the whole line is there');
});

test('rules of one’s own say what they are for', async () => {
  const mine = join(folder, 'mine.yaml');
  writeFileSync(
    mine,
    '- rule: Mine\n  desc: "My reason. What to do: My advice."\n  condition: evt.type = execve\n  output: x\n  priority: error\n',
  );
  const { out } = await runCommand('report', log, '--rules', mine);
  assert.match(out, /My reason\..*What to do now<\/b>\s*My advice\./s);
  const runbook = join(folder, 'runbook');
  mkdirSync(runbook);
  const entry = join(runbook, 'mine.yaml');
  writeFileSync(
    entry,
    '- {rule: Mine, means: M., look: [a, b, c], benign: B., attack: A., contain: C., keep: K., tell: team, except: apps}\n',
  );
  const told = await runCommand('report', log, '--rules', mine);
  assert.match(told.out, /What to do now<\/b>\s*<p>M\.<\/p>/);
  assert.doesNotMatch(told.out, /My advice/);
  writeFileSync(entry, '- {rule: Mine, meens: M.}\n');
  const broken = await runCommand('report', log, '--rules', mine);
  assert.match(broken.err, /mine\.yaml:1:\d+: .*unknown key 'meens'/);
  rmSync(runbook, { recursive: true });
  writeFileSync(mine, '- rule: Mine\n');
  const { code, err } = await runCommand('report', log, '--rules', mine);
  assert.equal(code, 1);
  assert.match(err, /mine\.yaml:1/);
});

const WRONG: readonly (readonly [argv: readonly string[], err: RegExp, code?: number])[] = [
  [['report', '/nowhere/log'], /Cannot read the log: there is no such file/],
  [['report', log, '-o', '/nowhere/x.html'], /Cannot write the report: its folder is not there/],
  [['report', log, '--since', 'yesterday'], /--since is a time such as .*; it is "yesterday"/],
  [['report', log, '--until', '2026-13-01'], /--until is a time such as/],
  [['report', log, '--since', '2026-01-02', '--until', '2026-01-01'], /--since is after --until/],
  [['report', log, '--id', 'none'], /There is no detection with the id none in this log/, 1],
  [['report', log, log], /is too much/],
];
for (const [argv, message, code = 2] of WRONG) {
  test(`a clear error: varvel ${argv.map((one) => one.replace(folder, '…')).join(' ')}`, async () => {
    const run = await runCommand(...argv);
    assert.equal(run.code, code);
    assert.match(run.err, message);
    assert.equal(run.out, '');
    assert.ok(!existsSync('/nowhere'));
  });
}
