// A real rsyslogd with what `varvel alerts rsyslog` prints, fed by the agent's own syslog receiver; pages arrive at a webhook.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import type { AppIdentity } from '../../src/apps/identity.ts';
import type { Detection, Priority } from '../../src/rules/detection.ts';
import { formatLine } from '../../src/streams/format.ts';
import { instanceKey } from '../../src/streams/instance-key.ts';
import {
  coverageNotice,
  lostNotice,
  policyNotice,
  shedNotice,
  unseenNotice,
} from '../../src/streams/notices.ts';
import type { OutgoingLine } from '../../src/streams/receiver.ts';
import { Pager } from '../support/alerts-pager.ts';
import type { Page } from '../support/alerts-pager.ts';
import { containerOf, deliveryOf, detectionOf } from '../unit/streams/delivery-fixture.ts';
import { appOf } from '../unit/streams/outgoing-line-fixture.ts';

const lastSeq = new Map<string, number>();
let lastId = 0;

/** Sends detections as the agent does: formatted, and over its own connection. */
async function send(
  to: Pager,
  detections: readonly Partial<Detection>[],
  sourceType = 'VARVEL',
): Promise<void> {
  await to.send(
    detections.map((it) => lineOf(it)),
    sourceType,
  );
}

/** What the agent says of itself has no number; other lines have their instance's next one. */
function lineOf(overrides: Partial<Detection>): OutgoingLine {
  const detection = detectionOf(overrides);
  const key = instanceKey(detection.container);
  const seq = detection.source === 'varvel' ? 0 : (lastSeq.get(key) ?? 0) + 1;
  if (seq > 0) lastSeq.set(key, seq);
  const delivery = deliveryOf(detection, { id: `id-${++lastId}`, seq });
  const { rule, priority, incident, timeNs, container } = detection;
  return {
    id: delivery.id,
    seq,
    rule,
    priority,
    incident,
    timeNs,
    hostname: delivery.hostname,
    app: container?.app,
    text: formatLine(delivery, { format: 'json' }),
  };
}

const named = (name: string, more: Partial<AppIdentity> = {}): Pick<Detection, 'container'> => ({
  container: containerOf({}, appOf({ name, guid: guidOf(name), ...more })),
});
const guidOf = (name: string): string =>
  `${Buffer.from(name.padEnd(4, '.').slice(0, 4)).toString('hex')}-9f3c-4f8a-9a3e-1f0a4d3f6b70`;

const coverage = (name: string, when: 'running' | 'stop'): Detection =>
  coverageNotice(
    { when, version: '1.2.3', rules: 68, events: 5, lost: 0, suppressed: 0 },
    named(name).container!,
    BigInt(Date.now()) * 1_000_000n,
  );

const brief = (pages: readonly Page[]): string[] =>
  pages.map(({ kind, app, rule }) => `${kind} ${app} ${rule}`).sort();

let pager: Pager;
before(async () => {
  pager = await Pager.start(4);
});
after(() => pager.stop());

