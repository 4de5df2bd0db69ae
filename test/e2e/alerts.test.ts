// From a system call to a page: the agent, its syslog stream, a real rsyslogd with what `varvel alerts rsyslog` prints, a webhook.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { LOST_TEXT, Pager } from '../support/alerts-pager.ts';
import type { Page } from '../support/alerts-pager.ts';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { buildApp, E2eAgent, until } from '../support/e2e-agent.ts';
import { execInContainer, runContainer } from '../support/e2e-docker.ts';

const RULES = `
- rule: Data file opened
  desc: A test's own.
  condition: evt.type in (open, openat, openat2) and fd.name in (/data/file, ${LOST_TEXT})
  output: opened by %proc.cmdline
  priority: ERROR
`;

let engine: TestDockerd;
let folder: string;
let binds: readonly string[];
let pager: Pager;

before(async () => {
  engine = await startDockerd();
  await engine.importBusybox();
  folder = mkdtempSync(join(tmpdir(), 'varvel-e2e-alerts-'));
  // There before the app is: an attack may come before an app’s first command.
  const data = join(folder, 'data');
  mkdirSync(data);
  writeFileSync(join(data, 'file'), 'x\n');
  writeFileSync(join(folder, LOST_TEXT), 'x\n');
  binds = [buildApp(folder), `${data}:/data:ro`];
  pager = await Pager.start(20);
});

after(async () => {
  await engine[Symbol.asyncDispose]();
  await pager.stop();
  rmSync(folder, { recursive: true, force: true });
});

const brief = ({ kind, app, rule }: Page): string => `${kind} of ${app}: ${rule}`;

test('an attack of 50 lines is one page; a tail that is lost on the way and a killed agent are one each; an app that ends is none', async () => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': RULES },
    config: ['limits: {enabled: false}', 'coverage: {interval: 5s}'],
    streams: [
      'container: {enabled: false}',
      `syslog: {url: 'syslog+tcp://127.0.0.1:${pager.rsyslog.ports.tcp}'}`,
    ],
  });
  const apps = await Promise.all(
    ['shop', 'short'].map((name) =>
      runContainer(engine, 'exec sleep 600', {
        // With an instance its lines are counted: none of them is to be missing.
        labels: { 'varvel.enable': 'true', 'varvel.app': name, 'varvel.instance': '0' },
        hostConfig: { Binds: [...binds] },
      }),
    ),
  );
  try {
    const [shop, short] = apps as [(typeof apps)[0], (typeof apps)[0]];
    assert.equal(await execInContainer(shop, '/app storm 50 /data/file'), 0);
    const lines = (rule: string, app: string): number =>
      pager.rsyslog
        .received()
        .filter(({ app: of, sd }) => of === app && sd.includes(`varvel_rule="${rule}"`)).length;
    await until('all lines are at the receiver', () => lines('Data file opened', 'shop') >= 50);
    await until('both are watched', () =>
      ['shop', 'short'].every((app) => lines('Varvel: coverage', app) > 0),
    );
    // The last lines: without a coverage line nothing would show that they are missing.
    assert.equal(await execInContainer(shop, `/app storm 3 ${LOST_TEXT}`), 0);
    const [loss] = (
      await pager.until('the lost tail is paged', (all) => all.some(({ kind }) => kind === 'loss'))
    ).filter(({ kind }) => kind === 'loss');
    assert.match(loss!.line, /^Lines \d+ to \d+ of instance 0 on \S+ did not arrive here$/);
    await short.remove({ force: true });
    await until('its end is told', () =>
      pager.rsyslog.received().some(({ app, msg }) => app === 'short' && msg.includes('has ended')),
    );
    agent.kill('SIGKILL');
    const pages = await pager.until('the silence is paged', (all) =>
      all.some(({ kind }) => kind === 'silence'),
    );
    assert.deepEqual(pages.map(brief), [
      'detection of shop: Data file opened',
      'loss of shop: Varvel: lines lost',
      'silence of shop: Varvel: coverage',
    ]);
  } finally {
    await Promise.all(apps.map((app) => app.remove({ force: true }).catch(() => undefined)));
  }
});
