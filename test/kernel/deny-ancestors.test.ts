// Calls on files that a rule denies by the ancestors of the process.
import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { call, text } from '../support/kernel-calls.ts';
import { escaped } from '../support/kernel-container.ts';
import { PRIVATE_MOUNTS } from '../support/kernel-file-facts.ts';
import { KernelProbe, STANDARD_PROGRAMS, type TestCgroup } from '../support/kernel-probe.ts';
import { stepsProgram, type Step } from '../support/kernel-process.ts';
import { refuseFiles, refusingTest } from '../support/kernel-refused-files.ts';
import { ruleFile, ruleSetOf } from '../support/rules-load.ts';
import {
  ancestorCall,
  ancestorCondition,
  knownOpen,
  knownRemoval,
  ofFile,
} from '../support/verdict-ancestor-cases.ts';
import { deniedByTable, deniedInKernel } from '../support/verdict-denials.ts';
import { verdictTable } from '../support/verdict-table.ts';

const TABLE = 1;
const EPERM = -1;
const AT_FDCWD = -100;
const MANY = 50;
const CLONE_NEWPID = 0x20000000;

describe('denied calls on files, by ancestors', () => {
  let probe: KernelProbe;
  let dir: string;
  let cgroup: TestCgroup;
  /** Why this kernel refuses none. */
  let why: string | undefined;
  before(() => {
    probe = new KernelProbe({
      attach: [...STANDARD_PROGRAMS, 'sys_unlink'],
      withVerdictRun: true,
    });
    cgroup = probe.mkdir('judged');
    probe.probe.scopeSet(cgroup.id, 'included', cgroup.level, TABLE);
    dir = mkdtempSync(join(realpathSync(tmpdir()), 'varvel-deny-above-'));
    for (const name of ['good', 'pm', 'other']) copyFileSync(stepsProgram(), join(dir, name));
    why = refuseFiles(probe);
  });
  after(async () => {
    await probe.close();
    rmSync(dir, { recursive: true, force: true });
  });

  const at = (name: string): string => join(dir, name);
  const deny = (condition: string): Uint8Array => {
    const { bytes, denied } = verdictTable(
      ruleSetOf(ruleFile(condition.replaceAll('~', dir))),
      'garden',
      new Set(['r']),
    );
    assert.ok(bytes !== undefined && denied.length <= 1);
    probe.probe.setVerdicts(TABLE, bytes);
    return bytes;
  };
  const FILE =
    '((evt.type = openat and fd.name = ~/file) or (evt.type = unlink and evt.arg.path = ~/file))';
  const runs = (program: string, steps: readonly Step[]): Step[] => [
    ...['execve', at(program), program],
    ...steps.map(escaped),
    ';',
  ];
  /** As a runtime does: it enters the cgroup, and then the namespaces. So it is known that there is no further ancestor. */
  const container = (program: string, steps: readonly Step[]): Step[] => [
    ...['clone', CLONE_NEWPID, '[', 'enter', cgroup.dir, ...PRIVATE_MOUNTS],
    ...runs(program, steps),
    ']',
  ];
  /** In one program after the other, each the child of the one before, the last one opens the file and removes it. */
  async function results(...programs: readonly string[]): Promise<number[]> {
    writeFileSync(at('file'), '');
    const calls = [
      ...call('openat', AT_FDCWD, text(at('file')), 0, 0),
      ...call('unlink', text(at('file'))),
    ];
    const steps = programs.reduceRight<Step[]>(
      (inner, name) => ['fork', '[', ...runs(name, inner), 'exit', 0, ']'],
      calls,
    );
    const running = await probe.run(undefined, container('good', steps));
    return running.results
      .filter(({ step }) => (step as string | undefined) === 'call')
      .map(({ ret }) => Math.min(ret, 0));
  }
  const refusing = (name: string, run: (t: TestContext) => Promise<void>): void => {
    refusingTest(name, () => why, run);
  };

  for (const [what, knownOf] of [
    ['open', knownOpen],
    ['removal', knownRemoval],
  ] as const)
    test(`the kernel says of each ${what} what TypeScript does`, () => {
      const counts = { certain: 0, not: 0 };
      fc.assert(
        fc.property(
          ancestorCondition,
          fc.array(ancestorCall, { minLength: 8, maxLength: 16 }),
          (condition, all) => {
            const bytes = deny(ofFile(condition));
            for (const one of all) {
              const known = knownOf(one);
              const { failing, denies } = deniedByTable(bytes, known);
              const found = deniedInKernel(probe, TABLE, known);
              assert.deepEqual(found, { failing, denies }, `${condition}: ${JSON.stringify(one)}`);
              counts[(failing & 1) === 0 ? 'certain' : 'not']++;
            }
          },
        ),
        { numRuns: 60 },
      );
      assert.ok(Math.min(counts.certain, counts.not) > 25, JSON.stringify(counts));
    });

  refusing(
    'not what a program does that was started by one of these, at any distance',
    async () => {
      deny(`${FILE} and not proc.container_aname in (pm)`);
      assert.deepEqual(await results(), [EPERM, EPERM]);
      assert.deepEqual(await results('other', 'good'), [EPERM, EPERM]);
      assert.deepEqual(await results('pm', 'good'), [0, 0]);
      assert.deepEqual(await results('pm', 'other', 'good', 'other', 'good'), [0, 0]);
      // The program itself is no ancestor of its own.
      assert.deepEqual(await results('pm'), [EPERM, EPERM]);
    },
  );

  refusing('only what the parent has started, by its file and by its name', async () => {
    for (const parent of ['proc.pname = pm', 'proc.pexepath = ~/pm', 'proc.aname[1] = pm']) {
      deny(`${FILE} and ${parent}`);
      assert.deepEqual(await results('pm', 'good'), [EPERM, EPERM], parent);
      assert.deepEqual(await results('pm', 'other', 'good'), [0, 0], parent);
    }
    deny(`${FILE} and proc.container_aexepath[2] = ~/pm`);
    assert.deepEqual(await results('pm', 'other', 'good'), [EPERM, EPERM]);
    assert.deepEqual(await results('pm', 'good'), [0, 0]);
  });

  refusing(`${MANY} of ${MANY}, while others are started and end`, async () => {
    deny(`${FILE} and not proc.container_aname in (pm)`);
    const storm = Array.from({ length: 300 }, () => ['fork', '[', 'exit', 0, ']']).flat();
    const others = [1, 2].map(() => probe.spawn(undefined, container('other', storm)));
    const found: number[][] = [];
    for (let i = 0; i < MANY; i++) found.push(await results('other', 'good'));
    await Promise.all(others.map((running) => running.ended()));
    assert.deepEqual(
      found,
      Array.from({ length: MANY }, () => [EPERM, EPERM]),
    );
  });
});
