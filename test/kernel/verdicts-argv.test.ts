// Programs that are denied by their words: as in TypeScript, of made-up and of real ones.
import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { LIMITS } from '../../src/events/table.gen.ts';
import { PRIVATE_MOUNTS } from '../support/kernel-file-facts.ts';
import { KernelProbe, STANDARD_PROGRAMS, type TestCgroup } from '../support/kernel-probe.ts';
import { stepsProgram, type Step } from '../support/kernel-process.ts';
import { ruleFile, ruleSetOf } from '../support/rules-load.ts';
import { argvCall, argvCondition, knownArgv } from '../support/verdict-argv-cases.ts';
import { deniedByTable, deniedInKernel } from '../support/verdict-denials.ts';
import { verdictTable } from '../support/verdict-table.ts';

const TABLE = 1;
const SIGKILL = 9;
const OWN_NAMESPACES = 0x20000 | 0x20000000; // CLONE_NEWNS, CLONE_NEWPID

describe('verdicts of words', () => {
  let probe: KernelProbe;
  let cgroup: TestCgroup;
  let dir: string;
  before(() => {
    probe = new KernelProbe({ attach: STANDARD_PROGRAMS, withVerdictRun: true });
    cgroup = probe.mkdir('judged');
    probe.probe.scopeSet(cgroup.id, 'included', cgroup.level, TABLE);
    dir = mkdtempSync(join(tmpdir(), 'varvel-argv-'));
    for (const name of ['good', 'tool']) copyFileSync(stepsProgram(), join(dir, name));
  });
  after(async () => {
    await probe.close();
    rmSync(dir, { recursive: true, force: true });
  });

  const deny = (condition: string): Uint8Array | undefined => {
    const rules = ruleSetOf(ruleFile(`evt.type in (execve, execveat) and (${condition})`));
    const { bytes } = verdictTable(rules, 'docker', new Set(['r']));
    probe.probe.setVerdicts(TABLE, bytes);
    return bytes;
  };

  test('the kernel says of each program what TypeScript does', () => {
    const counts = { certain: 0, not: 0 };
    fc.assert(
      fc.property(
        argvCondition,
        fc.array(argvCall, { minLength: 8, maxLength: 16 }),
        (condition, calls) => {
          const bytes = deny(condition);
          assert.ok(bytes);
          for (const one of calls) {
            const known = knownArgv(one, 'execve');
            const { failing, denies } = deniedByTable(bytes, known);
            const found = deniedInKernel(probe, TABLE, known);
            assert.deepEqual(found, { failing, denies }, `${condition}: ${JSON.stringify(one)}`);
            if ((failing & 1) === 0) counts.certain++;
            else counts.not++;
          }
        },
      ),
      { numRuns: 80 },
    );
    assert.ok(Math.min(counts.certain, counts.not) > 50, JSON.stringify(counts));
  });

  const raw = (step: Step): string =>
    [...Buffer.from(String(step))].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');

  interface Run {
    readonly path: string;
    readonly argv: readonly string[];
    readonly env?: readonly string[];
  }

  /** The wait statuses of a program of the container that is run with each of these words. */
  async function statusesOf(
    ...programs: readonly (readonly string[] | Run)[]
  ): Promise<(number | undefined)[]> {
    const runs = programs.flatMap((one) => {
      const run: Run = 'path' in one ? one : { path: join(dir, 'tool'), argv: one };
      const { path, argv, env } = run;
      const variables = env && ['-', ...env].flatMap((variable) => ['env', raw(variable)]);
      return ['fork', '[', ...(variables ?? []), 'execve', raw(path), ...argv.map(raw), ';', ']'];
    });
    const running = await probe.run(undefined, [
      ...['clone', OWN_NAMESPACES, '[', 'enter', cgroup.dir],
      ...PRIVATE_MOUNTS.slice(2),
      ...['execve', join(dir, 'good'), 'good', ...runs.map(raw), ';'],
      ...['exit', 0, ']'],
    ]);
    return running.results.filter(({ step }) => step === 'fork').map(({ status }) => status);
  }
  /** Words that are steps of the program: it does nothing, and its exit code is 0. */
  const IDLE = ['comm', 'x'];

  test('real programs: by arguments, command line and first word', async () => {
    deny('proc.args contains "comm evil"');
    assert.deepEqual(
      await statusesOf(
        ['tool', 'comm', 'evil'],
        ['tool', ...IDLE],
        ['evil'],
        ['tool', 'comm', 'evil', ...IDLE],
      ),
      [SIGKILL, 0, 0, SIGKILL],
    );
    deny('proc.cmdline = "tool comm x" and proc.exe = other');
    assert.deepEqual(await statusesOf(['other', ...IDLE], ['tool', ...IDLE]), [SIGKILL, 0]);
    deny('proc.args = "" and proc.exepath endswith /tool');
    assert.deepEqual(await statusesOf(['tool'], ['tool', ...IDLE]), [SIGKILL, 0]);
    deny('proc.exepath endswith /tool and not proc.args startswith "comm x"');
    assert.deepEqual(
      await statusesOf(['tool', ...IDLE], ['tool', 'comm', 'y'], ['tool', 'comm', 'xy']),
      [0, SIGKILL, 0],
    );
  });

  test('a real program by its path as passed, also where that is a script', async () => {
    const script = join(dir, 'script');
    writeFileSync(script, `#!${join(dir, 'tool')} ${IDLE.join(' ')}\n`, { mode: 0o755 });
    symlinkSync(join(dir, 'tool'), join(dir, 'link'));
    const ran = async (...paths: readonly string[]): Promise<(number | undefined)[]> =>
      statusesOf(...paths.map((path) => ({ path, argv: ['x', ...IDLE] })));
    deny(`evt.arg.filename = ${script}`);
    assert.deepEqual(await ran(script, join(dir, 'tool')), [SIGKILL, 0]);
    deny(`evt.arg.filename endswith /link and proc.exepath endswith /tool`);
    assert.deepEqual(await ran(join(dir, 'link'), join(dir, 'tool')), [SIGKILL, 0]);
    deny(`not evt.arg.filename endswith /link and proc.exepath endswith /tool`);
    assert.deepEqual(
      await ran(join(dir, 'link'), join(dir, 'tool'), `${dir}/${'./'.repeat(120)}tool`),
      [0, SIGKILL, 0],
      'one of 256 bytes or more is not known',
    );
  });

  test('words of more than 1,024 bytes are not denied', async () => {
    deny('proc.args endswith z and proc.exepath endswith /tool');
    const word = (length: number): string => 'x'.repeat(length - 1) + 'z';
    const room = LIMITS.VERDICT_ARGV_MAX - 'tool comm '.length - 1;
    assert.deepEqual(
      await statusesOf(['tool', 'comm', word(room)], ['tool', 'comm', word(room + 1)]),
      [SIGKILL, 0],
    );
  });

  test('a real program by variables of its environment', async () => {
    const ran = async (...envs: readonly (readonly string[])[]): Promise<(number | undefined)[]> =>
      statusesOf(...envs.map((env) => ({ path: join(dir, 'tool'), argv: ['tool', ...IDLE], env })));
    deny('proc.env[LD_PRELOAD] contains anyof (/tmp/, /dev/)');
    assert.deepEqual(
      await ran(
        ['LD_PRELOAD=/tmp/x.so'],
        ['PATH=/bin', 'LD_PRELOAD=/lib/a.so:/dev/shm/x.so', 'LAST=1'],
        ['LD_PRELOAD=/lib/a.so', 'OTHER=/tmp/x'],
        ['LD_PRELOADED=/tmp/x.so', 'XLD_PRELOAD=/tmp/x.so', 'X=LD_PRELOAD=/tmp/x.so'],
        ['LD_PRELOAD=', 'LD_AUDIT=/tmp/x.so'],
        [],
      ),
      [SIGKILL, SIGKILL, 0, 0, 0, 0],
    );
    // At each place of the eight bytes that are looked at together.
    const places = Array.from({ length: 8 }, (_, nth) => `A=${'x'.repeat(nth)}`);
    assert.deepEqual(
      await ran(...places.map((first) => [first, 'LD_PRELOAD=/tmp/x.so'])),
      places.map(() => SIGKILL),
    );
    // One that there is not is empty; that there is none at all is not known.
    deny('proc.env[NODE_OPTIONS] = ""');
    assert.deepEqual(await ran(['NODE_OPTIONS=x'], ['NODE_OPTIONS='], ['A=1'], []), [
      0,
      SIGKILL,
      SIGKILL,
      0,
    ]);
    deny(
      'proc.env[ONE] = a and proc.env[TWO] startswith b and proc.env[LONGEST_NAME_OF_A_VARIABLES] = c',
    );
    const others = Array.from({ length: 40 }, (_, nth) => `V${nth}=${'x'.repeat(nth)}`);
    assert.deepEqual(
      await ran(
        ['ONE=a', ...others, 'TWO=bc', ...others, 'LONGEST_NAME_OF_A_VARIABLES=c'],
        ['ONE=a', ...others, 'TWO=ab', 'LONGEST_NAME_OF_A_VARIABLES=c'],
      ),
      [SIGKILL, 0],
    );
  });

  test('values of 1,024 bytes and environments of more than 8 KiB are not denied', async () => {
    deny('proc.env[LD_PRELOAD] endswith z');
    const value = (length: number): string => `LD_PRELOAD=${'x'.repeat(length - 1)}z`;
    const padded = (env: readonly string[], bytes: number): readonly string[] => {
      const left = bytes - env.reduce((sum, word) => sum + word.length + 1, 0);
      return [...env, `A=${'y'.repeat(left - 3)}`];
    };
    const most = LIMITS.VERDICT_ARGV_MAX;
    const envs = [
      [value(most - 1)],
      [value(most)],
      padded([value(9)], LIMITS.ENV_MAX),
      padded([value(9)], LIMITS.ENV_MAX + 1),
    ];
    assert.deepEqual(
      await statusesOf(
        ...envs.map((env) => ({ path: join(dir, 'tool'), argv: ['tool', ...IDLE], env })),
      ),
      [SIGKILL, 0, SIGKILL, 0],
    );
  });
});
