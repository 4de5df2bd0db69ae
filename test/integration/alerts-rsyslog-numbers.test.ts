// Lines that never come: a real rsyslogd with what `varvel alerts rsyslog` prints pages for numbers that stay away.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import type { AppIdentity } from '../../src/apps/identity.ts';
import { formatLine } from '../../src/streams/format.ts';
import { coverageNotice, gapNotice, lostNotice } from '../../src/streams/notices.ts';
import type { NumberRange } from '../../src/streams/number-range.ts';
import type { OutgoingLine } from '../../src/streams/receiver.ts';
import { Pager } from '../support/alerts-pager.ts';
import type { Page } from '../support/alerts-pager.ts';
import { containerOf, deliveryOf, detectionOf } from '../unit/streams/delivery-fixture.ts';
import { appOf } from '../unit/streams/outgoing-line-fixture.ts';

let pager: Pager;
before(async () => {
  pager = await Pager.start(600);
});
after(() => pager.stop());

let lastId = 0;

/** An app instance on a host, and its lines. */
class Instance {
  readonly container;
  readonly #hostname: string;

  constructor(
    name: string,
    { hostname = 'cell-1', ...more }: Partial<AppIdentity> & { hostname?: string } = {},
  ) {
    this.container = containerOf({}, appOf({ name, guid: undefined, ...more }));
    this.#hostname = hostname;
  }

  detection(seq: number): OutgoingLine {
    return this.#line(detectionOf({ container: this.container, priority: 'Informational' }), seq);
  }

  coverage(
    lastLine: number | undefined,
    when: 'start' | 'running' | 'stop' = 'running',
  ): OutgoingLine {
    const facts = { version: '1.2.3', rules: 68, events: 5, lost: 0, suppressed: 0 };
    return this.#line(coverageNotice({ ...facts, when, lastLine }, this.container, nowNs()), 0);
  }

  /** The agent does not know which of these numbers were given. */
  gap(from: number, to: number, why: 'ended' | 'host'): OutgoingLine {
    return this.#line(gapNotice({ from, to, why }, this.container, nowNs()), 0);
  }

  /** The agent could not write these. */
  lost(count: number, ...numbers: NumberRange[]): OutgoingLine {
    const { container } = this;
    const notice = lostNotice('syslog', {
      container,
      count,
      firstNs: 1n,
      lastNs: nowNs(),
      numbers,
    });
    return this.#line(notice, 0);
  }

