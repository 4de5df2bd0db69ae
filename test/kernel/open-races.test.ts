// Opens of a secret, raced: what a rule on its path sees of 10,000.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { RuleEngine } from '../../src/rules/engine.ts';
import { KernelProbe } from '../support/kernel-probe.ts';
import { ruleFile, ruleSetOf } from '../support/rules-load.ts';
import { makeProcess, makeSubject } from '../support/rules-subject.ts';

const COUNT = 10_000;
/** Who wins a race is not for us to say: on a busy machine the right moment comes seldom. */
const MIN_ROUNDS = 10;
const MIN_MS = 60_000;
const SOURCE = new URL('../support/open-races.c', import.meta.url).pathname;

interface Race {
  /** Opens that succeeded; of these the first byte read was the secret's. */
  readonly opened: number;
  readonly secrets: number;
  /** Opens that a rule on the secret's path matched. */
  readonly matched: number;
}

describe('a raced open', () => {
  let probe: KernelProbe;
  let dir: string;
  let secret: string;
  before(() => {
    probe = new KernelProbe();
    dir = realpathSync(mkdtempSync(join(tmpdir(), 'varvel-races-')));
    secret = join(dir, 'secret');
    writeFileSync(secret, 'S');
    writeFileSync(join(dir, 'decoys'), 'D');
    execFileSync('gcc', [
      ...['-static', '-O1', '-Wall', '-Wextra', '-Werror', '-pthread', '-o'],
      ...[join(dir, 'races'), SOURCE],
    ]);
  });
  after(async () => {
    await probe.close();
    rmSync(dir, { recursive: true, force: true });
  });

  async function round(mode: string, at: number): Promise<Race> {
    const cgroup = probe.mkdir(`${mode}-${at}`);
    const child = spawn(join(dir, 'races'), [
      ...[cgroup.dir, mode, String(COUNT), secret, join(dir, 'decoys')],
    ]);
    const [said] = await Promise.all([text(child.stdout), once(child, 'close')]);
    await probe.settle();
    assert.equal(probe.entry(cgroup).dropped, 0);
    const condition = `evt.type in (open,openat) and evt.is_open_read=true and fd.num>=0 and fd.name=${secret}`;
    const engine = new RuleEngine(ruleSetOf(ruleFile(condition)));
    const opens = probe.eventsOf(child.pid!, 'open', 'openat').filter(({ result }) => result >= 0);
    const process = makeProcess();
    const matched = opens.filter(
      (event) => engine.evaluate(makeSubject(event, { process })).length > 0,
    ).length;
    const counts = JSON.parse(said) as { opened: number; secrets: number };
    probe.events.length = 0;
    // One more: of the decoy, by the program itself.
    assert.equal(opens.length, counts.opened + 1, 'each open is reported once');
    return { ...counts, matched };
  }

  /** Rounds until the race was won in one open at least: `won` says in how many. */
  async function race(mode: string, won: (race: Race) => number): Promise<Race> {
    const sum = { opened: 0, secrets: 0, matched: 0 };
    for (let at = 0, end = Date.now() + MIN_MS; at < MIN_ROUNDS || Date.now() < end; at++) {
      const one = await round(mode, at);
      sum.opened += one.opened;
      sum.secrets += one.secrets;
      sum.matched += one.matched;
      if (won(sum) > 0) return sum;
    }
    throw new Error(`the race was not won in ${sum.opened} opens`);
  }

  const notSecret = ({ opened, secrets }: Race): number => opened - secrets;

  test('dup2 from a sibling thread hides none: the path that was passed is looked at as well', async (t) => {
    const all = await race('dup2', notSecret);
    assert.equal(all.matched, all.opened);
    t.diagnostic(`${all.opened} opens, ${notSecret(all)} with another file by then; none missed`);
  });

  test('a path that is changed in memory hides none: the file that was opened is looked at as well', async (t) => {
    const all = await race('swap', notSecret);
    assert.ok(all.matched >= all.secrets, `${all.matched} of ${all.secrets}`);
    t.diagnostic(`${all.secrets} of ${all.opened} opens read the secret; none missed`);
  });

  test('a symbolic link that is swapped hides none', async (t) => {
    const all = await race('link', notSecret);
    assert.equal(all.matched, all.secrets);
    t.diagnostic(`${all.secrets} of ${all.opened} opens read the secret; none missed`);
  });

  /**
   * Both at once can hide an open from a tracepoint at its end: the descriptor has another file by then, and memory
   * another path. Only hooks in the kernel's open itself (LSM) would see it.
   */
  test('both at once: what can still be read as the secret is seen', async (t) => {
    const all = await race('both', notSecret);
    assert.ok(all.matched >= all.secrets, `${all.matched} of ${all.secrets}`);
    t.diagnostic(`${all.opened} opens, ${all.secrets} read the secret, ${all.matched} matched`);
  });
});