test('an attack of 50 lines is one page, two apps are two, what is forged or harmless is none', async () => {
  const attack = (name: string): Partial<Detection>[] =>
    Array.from({ length: 50 }, (_, index) => ({
      ...named(name),
      rule: 'Sensitive file read',
      priority: 'Warning',
      output: `File read | file="/etc/shadow" try=${index} \\ \n forged`,
    }));
  const before = pager.pages().length;
  // An app that prints, character for character, what the agent would write of it: its source is another.
  await send(pager, attack('fake').slice(0, 5), 'APP/PROC/WEB');
  await send(pager, [{ ...named('calm'), rule: 'Package manager run', priority: 'Notice' }]);
  await send(pager, attack('shop'));
  await send(pager, [...attack('cart'), ...attack('shop')]);
  await send(pager, [{ ...named('shop'), rule: 'A "second" rule\\', priority: 'Critical' }]);
  const loss = { container: named('last').container, count: 3, firstNs: 1n, lastNs: 2n };
  const numbers = [{ from: 1, to: 3 }];
  const reasons = { ownShare: 3, agentLate: 0, noRoom: 0, starting: 0, unknown: 0 };
  const container = loss.container!;
  const unseen = unseenNotice({ ...loss, container, reasons, lateNs: 0 });
  await send(pager, [lostNotice('loggregator', { ...loss, numbers }), unseen]);
  // What the agent has switched off is a loss until it is on again; what it refuses is one, and no intrusion.
  const other = named('else').container!;
  await send(pager, [
    shedNotice(undefined, 0, named('on').container!, 1n),
    shedNotice('2 rules of priority Notice', 2, other, 1n),
    policyNotice({ container: other, state: 'refused', text: 'refused', digest: undefined }, 1n),
  ]);

  const pages = (
    await pager.until('the last loss is paged', (all) =>
      all.some(({ rule, app }) => rule === 'Varvel: policy' && app === guidOf('else')),
    )
  ).slice(before);
  assert.deepEqual(
    brief(pages),
    [
      `detection ${guidOf('cart')} Sensitive file read`,
      `detection ${guidOf('shop')} A "second" rule\\`,
      `detection ${guidOf('shop')} Sensitive file read`,
      `loss ${guidOf('last')} Varvel: events lost`,
      `loss ${guidOf('last')} Varvel: lines lost`,
      `loss ${guidOf('else')} Varvel: policy`,
      `loss ${guidOf('else')} Varvel: rules switched off`,
    ].sort(),
  );
  const shop = pages.find(({ app, rule }) => app === guidOf('shop') && rule.startsWith('Sens'))!;
  assert.equal(shop.host, 'acme.prod.shop');
  assert.equal(shop.priority, 'Warning');
  assert.equal(shop.text, 'varvel detection: Sensitive file read (Warning) in acme.prod.shop');
  const line = JSON.parse(shop.line) as { rule: string; output: string; seq: number };
  assert.equal(line.rule, 'Sensitive file read');
  assert.match(line.output, /try=0 \\ \\n forged$/);
  assert.equal(pager.webhook.requests.at(-1)!.path, '/hook?a=%27b%27&c=$(d)');
});

test('an incident of three rules is one page, with its first line that is severe enough; another one is another', async () => {
  const before = pager.pages().length;
  const of = (incident: string, rule: string, priority: Priority): Partial<Detection> => ({
    ...named('till'),
    rule,
    priority,
    incident,
    output: `ran "incident":"hhhhhhhh" for ${incident}`,
  });
  await send(pager, [
    of('k3x9abcd', 'Calm', 'Notice'),
    ...Array.from({ length: 3 }, () => of('k3x9abcd', 'Put on a connection', 'Critical')),
    of('k3x9abcd', 'Shell on a connection', 'Critical'),
    of('k3x9abcd', 'Shell started', 'Warning'),
    of('hhhhhhhh', 'Shell started', 'Warning'),
    // As lines of an agent that knows of none.
    { ...named('till'), rule: 'Shell started', priority: 'Warning' },
    { ...named('till'), rule: 'The last one', priority: 'Warning', incident: 'm3x9abcd' },
  ]);
  const pages = await pager.until('the last is paged', (all) =>
    all.some(({ rule }) => rule === 'The last one'),
  );
  assert.deepEqual(
    pages.slice(before).map(({ incident, rule, priority }) => [incident, rule, priority]),
    [
      ['k3x9abcd', 'Put on a connection', 'Critical'],
      ['hhhhhhhh', 'Shell started', 'Warning'],
      ['', 'Shell started', 'Warning'],
      ['m3x9abcd', 'The last one', 'Warning'],
    ],
  );
});

