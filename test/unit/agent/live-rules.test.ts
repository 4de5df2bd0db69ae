import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { LiveRules, loadFirstRules, type LiveRulesOptions } from '../../../src/agent/live-rules.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { kernelPlanFor, widened } from '../../../src/plan/kernel-plan.ts';
import type { EventMasks } from '../../../src/probe/live.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import { UserError } from '../../../src/shared/user-error.ts';
import { ruleFile, ruleSetOf } from '../../support/rules-load.ts';

// In which order a reload does what to the kernel; that no event is missed by it is test/e2e/reload.test.ts.

const folder = mkdtempSync(join(tmpdir(), 'varvel-agent-rules-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const file = join(folder, 'rules.yaml');
const configFile = join(folder, 'varvel.yaml');

const READS = ruleFile(
  'evt.type = open and evt.failed = false and evt.is_open_read = true and evt.is_open_write = false',
);
const WRITES = ruleFile(
  'evt.type in (open, connect) and evt.failed = false and evt.is_open_read = false and evt.is_open_write = true',
);
const BROKEN = ruleFile('evt.type = open and fd.nmae = x');
const NO_CALLS = {
  messages: { newPeer: false, other: false },
  dups: { network: false, other: false },
  sockets: { ordinary: false, local: false, other: false },
};
const READS_MASK: EventMasks = {
  opens: { read: true, write: false, failed: false },
  ...NO_CALLS,
  env: false,
};
const WRITES_MASK: EventMasks = {
  opens: { read: false, write: true, failed: false },
  ...NO_CALLS,
  env: false,
};

/** What a reload does, in its order. */
async function started(
  options: { refuse?: string; watch?: boolean } & Pick<
    LiveRulesOptions,
    'preparePolicies' | 'setResponses'
  > = {},
) {
  writeFileSync(file, READS);
  writeFileSync(
    configFile,
    `rules_files: [rules.yaml]\nwatch_config_files: ${options.watch === true}\n`,
  );
  const read = () => loadConfig({ file: configFile, env: {} });
  const loaded = read();
  const first = await loadFirstRules(loaded.config, configFile, SILENT_LOGGER);
  const done: unknown[] = [];
  const { preparePolicies, setResponses } = options;
  const rules = new LiveRules(first, {
    ...(preparePolicies === undefined ? {} : { preparePolicies }),
    ...(setResponses === undefined ? {} : { setResponses }),
    settings: loaded.config,
    source: { from: { file: configFile, read }, loaded },
    logger: SILENT_LOGGER,
    attachment: {
      setHooks: (hooks) => {
        if (options.refuse !== undefined && hooks.includes(options.refuse)) {
          throw new UserError(`Cannot attach ${options.refuse}.`);
        }
        done.push(hooks.join());
      },
    },
    domains: { watch: () => Promise.resolve() },
    apps: { waitForDetails: () => undefined },
    probe: {
      setMasks: (mask) => done.push(mask),
      drain: () => done.push('drain'),
    },
    verdicts: {
      leave: () => done.push('all opens are reported'),
      endDenyingBut: () => done.push('nothing is denied by shed rules'),
      enter: ({ rules: { length } }) => Promise.resolve(void done.push(`verdicts of ${length}`)),
    },
    evaluation: {
      swapEngine: (engine) => done.push(`swap ${engine.ruleSet.rules.length}`),
      finishEvents: () => done.push('waiting events'),
    },
  });
  rules.start(first);
  return { rules, first, done };
}

test('the kernel reports more before the swap, and less after it; what it has reported is taken before', async () => {
  const { rules, done } = await started();
  assert.deepEqual(done.splice(0), ['sys_open', READS_MASK, 'verdicts of 1']);
  writeFileSync(file, WRITES);
  await rules.reload();
  assert.deepEqual(done.splice(0), [
    'all opens are reported',
    'io_uring,sys_connect,sys_open,tcp_connect',
    { opens: { read: true, write: true, failed: false }, ...NO_CALLS, env: false },
    'drain',
    'swap 1',
    'io_uring,sys_connect,sys_open,tcp_connect',
    WRITES_MASK,
    'verdicts of 1',
  ]);
  writeFileSync(file, READS);
  await rules.reload();
  assert.deepEqual(done.slice(-4), ['swap 1', 'sys_open', READS_MASK, 'verdicts of 1']);
  assert.deepEqual(rules.status().reloads, { ok: 2, failed: 0 });
});

test('what the operator wants done holds before policies that are ready release events; a bad set changes neither', async () => {
  const order: string[] = [];
  const { rules } = await started({
    preparePolicies: () => Promise.resolve(() => void order.push('policies')),
    setResponses: () => order.push('responses'),
  });
  await rules.reload();
  assert.deepEqual(order, ['responses', 'policies']);
  writeFileSync(file, BROKEN);
  await rules.reload();
  assert.deepEqual(order, ['responses', 'policies']);
});

test('while fewer rules come into force the verdicts of more go on, which are right for them too, but nothing is denied', async () => {
  const { rules, done } = await started();
  done.splice(0);
  rules.shed(['Notice']);
  assert.deepEqual(
    done.splice(0).filter((what) => typeof what === 'string' && !what.startsWith('sys_')),
    [
      'nothing is denied by shed rules',
      'drain',
      'waiting events',
      '',
      'nothing is denied by shed rules',
      'drain',
      'swap 1',
      '',
      'verdicts of 1',
    ],
  );
  rules.shed([]);
  assert.equal(done[0], 'all opens are reported');
});

test('a bad set changes nothing, and says why until there is a good one', async () => {
  const { rules, done, first } = await started();
  done.splice(0);
  writeFileSync(file, BROKEN);
  await rules.reload();
  assert.deepEqual(done, []);
  const { lastFailure, ...status } = rules.status();
  assert.deepEqual(
    [status.stale, status.digest, status.reloads],
    [true, first.rules.digest, { ok: 0, failed: 1 }],
  );
  assert.match(lastFailure?.reason ?? '', /rules\.yaml:6:\d+: error: .*fd\.nmae/);
  rmSync(file);
  await rules.reload();
  assert.match(rules.status().lastFailure?.reason ?? '', /no such file/);
  writeFileSync(file, WRITES);
  await rules.reload();
  assert.equal(rules.status().stale, false);
  assert.deepEqual(rules.status().reloads, { ok: 1, failed: 2 });
});

test('rules whose hooks the kernel refuses are a bad set too', async () => {
  const { rules, done } = await started({ refuse: 'sys_connect' });
  done.splice(0);
  writeFileSync(file, WRITES);
  await rules.reload();
  assert.deepEqual(done, ['all opens are reported', 'verdicts of 1']);
  assert.equal(rules.status().lastFailure?.reason, 'Cannot attach sys_connect.');
});

test('a defect in loading ends no agent', async () => {
  const { first, rules: other, done } = await started();
  other.stop();
  done.splice(0);
  const loaded = loadConfig({ file: configFile, env: {} });
  const read = (): never => {
    throw new RangeError('Maximum call stack size exceeded');
  };
  const rules = new LiveRules(first, {
    settings: loaded.config,
    source: { from: { file: configFile, read }, loaded },
    logger: SILENT_LOGGER,
    attachment: { setHooks: () => done.push('hooks') },
    domains: { watch: () => Promise.resolve() },
    apps: { waitForDetails: () => undefined },
    probe: { setMasks: () => done.push('mask'), drain: () => 0 },
    verdicts: {
      leave: () => done.push('leave'),
      endDenyingBut: () => done.push('end'),
      enter: () => Promise.resolve(),
    },
    evaluation: {
      swapEngine: () => done.push('swap'),
      finishEvents: () => done.push('finish'),
    },
  });
  await rules.reload();
  assert.deepEqual(done, []);
  assert.match(rules.status().lastFailure?.reason ?? '', /^unexpected error: RangeError: Maximum/);
});

test('one reload at a time; calls meanwhile make one more, which sees what they saw', async () => {
  const { rules, done } = await started();
  done.splice(0);
  writeFileSync(file, WRITES);
  const one = rules.reload();
  writeFileSync(file, READS + READS.replace('rule: r', 'rule: s'));
  await Promise.all([one, rules.reload(), rules.reload(), rules.reload()]);
  assert.deepEqual(rules.status().reloads, { ok: 2, failed: 0 });
  assert.equal(rules.status().loaded, 2);
  assert.equal(done.filter((what) => what === 'swap 2').length, 1);
});

test('after the stop nothing takes effect', async () => {
  const { rules, done } = await started();
  done.splice(0);
  writeFileSync(file, WRITES);
  const reloading = rules.reload();
  rules.stop();
  await reloading;
  assert.deepEqual(done, []);
});

test('a change of a rule file or of the configuration is a reload, and only one', async () => {
  const { rules } = await started({ watch: true });
  const reloads = async (ok: number): Promise<void> => {
    for (const end = performance.now() + 60_000; rules.status().reloads.ok < ok;) {
      assert.ok(performance.now() < end, `reload ${ok}`);
      await delay(20);
    }
  };
  try {
    writeFileSync(`${file}.new`, WRITES);
    renameSync(`${file}.new`, file);
    await reloads(1);
    writeFileSync(
      configFile,
      'rules_files: [rules.yaml]\nrules: [{disable: {rule: "*"}}]\nrules_allow_none: true\nwatch_config_files: true\n',
    );
    await reloads(2);
    assert.deepEqual([rules.status().loaded, rules.status().enabled], [1, 0]);
    // The signal of somebody who does not know that it is watched.
    writeFileSync(file, READS);
    await rules.reload();
    await delay(400);
    assert.equal(rules.status().reloads.ok, 3);
  } finally {
    rules.stop();
  }
});

test('a widened plan reports what either reports', () => {
  const reads = kernelPlanFor(ruleSetOf(READS));
  const writes = kernelPlanFor(ruleSetOf(WRITES));
  for (const plan of [widened(reads, writes), widened(writes, reads)]) {
    assert.deepEqual(plan, {
      hooks: ['io_uring', 'sys_connect', 'sys_open', 'tcp_connect'],
      masks: {
        opens: { read: true, write: true, failed: false },
        ...NO_CALLS,
        env: false,
      },
      containerDetails: false,
    });
  }
  assert.deepEqual(widened(reads, reads), reads);
  const nothing = kernelPlanFor(ruleSetOf(ruleFile('evt.type = procexit')));
  assert.deepEqual(nothing, {
    hooks: [],
    masks: {
      opens: { read: false, write: false, failed: false },
      ...NO_CALLS,
      env: false,
    },
    containerDetails: false,
  });
  assert.deepEqual(widened(nothing, writes), writes);
});

test('what apps’ own rules need is reported as well, through reloads, until no app has them', async () => {
  const { rules, done } = await started();
  done.splice(0);
  const own = ruleSetOf(WRITES);
  const both = { read: true, write: true, failed: false };
  rules.setAppRules([own]);
  assert.deepEqual(done.splice(0), [
    'io_uring,sys_connect,sys_open,tcp_connect',
    { ...READS_MASK, opens: both },
  ]);
  await rules.reload();
  assert.deepEqual(done.splice(0).slice(-3), [
    'io_uring,sys_connect,sys_open,tcp_connect',
    { ...READS_MASK, opens: both },
    'verdicts of 1',
  ]);
  rules.setAppRules([]);
  assert.deepEqual(done.splice(0), ['sys_open', READS_MASK]);
});

test('a rule of an app that this kernel cannot serve takes nothing from the others, and holds up no reload', async () => {
  const { rules, done } = await started({ refuse: 'sys_connect' });
  const failed = ruleSetOf(ruleFile('evt.type = open and evt.failed = true'));
  rules.setAppRules([ruleSetOf(WRITES), failed]);
  const opens = { read: true, write: false, failed: true };
  assert.deepEqual(done.at(-1), { ...READS_MASK, opens });
  await rules.reload();
  assert.deepEqual(rules.status().reloads, { ok: 1, failed: 0 });
  assert.deepEqual(done.at(-2), { ...READS_MASK, opens });
});

test('a rule file that was emptied is refused like a bad one: the rules before go on, and the status says why', async () => {
  const { rules, done } = await started();
  done.length = 0;
  writeFileSync(file, '# nothing\n');
  await rules.reload();
  assert.deepEqual(done, []);
  const { enabled, stale, reloads, lastFailure } = rules.status();
  assert.deepEqual([enabled, stale, reloads], [1, true, { ok: 0, failed: 1 }]);
  assert.match(lastFailure?.reason ?? '', /rules\.yaml contain no rule: .*rules_allow_none: true/);
  writeFileSync(file, WRITES);
  await rules.reload();
  assert.equal(rules.status().stale, false);
  rules.stop();
});
