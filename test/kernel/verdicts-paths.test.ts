// Renames, removals, links and changes of modes and owners that no rule can match end in the kernel.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { JUDGED_CALLS, LIMITS, MORE_HOOKS } from '../../src/events/table.gen.ts';
import { hooksFor } from '../../src/plan/hooks.ts';
import { kindIndex, type PathKind } from '../../src/plan/verdicts/call-kinds.ts';
import { PROGRAM_LAYERS } from '../../src/plan/verdicts/form-tests.ts';
import type { KnownProgram } from '../../src/plan/verdicts/known-call.ts';
import { ALL_FAILING, verdictOf } from '../../src/plan/verdicts/verdict.ts';
import { call, callFd, text } from '../support/kernel-calls.ts';
import { KernelProbe, STANDARD_PROGRAMS, type TestCgroup } from '../support/kernel-probe.ts';
import { stepsProgram, type Step } from '../support/kernel-process.ts';
import { ruleFile, ruleSetOf } from '../support/rules-load.ts';
import { verdictTable } from '../support/verdict-table.ts';

const AT_FDCWD = -100;
const RENAME_EXCHANGE = 2;
const TABLE = 1;

const tableOf = (condition: string, denied: readonly string[] = []): Uint8Array =>
  verdictTable(ruleSetOf(ruleFile(condition)), 'docker', new Set(denied)).bytes ??
  assert.fail('the table does not fit');

