// File calls that no rule can match because of the program that makes them: by the file of its exec, not by what that is called now.
import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { KernelProbe, STANDARD_PROGRAMS, type TestCgroup } from '../support/kernel-probe.ts';
import { stepsProgram, type Step } from '../support/kernel-process.ts';
import { ruleFile, ruleSetOf } from '../support/rules-load.ts';
import { verdictTable } from '../support/verdict-table.ts';

const TABLE = 1;
const CLONE_VM = 0x100;
const SIGCHLD = 17;

describe('verdicts by program', () => {
  let probe: KernelProbe;
  let dir: string;
  let cgroup: TestCgroup;
  before(() => {
    probe = new KernelProbe({ attach: [...STANDARD_PROGRAMS, 'sys_unlink', 'sys_rename'] });
    cgroup = probe.mkdir('judged');
    probe.probe.scopeSet(cgroup.id, 'included', cgroup.level, TABLE);
    dir = mkdtempSync(join(tmpdir(), 'varvel-programs-'));
  });
  beforeEach(() => {
    for (const name of ['tool', 'other']) copyFileSync(stepsProgram(), join(dir, name));
  });
  after(async () => {
    await probe.close();
    rmSync(dir, { recursive: true, force: true });
  });

  const at = (name: string): string => join(dir, name);
  const judge = (condition: string): void => {
    const { bytes } = verdictTable(ruleSetOf(ruleFile(condition.replaceAll('~', dir))));
    probe.probe.setVerdicts(TABLE, bytes ?? assert.fail('the table does not fit'));
  };
  const unlink = (name: string): Step[] => ['call', 'unlink', `s:${at(name)}`, ';'];
  /** Runs a program that takes these steps: its words are decoded once more than those of this process. */
  const runs = (program: string, ...steps: Step[]): Step[] => [
    ...['execve', at(program), program],
    ...steps.map((step) =>
      String(step).replace(/[%;]/g, (one) => `%${one.charCodeAt(0).toString(16)}`),
    ),
    ';',
  ];

  /** The names of what was unlinked by a call that was reported; so many others were counted. */
  async function reported(calls: number, steps: Step[]): Promise<(string | undefined)[]> {
    const { prefiltered } = probe.entry(cgroup);
    const before = probe.events.length;
    await probe.run(cgroup, steps);
    const seen = probe.events.slice(before).filter(({ type }) => type === 'unlink');
    const kept = probe.entry(cgroup).prefiltered - prefiltered;
    assert.equal(seen.length + kept, calls, 'each call is reported or counted');
    return seen.map(({ call }) => call?.text(1).slice(dir.length + 1));
  }

  test('a rule that is not about a program reports nothing of it, nor of its children and threads', async () => {
    judge('evt.type = unlink and not proc.exepath = ~/tool');
    assert.deepEqual(await reported(1, runs('tool', ...unlink('a'))), []);
    assert.deepEqual(await reported(1, runs('other', ...unlink('b'))), ['b']);
    // What ran before the process came into the container is not known.
    assert.deepEqual(await reported(1, unlink('c')), ['c']);
    const inChildren = runs(
      'tool',
      ...['fork', '[', ...unlink('d'), 'fork', '[', ...unlink('e'), 'exit', 0, ']', 'exit', 0, ']'],
      ...['thread', '[', ...unlink('f'), ']'],
      ...['vfork', '[', ...unlink('g'), 'exit', 0, ']'],
      ...['fork', '[', ...runs('other', ...unlink('h')), ']'],
      ...unlink('i'),
    );
    assert.deepEqual(await reported(6, inChildren), ['h']);
  });

  test('another program that is run replaces it', async () => {
    judge('evt.type = unlink and not proc.exepath = ~/tool');
    const steps = runs(
      'tool',
      ...unlink('a'),
      ...runs('other', ...unlink('b'), ...runs('tool', ...unlink('c'))),
    );
    assert.deepEqual(await reported(3, steps), ['b']);
  });

  test('a program that is moved to where a rule would not look stays what it was', async () => {
    judge('evt.type = unlink and not proc.exepath = ~/tool');
    const moved = ['call', 'rename', `s:${at('other')}`, `s:${at('tool')}`, ';'];
    // The rename is of no rule.
    assert.deepEqual(await reported(2, runs('other', ...moved, ...unlink('a'))), ['a']);
  });

  test('a rule about a program that removes itself', async () => {
    judge('evt.type = unlink and evt.rawres = 0 and evt.arg.path = val(proc.exepath)');
    assert.deepEqual(await reported(2, runs('other', ...unlink('tool'), ...unlink('other'))), [
      'other',
    ]);
    copyFileSync(stepsProgram(), at('tool'));
    copyFileSync(stepsProgram(), at('other'));
    const relative: Step[] = [
      'cd',
      dir,
      'call',
      'unlink',
      's:tool',
      ';',
      'call',
      'unlink',
      's:other',
      ';',
    ];
    const before = probe.events.length;
    await reported(2, runs('tool', ...relative));
    const names = probe.events
      .slice(before)
      .flatMap(({ type, call }) => (type === 'unlink' ? [call?.text(1)] : []));
    assert.deepEqual(names, ['tool']);
  });

  test('opens, and a program with a name that is too long', async () => {
    judge('evt.type = open and fd.name startswith ~/ and not basename(proc.exepath) startswith to');
    const open: Step[] = ['open', at('tool'), 0, 0];
    const of = async (steps: Step[]): Promise<number> => {
      const { prefiltered } = probe.entry(cgroup);
      await probe.run(cgroup, steps);
      return probe.entry(cgroup).prefiltered - prefiltered;
    };
    assert.equal(await of(runs('tool', ...open)), 1);
    assert.equal(await of(runs('other', ...open)), 0);
    const long = `to${'n'.repeat(240)}`;
    copyFileSync(stepsProgram(), at(long));
    assert.equal(await of(runs(long, ...open)), 0, 'it is not known');
  });

  test('a process that shares its parent’s memory runs what the parent does', async () => {
    judge('evt.type = unlink and not proc.exepath = ~/tool');
    const steps = runs(
      'tool',
      'clone',
      CLONE_VM | 0x4000 | SIGCHLD,
      '[',
      ...unlink('a'),
      'exit',
      0,
      ']',
    );
    assert.deepEqual(await reported(1, steps), []);
  });
});
