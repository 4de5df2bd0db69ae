// Files of overlays: since Linux 6.7 the hook is called for the file in the layer too, with the layer's own path.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmdirSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { after, before, describe } from 'node:test';
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
const O_CREAT = 0o100;
const MANY = 200;

/** Whether overlayfs opens the file in a layer with its own path. */
const hasLayerPaths = (): boolean => {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  return major > 6 || (major === 6 && minor >= 7);
};

for (const kind of ['v2', 'v1-pids'] as const)
  describe(
    `denied opens of an overlay's files, with ${kind}`,
    { skip: missingHierarchy(kind) },
    () => {
      const dir = mkdtempSync('/run/varvel-layers-');
      const at = (name: string): string => join(dir, name);
      let probe: KernelProbe;
      let cgroup: TestCgroup;
      let why: string | undefined;
      before(() => {
        execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'varvel-layers', dir]);
        probe = new KernelProbe({ hierarchy: kind, attach: STANDARD_PROGRAMS });
        cgroup = probe.mkdir('judged');
        probe.probe.scopeSet(cgroup.id, 'included', cgroup.level, TABLE);
        copyFileSync(stepsProgram(), at('good'));
        why = refuseFiles(probe);
        for (const name of ['lower/kept', 'lower/over', 'lower/more', 'upper', 'work', 'root'])
          mkdirSync(at(name), { recursive: true });
        for (const name of ['secret', 'free', 'written', 'kept/secret', 'kept/free'])
          writeFileSync(at(`lower/${name}`), 'S');
        const layers = `lowerdir=${at('lower')},upperdir=${at('upper')},workdir=${at('work')}`;
        execFileSync('mount', ['-t', 'overlay', 'varvel-layers', '-o', layers, at('root')]);
      });
      after(async () => {
        await probe.close();
        for (const mounted of [at('root'), dir]) execFileSync('umount', ['--lazy', mounted]);
        rmdirSync(dir);
      });

      /** Opens of other files are reported. */
      const deny = (condition: string): void => {
        const other = ruleFile('evt.type = open and fd.name startswith /').replace(
          'rule: r',
          'rule: o',
        );
        const rules = ruleSetOf(`${ruleFile(`evt.type = open and ${condition}`)}\n${other}`);
        const { bytes, denied } = verdictTable(rules, 'docker', new Set(['r']));
        assert.deepEqual(denied, ['r']);
        probe.probe.setVerdicts(TABLE, bytes);
      };
      const refusing = (name: string, run: () => Promise<void>): void => {
        refusingTest(name, () => why, run);
      };
      const open = (path: string, flags = O_RDONLY): Step[] => ['open', path, flags, 0o600];

      /** What comes of opens in a container whose root is the overlay, and their records: layers, and whether the path is whole. */
      async function opens(...steps: Step[]) {
        const seen = probe.events.length;
        const inRoot: Step[] = ['chroot', at('root'), 'cd', '/', ...steps];
        const running = await probe.run(undefined, runsIn(cgroup, at('good'), ...inRoot));
        const results = running.results
          .filter(({ step }) => step === 'open')
          .map(({ ret }) => Math.min(ret, 0));
        const records = probe.events.slice(seen).flatMap(({ type, open: opened, denied }) => {
          const { path, detached, upperLayer, lowerLayer } = opened?.file ?? {};
          const layer = upperLayer ? 'upper' : lowerLayer ? 'lower' : 'none';
          return type === 'open' ? [[path, detached, layer, denied]] : [];
        });
        return { results, records };
      }

      refusing('by the path in the container, from each layer, with one whole record', async () => {
        deny('fd.name in (/secret, /made, /kept/secret)');
        const { results, records } = await opens(
          ...[...open('/free'), ...open('/secret'), ...open('/free'), ...open('/kept/secret')],
          ...[
            ...open('/written', O_WRONLY),
            ...open('/written'),
            ...open('/new', O_WRONLY | O_CREAT),
          ],
          ...[...open('/made', O_WRONLY | O_CREAT), ...open('/kept/free')],
        );
        assert.deepEqual(results, [0, EPERM, 0, EPERM, 0, 0, 0, EPERM, 0]);
        assert.deepEqual(records, [
          ['/free', false, 'lower', false],
          ['/secret', false, 'lower', true],
          ['/free', false, 'lower', false],
          ['/kept/secret', false, 'lower', true],
          ['/written', false, 'upper', false],
          ['/written', false, 'upper', false],
          ['/new', false, 'upper', false],
          ['/made', false, 'upper', true],
          ['/kept/free', false, 'lower', false],
        ]);
      });

      refusing(`${MANY} of ${MANY} of them, between others that are opened`, async () => {
        deny('fd.name = /secret');
        const untold = probe.countUntold();
        const steps = Array.from({ length: MANY }, () => [...open('/free'), ...open('/secret')]);
        const { results, records } = await opens(...steps.flat());
        assert.deepEqual(results, Array.from({ length: MANY }, () => [0, EPERM]).flat());
        assert.equal(records.filter(([, , , denied]) => denied).length + untold(), MANY);
      });

      refusing('a rule about layers asks for that of the overlay’s file', async () => {
        deny('fd.name = /free and fd.is_lower_layer = false');
        assert.deepEqual((await opens(...open('/free'))).results, [0]);
        deny('fd.name = /free and fd.is_lower_layer = true');
        assert.deepEqual((await opens(...open('/free'))).results, [EPERM]);
      });

      const over = (lower: string): Step[] => [
        ...['mount', 'tmpfs', '/more', 'tmpfs', 0, ''],
        ...['mkdir', '/more/upper', 'mkdir', '/more/work'],
        ...['mount', 'overlay', '/over', 'overlay', 0],
        `lowerdir=${lower},upperdir=/more/upper,workdir=/more/work`,
      ];
      const ofLayer = hasLayerPaths() ? EPERM : 0;

      refusing(
        'by an overlay of the container’s own root, where the layer’s path is known',
        async () => {
          deny('fd.name in (/secret, /kept/secret)');
          const free = [...open('/over/free'), ...open('/over/kept/free')];
          const secret = [...open('/over/secret'), ...open('/over/kept/secret')];
          const { results, records } = await opens(...over('/'), ...free, ...secret, ...free);
          assert.deepEqual(results, [0, 0, ofLayer, ofLayer, 0, 0]);
          const expected = [
            ['/over/free', false, 'lower', false],
            ['/over/kept/free', false, 'lower', false],
          ];
          assert.deepEqual(records, [
            ...expected,
            ...(hasLayerPaths()
              ? [
                  ['/secret', true, 'lower', true],
                  ['/kept/secret', true, 'lower', true],
                ]
              : [
                  ['/over/secret', false, 'lower', false],
                  ['/over/kept/secret', false, 'lower', false],
                ]),
            ...expected,
          ]);
        },
      );

      refusing('by an overlay of a directory, by the path in the layer below its own', async () => {
        deny('fd.name = /kept/secret');
        const { results } = await opens(
          ...over('/kept'),
          ...[...open('/over/free'), ...open('/over/secret'), ...open('/over/free')],
        );
        assert.deepEqual(results, [0, ofLayer, 0]);
      });

      refusing('in an overlay that is the root, by the path that its layer has too', async () => {
        deny('fd.name = /secret');
        const { results, records } = await opens(
          ...[...over('/'), 'chroot', '/over'],
          ...[...open('/free'), ...open('/secret'), ...open('/free')],
        );
        assert.deepEqual(results, [0, EPERM, 0]);
        assert.deepEqual(records, [
          ['/free', false, 'lower', false],
          ['/secret', false, 'lower', true],
          ['/free', false, 'lower', false],
        ]);
      });
    },
  );