describe('verdicts of calls with paths', () => {
  let probe: KernelProbe;
  let dir: string;
  let cgroup: TestCgroup;
  before(() => {
    // Newer calls that are reported as one of these are not in every kernel.
    const newer: readonly string[] = Object.values(MORE_HOOKS).map((hook) => `sys_${hook}`);
    const hooks = hooksFor(new Set(JUDGED_CALLS)).filter((hook) => !newer.includes(hook));
    probe = new KernelProbe({
      withVerdictRun: true,
      attach: [...new Set([...STANDARD_PROGRAMS, ...hooks])],
    });
    cgroup = probe.mkdir('judged');
    probe.probe.scopeSet(cgroup.id, 'included', cgroup.level, TABLE);
    dir = mkdtempSync(join(tmpdir(), 'varvel-paths-'));
    for (const name of ['secret', 'plain']) mkdirSync(join(dir, name));
    for (const name of ['a', 'b', 'c', 'd']) writeFileSync(join(dir, 'plain', name), '');
    for (const name of ['a', 'b', 'c', 'd']) writeFileSync(join(dir, 'secret', name), '');
  });
  after(async () => {
    await probe.close();
    rmSync(dir, { recursive: true, force: true });
  });

  /** The calls by name that were reported; that the others were counted is asserted. */
  async function reported(
    calls: readonly (readonly [name: string, step: Step[]])[],
    before: readonly Step[] = [],
  ): Promise<string[]> {
    const { prefiltered } = probe.entry(cgroup);
    const running = await probe.run(cgroup, [...before, ...calls.flatMap(([, step]) => step)]);
    const seen = probe
      .eventsOf(running.pid)
      .filter(({ type }) => (JUDGED_CALLS as readonly string[]).includes(type));
    const kept = probe.entry(cgroup).prefiltered - prefiltered;
    // No rule is about the opens before.
    const opens = before.filter((step) => step === 'callfd').length;
    assert.equal(seen.length + kept, calls.length + opens, 'each call is reported or counted');
    // Each has texts or a file of its own.
    const shown = seen.map(({ type, call: made }) =>
      [type, made?.text(1), made?.text(2), made?.file?.path].filter(Boolean).join(' '),
    );
    return calls
      .filter(([name]) => shown.includes(name.replaceAll('~', dir)))
      .map(([name]) => name);
  }

  const at = (path: string): string => text(join(dir, path));
  /** `@1` from then on, once another is opened, which is `@`. */
  const open = (path: string): Step[] => callFd('openat', AT_FDCWD, at(path), 0, 0);
  const judge = (condition: string): void =>
    probe.probe.setVerdicts(TABLE, tableOf(condition.replaceAll('~', dir)));

  test('a call is reported by either of its paths, and counted if no rule is about them', async () => {
    judge(
      `evt.type in (rename, renameat2, link, symlink, unlink) and evt.rawres = 0
       and (evt.arg.oldpath startswith ~/secret/ or evt.arg.newpath startswith ~/secret/
            or evt.arg.linkpath startswith ~/secret/ or evt.arg.path = ~/secret/d)`,
    );
    const calls: [string, Step[]][] = [
      ['rename ~/plain/a ~/plain/a2', call('rename', at('plain/a'), at('plain/a2'))],
      ['rename ~/secret/a ~/plain/a3', call('rename', at('secret/a'), at('plain/a3'))],
      ['rename ~/plain/a2 ~/secret/a', call('rename', at('plain/a2'), at('secret/a'))],
      ['rename ~/secret/none ~/plain/x', call('rename', at('secret/none'), at('plain/x'))],
      [
        'renameat2 plain/b secret/b',
        call('renameat2', AT_FDCWD, text('plain/b'), AT_FDCWD, text('secret/b'), RENAME_EXCHANGE),
      ],
      ['link ~/plain/b ~/plain/b2', call('link', at('plain/b'), at('plain/b2'))],
      ['link ~/plain/b ~/secret/b2', call('link', at('plain/b'), at('secret/b2'))],
      ['symlink ~/secret/b ~/plain/s', call('symlink', at('secret/b'), at('plain/s'))],
      ['symlink x secret/s', call('symlink', text('x'), text('secret/s'))],
      ['unlink plain/s', call('unlink', text('plain/s'))],
      ['unlink secret/c', call('unlink', text('secret/c'))],
      ['unlink secret/d', call('unlink', text('secret/d'))],
      // No rule of such calls, whatever their paths.
      ['mkdir ~/secret/m', call('mkdir', at('secret/m'))],
    ];
    assert.deepEqual(await reported(calls, ['cd', dir]), [
      'rename ~/secret/a ~/plain/a3',
      'rename ~/plain/a2 ~/secret/a',
      'renameat2 plain/b secret/b',
      'link ~/plain/b ~/secret/b2',
      'symlink x secret/s',
      'unlink secret/d',
    ]);
  });

  test('relative to a descriptor, and by paths that the kernel does not judge', async () => {
    judge(
      `evt.type in (unlinkat, rmdir) and (evt.arg.name startswith ~/secret/ or evt.arg.path = ~/x)`,
    );
    const long = 'n'.repeat(LIMITS.VERDICT_PATH_MAX);
    const calls: [string, Step[]][] = [
      ['unlinkat none1', call('unlinkat', '@1', text('none1'), 0)],
      ['unlinkat none2', call('unlinkat', '@', text('none2'), 0)],
      ['unlinkat ./none9', call('unlinkat', '@', text('./none9'), 0)],
      ['unlinkat .//none10', call('unlinkat', '@1', text('.//none10'), 0)],
      ['rmdir ~/y/', call('rmdir', text(`${dir}/y/`))],
      ['rmdir ~/x/', call('rmdir', text(`${dir}/x/`))],
      // A name that may be another one: user space looks.
      ['unlinkat ../plain/none4', call('unlinkat', '@', text('../plain/none4'), 0)],
      ['unlinkat ~/plain//none5', call('unlinkat', AT_FDCWD, text(`${dir}/plain//none5`), 0)],
      ['unlinkat ~/plain/none6', call('unlinkat', AT_FDCWD, at('plain/none6'), 0)],
      ['unlinkat /proc/self/none7', call('unlinkat', AT_FDCWD, text('/proc/self/none7'), 0)],
      [`unlinkat ~/${long}`, call('unlinkat', AT_FDCWD, at(long), 0)],
      // The descriptor is none, so that the directory is unknown.
      ['unlinkat none8', call('unlinkat', 77, text('none8'), 0)],
      ['rmdir ~/x', call('rmdir', at('x'))],
      ['rmdir ~/y', call('rmdir', at('y'))],
    ];
    assert.deepEqual(await reported(calls, [...open('secret'), ...open('plain')]), [
      'unlinkat none1',
      'unlinkat .//none10',
      'rmdir ~/x/',
      'unlinkat ../plain/none4',
      'unlinkat /proc/self/none7',
      `unlinkat ~/${long}`,
      'unlinkat none8',
      'rmdir ~/x',
    ]);
  });

  test('modes: by their bits, the path, and the file of a descriptor', async () => {
    judge(
      `evt.type in (chmod, fchmod, fchmodat) and evt.rawres = 0
       and (evt.arg.mode contains S_ISUID
            or evt.arg.mode contains S_IXUSR and (evt.arg.filename startswith ~/secret/ or fd.name startswith ~/secret/))`,
    );
    const calls: [string, Step[]][] = [
      ['chmod ~/plain/c', call('chmod', at('plain/c'), 0o644)],
      ['chmod ~/secret/b', call('chmod', at('secret/b'), 0o644)],
      ['chmod ~/plain/d', call('chmod', at('plain/d'), 0o755)],
      ['chmod ~/secret/a', call('chmod', at('secret/a'), 0o755)],
      ['chmod plain/c', call('chmod', text('plain/c'), 0o4644)],
      ['chmod ~/plain/none', call('chmod', at('plain/none'), 0o4755)],
      // Bits that no mode has.
      ['chmod plain/d', call('chmod', text('plain/d'), 0o100644)],
      ['fchmodat plain/d', call('fchmodat', AT_FDCWD, text('plain/d'), 0o755)],
      ['fchmodat secret/a', call('fchmodat', AT_FDCWD, text('secret/a'), 0o711)],
      ['fchmod ~/secret/b', call('fchmod', '@1', 0o755)],
      ['fchmod ~/plain/c', call('fchmod', '@', 0o755)],
    ];
    assert.deepEqual(await reported(calls, ['cd', dir, ...open('secret/b'), ...open('plain/c')]), [
      'chmod ~/secret/a',
      'chmod plain/c',
      'chmod plain/d',
      'fchmodat secret/a',
      'fchmod ~/secret/b',
    ]);
  });

  test('a call of which the kernel is certain says so: by all its paths, and by nothing that it does not know', async () => {
    judge(
      `(evt.type in (rename, renameat2) and evt.rawres = 0 and evt.arg.oldpath startswith ~/plain/
         and evt.arg.newpath startswith ~/secret/)
       or (evt.type = chmod and evt.arg.filename startswith ~/secret/)
       or (evt.type = fchmodat and evt.arg.filename startswith ~/secret/ and evt.arg.mode contains S_ISUID)
       or (evt.type = unlink and evt.arg.path startswith ~/secret/ and not proc.name = nobody)
       or (evt.type in (open, openat) and fd.typechar = f and fd.num >= 0 and fd.name startswith ~/secret/)`,
    );
    for (const name of ['e', 'f']) writeFileSync(join(dir, 'plain', name), '');
    writeFileSync(join(dir, 'secret', 'g'), '');
    const running = await probe.run(cgroup, [
      ...['cd', dir],
      ...call('rename', at('plain/e'), at('secret/e')),
      ...call('rename', text('plain/f'), text(`${dir}/secret/./f`)),
      ...call('rename', at('secret/f'), text(`${dir}/plain/../secret/f2`)),
      ...call('rename', at('secret/e'), at('secret/h')),
      ...call('chmod', at('secret/g'), 0o4755),
      ...call('chmod', text(`${dir}/secret/./g`), 0o4755),
      ...call('chmod', text(`${dir}/plain/../secret/g`), 0o4755),
      // A kind has set-user-id or set-group-id: which one is not known.
      ...call('fchmodat', AT_FDCWD, at('secret/g'), 0o4755),
      ...call('unlink', at('secret/g')),
      ...['openat', AT_FDCWD, join(dir, 'secret/h'), 0, 0],
      ...['openat', AT_FDCWD, join(dir, 'secret'), 0, 0],
      ...['openat', AT_FDCWD, join(dir, 'secret/none'), 0, 0],
      ...['openat', AT_FDCWD, `${dir}/plain/../secret/h`, 0, 0],
    ]);
    const seen = probe
      .eventsOf(running.pid)
      .flatMap(({ type, call: made, open, ruleMatches }) =>
        made === undefined && open === undefined
          ? []
          : [`${type} ${made?.text(2) || made?.text(1) || open?.rawPath} ${ruleMatches}`],
      );
    assert.deepEqual(
      seen.map((line) => line.replace(`${dir}/`, '')),
      [
        'rename secret/e true',
        'rename secret/./f true',
        'rename plain/../secret/f2 false',
        'chmod secret/g true',
        'chmod secret/./g true',
        'chmod plain/../secret/g false',
        'fchmodat secret/g false',
        'unlink secret/g false',
        'openat secret/h true',
        // By its claim alone; the file is the same.
        'openat plain/../secret/h true',
      ],
    );
  });

  test('a rule about a variable of the loader: calls of programs without any are counted', async () => {
    probe.probe.setVerdicts(
      TABLE,
      tableOf('evt.type = openat and proc.env[LD_PRELOAD] contains val(fd.name)'),
    );
    const opens = [...['openat', AT_FDCWD, '/etc/hostname', 0, 0], 'exit', 0];
    const isReported = async (...env: string[]): Promise<boolean> => {
      const running = await probe.run(cgroup, [
        ...['execve', '/usr/bin/env', 'env', '-i', ...env, stepsProgram(), ...opens, ';'],
      ]);
      return probe.eventsOf(running.pid).some(({ open }) => open?.rawPath === '/etc/hostname');
    };
    const filler = (bytes: number): string => `FILLER=${'x'.repeat(bytes)}`;
    assert.equal(await isReported(), false);
    assert.equal(await isReported('HOME=/', 'BUILD_ID=7', 'XLD_PRELOAD=/x'), false);
    assert.equal(await isReported('LD_PRELOAD=/etc/hostname'), true);
    // At each place of what is looked at together, and of that of one call.
    for (let bytes = 100; bytes < 140; bytes++) {
      assert.equal(await isReported(filler(bytes), 'LD_AUDIT='), true, `${bytes}`);
      assert.equal(await isReported(filler(bytes), 'BUILD_ID=7'), false, `${bytes}`);
    }
    assert.equal(await isReported(filler(LIMITS.ENV_MAX - 20)), false);
    assert.equal(await isReported(filler(LIMITS.ENV_MAX - 40), 'LD_PRELOAD=x'), true);
    assert.equal(await isReported(filler(LIMITS.ENV_MAX)), true, 'it is not all there');
  });

  test('the kernel says of each kind and path what TypeScript does', () => {
    const bytes = tableOf(
      `(evt.type in (rename, renameat, renameat2) and fs.path.placed startswith /etc/
         and not fs.path.placed startswith /etc/varvel)
       or (evt.type in (unlink, rmdir) and basename(evt.arg.path) in (log, wtmp))
       or (evt.type in (chmod, fchmodat) and evt.arg.mode contains S_ISGID and tolower(evt.arg.filename) endswith .php)
       or (evt.type in (link, linkat) and evt.failed = true and evt.arg.oldpath contains shadow)
       or (evt.type in (mkdir, chown) and evt.arg.path startswith /etc/
           and not (proc.exepath startswith anyof (/usr/bin/python, /usr/bin/dpkg) and proc.is_exe_upper_layer = false))
       or (evt.type in (mkdirat, lchown) and basename(proc.exepath) endswith log and proc.is_exe_from_memfd = false)
       or (evt.type = mknod and proc.env[LD_PRELOAD] != "")
       or (evt.type = rmdir and evt.arg.path = val(proc.exepath))`,
      ['r'],
    );
    const programs: (KnownProgram | undefined)[] = [
      undefined,
      { path: Buffer.from('/usr/bin/python3.13'), layer: 'lower' },
      { path: Buffer.from('/usr/bin/python3'), layer: 'upper' },
      { path: Buffer.from('/var/log'), layer: 'none' },
      { path: undefined, layer: 'upper' },
      { path: Buffer.from('/usr/bin/python3'), layer: 'lower', loads: false },
      { path: Buffer.from('/etc/x'), layer: 'upper', loads: true },
      { path: undefined, layer: 'memfd' },
      { path: Buffer.from('/etc/x'), layer: 'lower' },
      { path: Buffer.from(`/${'p'.repeat(LIMITS.VERDICT_PATH_MAX - 2)}`), layer: 'lower' },
    ];
    probe.probe.setVerdicts(TABLE, bytes);
    const paths = [
      '/etc/x',
      '/etc/varvel/x',
      '/var/log',
      '/var/log/x',
      '/a.PHP',
      '/etc/shadow',
      '/x',
    ];
    const counts = [0, 0];
    let certain = 0;
    let denied = 0;
    for (const event of JUDGED_CALLS) {
      for (const which of [0, 1] as const) {
        for (const failed of [false, true]) {
          for (const mode of [0, 0o111, 0o2000, 0o2711]) {
            for (const path of paths.map((one) => Buffer.from(one))) {
              const kind: PathKind = { event, which, failed, mode };
              const known = { ...kind, directory: false, layer: 'none', path } as const;
              for (const program of programs) {
                const { passes, failing, denies } = verdictOf(bytes, { ...known, program });
                const found = probe.probe.runVerdict(TABLE, {
                  kind: kindIndex(kind),
                  directory: false,
                  layer: 0,
                  path,
                  program: program && { ...program, layer: PROGRAM_LAYERS.indexOf(program.layer) },
                });
                const what = `${path.toString()} ${JSON.stringify(kind)} ${program?.path?.toString()}`;
                assert.deepEqual(found, { passes: passes ? 1 : 0, failing, denies }, what);
                counts[found.passes] = (counts[found.passes] ?? 0) + 1;
                if (failing !== ALL_FAILING) certain++;
                if (denies !== 0) denied++;
              }
            }
          }
        }
      }
    }
    assert.ok(Math.min(...counts) > 50, counts.join());
    assert.ok(certain > 50 && denied > 10, `${certain} certain, ${denied} denied`);
  });
});
