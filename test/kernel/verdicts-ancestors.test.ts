// Programs that are denied by their ancestors and standard descriptors: as in TypeScript, of made-up and of real ones.
import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { ProcFs } from '../../src/context/proc-fs.ts';
import { ProcessTree } from '../../src/context/process-tree.ts';
import type { KernelEvent } from '../../src/events/event.ts';
import { LIMITS } from '../../src/events/table.gen.ts';
import { firstInContainer } from '../../src/rules/fields/ancestors.ts';
import { escaped, inNamespaces, OWN_NAMESPACES } from '../support/kernel-container.ts';
import { PRIVATE_MOUNTS } from '../support/kernel-file-facts.ts';
import { KernelProbe, STANDARD_PROGRAMS, type TestCgroup } from '../support/kernel-probe.ts';
import { stepsProgram, type Step, type TestProcess } from '../support/kernel-process.ts';
import { ruleFile, ruleSetOf } from '../support/rules-load.ts';
import {
  ancestorCall,
  ancestorCondition,
  knownAncestorCall,
} from '../support/verdict-ancestor-cases.ts';
import { deniedByTable, deniedInKernel } from '../support/verdict-denials.ts';
import { verdictTable } from '../support/verdict-table.ts';

const TABLE = 1;
const SIGKILL = 9;
const CLONE_NEWPID = 0x20000000;
const CLONE_PARENT = 0x8000;
const TICK_NS = 10_000_000n;

/** A container's first process runs `good` before the cgroup is one; when `tell` is done it starts `tool`. */
async function startsIn(
  probe: KernelProbe,
  { dir: cgroupDir }: TestCgroup,
  dir: string,
  tell: (pid: number, startTicks: number) => void,
): Promise<TestProcess> {
  const steps: Step[] = [
    'enter',
    cgroupDir,
    'pause',
    'fork',
    '[',
    'execve',
    join(dir, 'tool'),
    'tool',
    '%3b',
    ']',
  ];
  const running = probe.spawn(undefined, [
    ...['clone', OWN_NAMESPACES, '[', 'execve', join(dir, 'good'), 'good', ...steps, ';', ']'],
  ]);
  await running.paused();
  const pid = Number(readFileSync(join(cgroupDir, 'cgroup.procs'), 'utf8').trim());
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  tell(pid, Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]));
  running.resume();
  await running.ended();
  // Else its records count in the next test.
  await probe.settle();
  return running;
}