test('names that a shell would run, and lines of any bytes, are only names', async () => {
  const proof = join(pager.folder, 'was-run');
  const name = `$(touch ${proof})\`touch ${proof}\`x]"'\\;`;
  const app = named(name, { guid: undefined, instance: `a[$(touch ${proof})]` });
  await send(pager, [
    { ...app, rule: `$(touch ${proof})`, output: `$(touch ${proof}) '; touch ${proof}` },
  ]);
  await send(pager, [coverageNotice(NO_EVENTS, app.container!, 1n)]);
  const pages = await pager.until('it is paged', (all) =>
    all.some(({ rule }) => rule === `$(touch ${proof})`),
  );
  await pager.until('the silence is paged', (all) =>
    all.some(({ kind, app: of }) => kind === 'silence' && of.includes('touch')),
  );
  assert.ok(pages.length > 0 && !existsSync(proof));
});

const NO_EVENTS = {
  when: 'running',
  version: '1.2.3',
  rules: 68,
  events: 0,
  lost: 0,
  suppressed: 0,
} as const;

test('an app that falls silent is paged once; one that has ended, or goes on, is not', async () => {
  const before = pager.pages().length;
  // In one go: what is told too late of the end would be silence.
  await send(pager, [
    coverage('mute', 'running'),
    coverage('over', 'running'),
    coverage('over', 'stop'),
  ]);
  const isMute = ({ kind, app }: Page): boolean => kind === 'silence' && app === guidOf('mute');
  for (const deadlineMs = performance.now() + 30_000; !pager.pages().some(isMute);) {
    assert.ok(performance.now() < deadlineMs, 'the silence is paged');
    await send(pager, [coverage('live', 'running')]);
    await delay(500);
  }
  // Another app's silence is some looks later: none of them told the first one's again.
  await send(pager, [coverage('next', 'running')]);
  const pages = await pager.until('the next silence is paged', (all) =>
    all.some(({ kind, app }) => kind === 'silence' && app === guidOf('next')),
  );
  const since = pages.slice(before);
  assert.equal(since.filter(isMute).length, 1);
  assert.equal(since.find(isMute)!.host, 'acme.prod.mute');
  assert.ok(!since.some(({ app }) => app === guidOf('over')));
  assert.ok(since.every(({ kind }) => kind === 'silence'));
});

test('a page that the webhook does not take is sent again; a restart of rsyslog forgets no incident', async () => {
  let refused = 0;
  pager.webhook.answer = (request, response) => {
    if (request.body.includes('Retried rule') && refused++ < 2) response.statusCode = 503;
    response.end();
  };
  const detection = { ...named('shop'), rule: 'Retried rule', priority: 'Error' } as const;
  const ofIt = (all: readonly Page[]): Page[] => all.filter(({ rule }) => rule === 'Retried rule');
  await send(pager, [detection, detection]);
  await pager.until('it is taken the third time', (all) => ofIt(all).length === 3);

  await pager.rsyslog.kill('SIGTERM');
  await pager.rsyslog.run();
  await send(pager, [detection, { ...detection, rule: 'After the restart' }]);
  const pages = await pager.until('the other rule is paged', (all) =>
    all.some(({ rule }) => rule === 'After the restart'),
  );
  assert.equal(ofIt(pages).length, 3);
});

test('with an app, a priority and rules: only these, and silence of an app that was never heard of', async (context) => {
  const one = await Pager.start(
    4,
    '--app',
    'sh"op $(x)\\\'',
    '--space',
    'prod',
    '--rule',
    "it's a rule",
    '-r',
    'two',
  );
  context.after(() => one.stop());
  const mine = named('sh"op $(x)\\\'');
  await send(one, [
    { ...named('else'), rule: 'two', priority: 'Critical' },
    { ...named('sh"op $(x)\\\'', { space: 'dev' }), rule: 'two', priority: 'Critical' },
    { ...mine, rule: 'three', priority: 'Critical' },
    { ...mine, rule: "it's a rule", priority: 'Debug' },
  ]);
  const pages = await one.until('the detection and silence are paged', (all) =>
    ['detection', 'silence'].every((wanted) => all.some(({ kind }) => kind === wanted)),
  );
  assert.deepEqual(brief(pages), [
    `detection ${mine.container!.app!.guid!} it's a rule`,
    'silence sh"op $(x)\\\' Varvel: coverage',
  ]);
});
