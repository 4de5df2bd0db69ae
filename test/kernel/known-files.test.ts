// Files that are known by their inodes are not opened by other names either.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, describe } from 'node:test';
import type { WireEvent } from '../../src/events/wire-event.ts';
import { missingHierarchy } from '../support/kernel-cgroups.ts';
import { runsIn } from '../support/kernel-container.ts';
import { KernelProbe, STANDARD_PROGRAMS, type TestCgroup } from '../support/kernel-probe.ts';
import { stepsProgram, type Step } from '../support/kernel-process.ts';
import { refuseFiles, refusingTest } from '../support/kernel-refused-files.ts';
import { ruleFile, ruleSetOf } from '../support/rules-load.ts';
import { verdictTable } from '../support/verdict-table.ts';

const TABLE = 1;
const EPERM = -1;
const O_RDONLY = 0;
const O_WRONLY = 1;

for (const kind of ['v2', 'v1-pids'] as const)
  describe(`files known by their inodes, with ${kind}`, { skip: missingHierarchy(kind) }, () => {
    const dir = mkdtempSync('/run/varvel-known-');
    let probe: KernelProbe;
    let cgroup: TestCgroup;
    let why: string | undefined;
    const keys: string[] = [];
    before(() => {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'varvel-known', dir]);
      probe = new KernelProbe({ hierarchy: kind, attach: STANDARD_PROGRAMS });
      cgroup = probe.mkdir('judged');
      probe.probe.scopeSet(cgroup.id, 'included', cgroup.level, TABLE);
      copyFileSync(stepsProgram(), at('good'));
      why = refuseFiles(probe);
      // The layers are one file system, as in an engine's folder.
      for (const name of ['lower', 'upper', 'work', 'root']) mkdirSync(at(name));
      for (const name of ['image', 'image2']) writeFileSync(at(`lower/${name}`), 'S');
      const layers = `lowerdir=${at('lower')},upperdir=${at('upper')},workdir=${at('work')}`;
      execFileSync('mount', ['-t', 'overlay', 'varvel-known', '-o', layers, at('root')]);
    });
    afterEach(() => {
      for (const key of keys.splice(0)) probe.probe.forgetFile(key);
    });
    after(async () => {
      await probe.close();
      for (const mounted of [at('root'), dir]) execFileSync('umount', ['--lazy', mounted]);
      rmdirSync(dir);
    });

    const at = (name: string): string => join(dir, name);
    const refusing = (name: string, run: () => Promise<void>): void => {
      refusingTest(name, () => why, run);
    };
    const deny = (condition: string): void => {
      const rules = ruleSetOf(ruleFile(`evt.type in (open, openat) and ${condition}`));
      const { bytes, denied } = verdictTable(rules, 'docker', new Set(['r']));
      assert.deepEqual(denied, ['r']);
      probe.probe.setVerdicts(TABLE, bytes);
    };
    const know = (name: string, path = at(name)): string => {
      const fd = openSync(at(name), 'r');
      const key = probe.probe.knowFile(cgroup.id, fd, Buffer.from(path));
      closeSync(fd);
      keys.push(key);
      return key;
    };
    const open = (name: string, flags = O_RDONLY): Step[] => ['open', at(name), flags, 0o600];

    async function opens(
      steps: Step[],
      container = cgroup,
    ): Promise<[results: number[], denied: readonly WireEvent[]]> {
      const seen = probe.events.length;
      const running = await probe.run(undefined, runsIn(container, at('good'), ...steps));
      const results = running.results
        .filter(({ step }) => step === 'open')
        .map(({ ret }) => Math.min(ret, 0));
      return [results, probe.events.slice(seen).filter(({ denied }) => denied)];
    }

    refusing('by a second name, with the path that the rule names and the one passed', async () => {
      deny(`fd.name = ${at('secret')}`);
      writeFileSync(at('secret'), 'S');
      writeFileSync(at('free'), 'F');
      linkSync(at('secret'), at('second'));
      linkSync(at('free'), at('other'));
      assert.deepEqual((await opens(open('second')))[0], [0], 'it is not known yet');
      know('secret');
      const [results, denied] = await opens([
        ...[...open('second'), ...open('second', O_WRONLY), ...open('secret')],
        ...[...open('other'), ...open('free')],
      ]);
      assert.deepEqual(results, [EPERM, EPERM, EPERM, 0, 0]);
      assert.deepEqual(
        denied.map(({ type, result, ruleMatches, open: opened }) => [
          ...[type, result, ruleMatches, opened?.file?.path, opened?.rawPath],
          ...[opened?.file?.detached, opened?.forWrite],
        ]),
        [
          ['open', EPERM, true, at('secret'), at('second'), false, false],
          ['open', EPERM, true, at('secret'), at('second'), false, true],
          ['open', EPERM, true, at('secret'), at('secret'), false, false],
        ],
      );
    });

    refusing('from another root, as the file of the rule', async () => {
      deny(`fd.name = ${at('rooted')}`);
      writeFileSync(at('rooted'), 'S');
      know('rooted');
      const [results, denied] = await opens(['chroot', dir, 'open', '/rooted', O_RDONLY, 0]);
      assert.deepEqual(results, [EPERM]);
      const files = denied.map(({ open: opened }) => opened?.file);
      assert.deepEqual(
        files.map((file) => [file?.path, file?.detached]),
        [[at('rooted'), false]],
      );
    });

    refusing('only to whom the rule denies it', async () => {
      writeFileSync(at('own'), 'S');
      linkSync(at('own'), at('own2'));
      know('own');
      deny(`fd.name = ${at('own')} and not proc.exepath = ${at('good')}`);
      assert.deepEqual((await opens([...open('own'), ...open('own2')]))[0], [0, 0]);
      deny(`fd.name = ${at('own')} and evt.is_open_write = true`);
      assert.deepEqual((await opens([...open('own2'), ...open('own2', O_WRONLY)]))[0], [0, EPERM]);
    });

    refusing('in the container where it is known, and until it is forgotten', async () => {
      deny(`fd.name = ${at('here')}`);
      writeFileSync(at('here'), 'S');
      linkSync(at('here'), at('here2'));
      const other = probe.mkdir('other');
      probe.probe.scopeSet(other.id, 'included', other.level, TABLE);
      const key = know('here');
      assert.deepEqual((await opens(open('here2'), other))[0], [0]);
      assert.deepEqual((await opens(open('here2')))[0], [EPERM]);
      assert.equal(know('here', at('elsewhere')), key);
      assert.deepEqual((await opens(open('here2')))[0], [EPERM], 'the first path stays');
      probe.probe.forgetFile(key);
      assert.deepEqual((await opens(open('here2')))[0], [0]);
    });

    refusing('wherever it is moved to', async () => {
      deny(`fd.name = ${at('moved')}`);
      writeFileSync(at('moved'), 'S');
      know('moved');
      renameSync(at('moved'), at('moved2'));
      assert.deepEqual((await opens(open('moved2')))[0], [EPERM]);
    });

    refusing('a file of an image: also when a link has it copied up', async () => {
      deny(`fd.name in (${at('root/image')}, ${at('root/new')})`);
      writeFileSync(at('root/new'), 'S');
      know('root/image');
      know('root/new');
      for (const name of ['image', 'image2', 'new'])
        linkSync(at(`root/${name}`), at(`root/${name}-link`));
      const steps = ['image-link', 'image2-link', 'new-link', 'image2'].flatMap((name) =>
        open(`root/${name}`),
      );
      const expected = [EPERM, 0, EPERM, 0];
      assert.deepEqual((await opens(steps))[0], expected);
      // Inodes that nobody uses are forgotten, and read again.
      writeFileSync('/proc/sys/vm/drop_caches', '2');
      assert.deepEqual((await opens(steps))[0], expected);
      // What is known of it when it is in the upper layer.
      know('root/image');
      assert.deepEqual((await opens(steps))[0], expected);
    });

    refusing('what is asked wrongly is refused with a reason', () => {
      const { probe: loader } = probe;
      assert.throws(() => loader.knowFile(cgroup.id, 9999, Buffer.from('/x')), { code: 'EBADF' });
      assert.throws(() => loader.knowFile(cgroup.id, -1, Buffer.from('/x')), /fd is no descriptor/);
      assert.throws(() => loader.knowFile(cgroup.id, 0, Buffer.alloc(0)), /1 to 255 bytes/);
      assert.throws(() => loader.knowFile(cgroup.id, 0, Buffer.alloc(256)), /1 to 255 bytes/);
      assert.throws(() => loader.forgetFile('00'), /no key of a known file/);
      loader.allowFiles();
      assert.throws(() => loader.knowFile(cgroup.id, 0, Buffer.from('/x')), { code: 'EBADF' });
      return Promise.resolve();
    });
  });