describe('verdicts of ancestors', () => {
  let probe: KernelProbe;
  let cgroup: TestCgroup;
  let dir: string;
  before(() => {
    probe = new KernelProbe({ attach: STANDARD_PROGRAMS, withVerdictRun: true });
    cgroup = probe.mkdir('judged');
    probe.probe.scopeSet(cgroup.id, 'included', cgroup.level, TABLE);
    dir = mkdtempSync(join(tmpdir(), 'varvel-above-'));
    for (const name of ['good', 'other', 'tool']) copyFileSync(stepsProgram(), join(dir, name));
  });
  after(async () => {
    await probe.close();
    rmSync(dir, { recursive: true, force: true });
  });

  const at = (name: string): string => join(dir, name);
  const deny = (condition: string): Uint8Array => {
    const rules = ruleSetOf(
      ruleFile(`evt.type in (execve, execveat) and (${condition.replaceAll('~', dir)})`),
    );
    const { bytes } = verdictTable(rules, 'garden', new Set(['r']));
    probe.probe.setVerdicts(TABLE, bytes);
    return bytes ?? assert.fail('no room');
  };
  const runs = (program: string, ...steps: Step[]): Step[] => [
    ...['execve', at(program), program],
    ...steps.map(escaped),
    ';',
  ];
  const forks = (...steps: Step[]): Step[] => ['fork', '[', ...steps, 'exit', 0, ']'];
  /** As a runtime does: it enters the cgroup, and then the namespaces. The first program is `good`. */
  const container = (...steps: Step[]): Step[] => [
    ...['clone', CLONE_NEWPID, '[', 'enter', cgroup.dir, ...PRIVATE_MOUNTS],
    ...runs('good', ...steps),
    ']',
  ];
  const statuses = ({ results }: TestProcess): (number | undefined)[] =>
    results.filter(({ step }) => step === 'fork').map(({ status }) => status);
  /** Whether each `tool` was denied, by its record. `look`: gets each event. */
  async function toolsDenied(
    steps: Step[],
    look: (event: KernelEvent) => void = () => undefined,
  ): Promise<boolean[]> {
    for (const name of ['go', 'last']) rmSync(at(name), { recursive: true, force: true });
    const before = probe.events.length;
    await probe.run(undefined, steps);
    const seen = probe.events.slice(before);
    for (const event of seen) look(event);
    return seen.flatMap(({ exec, result, denied: isDenied }) =>
      exec?.file?.path === at('tool') && result === 0 ? [isDenied] : [],
    );
  }
  const denied = async (steps: Step[]): Promise<boolean[]> =>
    statuses(await probe.run(undefined, steps)).map((status) => status === SIGKILL);

  test('the kernel says of each program what TypeScript does', () => {
    const counts = { certain: 0, not: 0 };
    fc.assert(
      fc.property(
        ancestorCondition,
        fc.array(ancestorCall, { minLength: 8, maxLength: 16 }),
        (condition, calls) => {
          const bytes = deny(condition);
          for (const one of calls) {
            const known = knownAncestorCall(one);
            const { failing, denies } = deniedByTable(bytes, known);
            const found = deniedInKernel(probe, TABLE, known);
            assert.deepEqual(found, { failing, denies }, `${condition}: ${JSON.stringify(one)}`);
            counts[(failing & 1) === 0 ? 'certain' : 'not']++;
          }
        },
      ),
      { numRuns: 120 },
    );
    assert.ok(Math.min(counts.certain, counts.not) > 50, JSON.stringify(counts));
  });

  const TOOL = 'proc.exepath = ~/tool';

  test('the parent, by its file and by its name', async () => {
    const tree = container(
      ...forks(...runs('tool')),
      ...forks(...runs('other', ...forks(...runs('tool')))),
    );
    // In turn: the tool of the first program, that of the other one, the other one.
    deny(`${TOOL} and proc.pexepath = ~/good`);
    assert.deepEqual(await denied(tree), [true, false, false]);
    deny(`${TOOL} and proc.pname = other`);
    assert.deepEqual(await denied(tree), [false, true, false]);
    deny(`${TOOL} and not proc.pexepath = ~/good`);
    assert.deepEqual(await denied(tree), [false, true, false]);
    deny(`${TOOL} and proc.aname[2] = good`);
    assert.deepEqual(await denied(tree), [false, true, false]);
  });

  test('any ancestor of the container: whether one is there is known up to its first process', async () => {
    const below = (...steps: Step[]): Step[] => forks(...runs('other', ...steps));
    const tree = container(
      ...forks(...runs('tool')),
      ...below(...forks(...runs('good', ...forks(...runs('tool'))))),
      ...forks(...forks(...forks(...runs('tool')))),
    );
    deny(`${TOOL} and not proc.container_aexepath = ~/other`);
    assert.deepEqual(await denied(tree), [true, false, false, false, true, false, false]);
    deny(`${TOOL} and not proc.container_aname[1] = other and not proc.container_aname[2] = other`);
    assert.deepEqual(await denied(tree), [true, false, false, false, true, false, false]);
  });

  test('more ancestors than the kernel looks at are not known', async () => {
    deny(`${TOOL} and not proc.container_aname = other`);
    const deep = (levels: number): Step[] =>
      levels === 0 ? runs('tool') : forks(...deep(levels - 1));
    const deniedAt = async (levels: number): Promise<boolean> =>
      (await denied(container(...forks(...deep(levels))))).includes(true);
    assert.deepEqual([await deniedAt(6), await deniedAt(8)], [true, false]);
  });

  test('a process that has entered in another way has ancestors that are not known, but a parent', async () => {
    const tree = inNamespaces(cgroup, ...runs('good', ...forks(...runs('tool'))));
    deny(`${TOOL} and not proc.container_aexepath = ~/other`);
    assert.deepEqual(await denied(tree), [false]);
    deny(`${TOOL} and not proc.pexepath = ~/other`);
    assert.deepEqual(await denied(tree), [true]);
  });

  test('a process of before the probe is known as the agent tells it', async () => {
    deny(`${TOOL} and not proc.container_aexepath = ~/other`);
    const starts = (tell: (pid: number, ticks: number) => void): Promise<boolean[]> =>
      startsIn(probe, cgroup, dir, tell).then((running) =>
        statuses(running).map((status) => status === SIGKILL),
      );
    const name = Buffer.from('good');
    const told =
      (path: string, parent: 'out of scope' | undefined, late = 0n) =>
      (pid: number, ticks: number): void => {
        const startNs = (BigInt(ticks) + late) * TICK_NS;
        probe.probe.adoptProcess({ pid, startNs, name, path: Buffer.from(path), parent });
      };
    assert.deepEqual(await starts(() => undefined), [false], 'not told');
    assert.deepEqual(await starts(told(at('good'), 'out of scope')), [true]);
    assert.deepEqual(await starts(told(at('other'), 'out of scope')), [false]);
    assert.deepEqual(await starts(told(at('good'), undefined)), [false], 'whose child it is');
    assert.deepEqual(
      await starts(told(at('good'), 'out of scope', 1n)),
      [false],
      'another process',
    );
    const long = `/${'x'.repeat(LIMITS.VERDICT_PATH_MAX)}`;
    assert.deepEqual(await starts(told(long, 'out of scope')), [false], 'too long a path');
  });

  test('who made a process is its parent, also when it has ended, and whoever adopts it', async () => {
    const left = (): Step[] => [
      ...['forkleft', '[', 'until', at('go'), ...runs('tool', 'comm', 'x'), 'exit', 0, ']'],
    ];
    // The first program adopts it, and waits for its end.
    const tree = container(...forks(...runs('other', ...left())), 'mkdir', at('go'), 'reap');
    deny(`${TOOL} and proc.pexepath = ~/good`);
    assert.deepEqual(await toolsDenied(tree), [false], 'its parent is not what has adopted it');
    deny(`${TOOL} and proc.pexepath = ~/other`);
    assert.deepEqual(await toolsDenied(tree), [true], 'its parent has ended');
  });

  test('a sibling that CLONE_PARENT makes has the parent of who made it', async () => {
    const sibling = runs('other', 'clone', CLONE_PARENT, '[', ...runs('tool', 'comm', 'x'), ']');
    const tree = container(...forks(...sibling), 'reap');
    deny(`${TOOL} and proc.pname = other`);
    assert.deepEqual(await toolsDenied(tree), [false]);
    deny(`${TOOL} and proc.pname = good`);
    assert.deepEqual(await toolsDenied(tree), [true]);
  });

  test('a parent that runs another program counts as what it runs now', async () => {
    const child: Step[] = [
      ...['forkleft', '[', 'until', at('go'), ...runs('tool', 'comm', 'x'), 'exit', 0, ']'],
    ];
    const tree = container(...child, ...runs('other', 'mkdir', at('go'), 'reap'));
    deny(`${TOOL} and proc.pname = other`);
    assert.deepEqual(await toolsDenied(tree), [true]);
    deny(`${TOOL} and proc.pname = good`);
    assert.deepEqual(await toolsDenied(tree), [false]);
  });

  test('while a parent runs one program after the other, what is denied matches in the agent’s tree', async (t) => {
    const MANY = 400;
    const CHILDREN = 150;
    for (let n = 0; n < MANY; n++) copyFileSync(stepsProgram(), at(`n${n}`));
    deny(`${TOOL} and proc.pexepath endswith anyof (0, 2, 4, 6, 8)`);
    const children = Array.from({ length: CHILDREN }, (_, n): Step[] => [
      // On a busy machine the first ones may all be earlier than the second program; the others come after the last, n0.
      ...['forkleft', '[', 'until', at(n % 3 === 0 ? 'last' : 'go'), 'sleep', n % 50],
      ...[...runs('tool', 'exit', 0), ']'],
    ]);
    const counts = { denied: 0, not: 0, unknown: 0 };
    // In the order in which the agent gets the records.
    const tree = new ProcessTree({ reader: new ProcFs() });
    const look = (event: KernelEvent): void => {
      const { parent } = tree.onEvent(event);
      if (event.exec?.file?.path !== at('tool') || event.result !== 0) return;
      const matches = /[02468]$/.test(parent?.image.exePath ?? '');
      if (event.denied) assert.ok(matches, `its parent runs ${parent?.image.exePath ?? '?'}`);
      counts[event.denied ? 'denied' : matches ? 'unknown' : 'not']++;
    };
    await toolsDenied(
      container(
        ...children.flat(),
        'mkdir',
        at('go'),
        'chain',
        MANY,
        dir,
        'mkdir',
        at('last'),
        'reap',
      ),
      look,
    );
    t.diagnostic(JSON.stringify(counts));
    assert.equal(counts.denied + counts.not + counts.unknown, CHILDREN);
    assert.ok(counts.denied >= CHILDREN / 3, JSON.stringify(counts));
  });

  test('whether a process or its parent is the first one, by its number in the container', async () => {
    const tree = container(
      ...forks(...runs('tool')),
      ...forks(...runs('other', ...forks(...runs('tool')), ...forks(...runs('tool')))),
    );
    deny(`${TOOL} and not proc.pvpid = 1`);
    assert.deepEqual(await denied(tree), [false, true, true, false]);
    deny(`${TOOL} and not proc.vpid = 1`);
    assert.deepEqual(await denied(tree), [true, true, true, false]);
    assert.deepEqual(
      await toolsDenied(['clone', CLONE_NEWPID, '[', 'enter', cgroup.dir, ...runs('tool'), ']']),
      [false],
      'it is the first one',
    );
    // That it is the first one is never certain: the agent may not know it.
    deny(`${TOOL} and proc.pvpid = 1`);
    assert.deepEqual(await denied(tree), [false, false, false, false]);
  });

  const SECOND = 1_000_000_000n;

  test('a container is as old as its oldest process above, in the kernel and in the agent', async (t) => {
    const counts = { denied: 0, not: 0 };
    const tree = new ProcessTree({ reader: new ProcFs() });
    const look = (event: KernelEvent): void => {
      const process = tree.onEvent(event);
      if (event.exec?.file?.path !== at('tool') || event.result !== 0) return;
      const age = event.bootNs - firstInContainer(process).startBootNs;
      if (event.denied) assert.ok(age >= SECOND, `${age} ns`);
      counts[event.denied ? 'denied' : 'not']++;
    };
    const deep = (levels: number): Step[] =>
      levels === 0 ? runs('tool') : forks(...deep(levels - 1));
    const left: Step[] = [
      ...['forkleft', '[', 'until', at('go'), ...runs('tool', 'comm', 'x'), 'exit', 0, ']'],
    ];
    const young = [...forks(...runs('tool')), 'sleep', 1200];
    const old = [
      ...forks(...runs('tool')),
      ...forks(...runs('other', ...forks(...forks(...runs('tool'))))),
      ...forks(...deep(6)),
      ...forks(...runs('other', ...left)),
      ...['mkdir', at('go'), 'reap'],
    ];
    const tools = (bound: bigint, steps: readonly Step[]): Promise<boolean[]> => {
      deny(`${TOOL} and not container.duration < ${bound}`);
      return toolsDenied(container(...steps), look);
    };
    const [atStart, ...later] = await tools(SECOND, [...young, ...old]);
    t.diagnostic(`at the start ${String(atStart)}, then ${later.join()}`);
    assert.deepEqual(later, [true, true, true, true]);
    assert.ok(!(await tools(3600n * SECOND, [...young, ...old])).includes(true));
    assert.ok(counts.denied >= 4 && counts.not >= 5, JSON.stringify(counts));
  });

  test('the age of a process of before the probe is known where the agent tells it', async () => {
    deny(`${TOOL} and not container.duration < ${SECOND}`);
    const starts = (tell: (pid: number, ticks: number) => void): Promise<boolean[]> =>
      startsIn(probe, cgroup, dir, (pid, ticks) => {
        tell(pid, ticks);
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1200);
      }).then((running) => statuses(running).map((status) => status === SIGKILL));
    const program = { name: Buffer.from('good'), path: Buffer.from(at('good')) };
    assert.deepEqual(await starts(() => undefined), [false]);
    assert.deepEqual(
      await starts((pid, ticks) =>
        probe.probe.adoptProcess({
          ...program,
          pid,
          startNs: BigInt(ticks) * TICK_NS,
          parent: 'out of scope',
        }),
      ),
      [true],
    );
  });

  test('a standard descriptor that is a connection', async () => {
    const server = createServer((socket) => socket.on('error', () => undefined)).listen(
      0,
      '127.0.0.1',
    );
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    const SOCK_STREAM = 1;
    const tree = container(
      ...forks(...runs('tool')),
      ...forks(
        'connect4',
        SOCK_STREAM,
        '127.0.0.1',
        port,
        'call',
        'dup2',
        '@',
        0,
        ';',
        ...runs('tool'),
      ),
    );
    try {
      deny(`${TOOL} and proc.stdin.name contains "->"`);
      assert.deepEqual(await denied(tree), [false, true]);
      deny(`${TOOL} and not proc.stdin.name contains "->"`);
      assert.deepEqual(await denied(tree), [true, false]);
      deny(`${TOOL} and proc.stdout.name contains "->"`);
      assert.deepEqual(await denied(tree), [false, false]);
    } finally {
      server.close();
    }
  });
});