  #line(detection: ReturnType<typeof detectionOf>, seq: number): OutgoingLine {
    const delivery = deliveryOf(detection, { id: `id-${++lastId}`, seq, hostname: this.#hostname });
    const { rule, priority, timeNs, container } = detection;
    return {
      id: delivery.id,
      seq,
      rule,
      priority,
      timeNs,
      hostname: this.#hostname,
      app: container?.app,
      text: formatLine(delivery, { format: 'json' }),
    };
  }
}

const nowNs = (): bigint => BigInt(Date.now()) * 1_000_000n;

/**
 * Sends lines, and then those of an app that has lost its tail: its page comes no sooner than that of what was sent before.
 * Returns all pages of these.
 */
async function pagesOf(...lines: readonly OutgoingLine[]): Promise<Page[]> {
  const before = pager.pages().length;
  await pager.send(lines);
  const last = new Instance(`last-${++lastId}`);
  await pager.send([last.coverage(0, 'start'), last.coverage(1)]);
  const name = last.container.app!.name;
  const isLast = ({ app }: Page): boolean => app === name;
  const all = await pager.until('the page of what came last', (pages) => pages.some(isLast));
  return all.slice(before).filter((page) => !isLast(page));
}

const said = (pages: readonly Page[]): string[] =>
  pages.map(({ kind, app, rule, line }) => `${kind} of ${app}: ${rule}: ${line}`);

test('a tail that a coverage line goes beyond is paged; so are all lines, and a hole', async () => {
  const [tail, all, hole] = [new Instance('tail'), new Instance('all'), new Instance('hole')];
  const pages = await pagesOf(
    tail.coverage(0, 'start'),
    tail.detection(1),
    tail.detection(2),
    tail.coverage(5),
    all.coverage(0, 'start'),
    all.coverage(3, 'stop'),
    hole.detection(7),
    hole.detection(9),
  );
  const lost = (name: string, which: string): string =>
    `loss of ${name}: Varvel: lines lost: ${which} of instance 0 on cell-1 did not arrive here`;
  assert.deepEqual(said(pages).sort(), [
    lost('all', 'Lines 1 to 3'),
    lost('hole', 'Line 8'),
    lost('tail', 'Lines 3 to 5'),
  ]);
});

test('what the agent says it lost is paged once, though its numbers are missing too', async () => {
  const told = new Instance('told');
  const pages = await pagesOf(
    told.detection(1),
    told.detection(6),
    told.lost(4, { from: 2, to: 5 }),
  );
  assert.deepEqual(
    pages.map(({ kind, app, rule }) => `${kind} of ${app}: ${rule}`),
    ['loss of told: Varvel: lines lost'],
  );
});

test('what is whole pages nothing: overtaken lines, a log that begins late, one that starts again', async () => {
  const [late, swapped, again] = [
    new Instance('late'),
    new Instance('swapped'),
    new Instance('again'),
  ];
  const [moved, there] = [new Instance('moved'), new Instance('moved', { hostname: 'cell-2' })];
  const [second, worker] = [
    new Instance('moved', { instance: '1' }),
    new Instance('moved', { processType: 'worker' }),
  ];
  const pages = await pagesOf(
    late.coverage(500),
    late.detection(501),
    late.coverage(501),
    late.coverage(undefined),
    swapped.detection(1),
    swapped.coverage(4),
    swapped.detection(4),
    swapped.detection(2),
    swapped.detection(3),
    swapped.detection(3),
    // Numbers go on with the next container, and with the next agent.
    again.detection(1),
    again.coverage(1, 'stop'),
    again.coverage(1, 'start'),
    again.detection(2),
    again.coverage(2),
    // After a host’s end some are never given, and an agent without a folder begins anew.
    again.gap(3, 1_000_002, 'host'),
    again.detection(1_000_003),
    again.coverage(1_000_003),
    again.coverage(0, 'start'),
    again.detection(1),
    again.coverage(1),
    // Each host, instance and process counts for itself.
    moved.detection(1),
    moved.coverage(1, 'stop'),
    there.coverage(0, 'start'),
    there.detection(1),
    there.coverage(1),
    second.coverage(40),
    second.detection(41),
    second.coverage(41),
    worker.coverage(90),
    worker.detection(91),
    worker.coverage(91),
  );
  assert.deepEqual(said(pages), []);
});

test('containers of one name without an instance have numbers of their own: none of them is missing', async () => {
  const [one, other] = ['one', 'two'].map(() => new Instance('twins', { instance: undefined }));
  const pages = await pagesOf(
    one!.coverage(0, 'start'),
    one!.detection(1),
    one!.coverage(1),
    other!.coverage(70),
    other!.detection(71),
    other!.coverage(71),
  );
  assert.deepEqual(said(pages), []);
});

test('what an agent that was killed had given and not written is paged', async () => {
  const killed = new Instance('killed');
  const pages = await pagesOf(killed.detection(1), killed.gap(2, 3, 'ended'), killed.detection(4));
  assert.deepEqual(said(pages), [
    'loss of killed: Varvel: lines lost: Lines 2 to 3 of instance 0 on cell-1 did not arrive here',
  ]);
});

test('a restart of rsyslog forgets no number; after an unclean end counting begins anew', async () => {
  const [clean, unclean] = [new Instance('clean'), new Instance('unclean')];
  assert.deepEqual(await pagesOf(clean.coverage(0, 'start'), clean.detection(1)), []);
  await pager.rsyslog.kill('SIGTERM');
  await pager.rsyslog.run();
  const pages = await pagesOf(
    clean.coverage(2),
    unclean.coverage(0, 'start'),
    unclean.detection(1),
  );
  assert.deepEqual(said(pages), [
    'loss of clean: Varvel: lines lost: Line 2 of instance 0 on cell-1 did not arrive here',
  ]);
  await pager.killProgram();
  assert.deepEqual(said(await pagesOf(unclean.coverage(5), unclean.detection(6))), []);
});
