// The BOSH job as a cell runs it: packages installed by their scripts, templates by real ERB, the rendered command line,
// Garden's API and a Loggregator ingress on the other side. With VARVEL_BPM=FILE (a bpm that was built; runc and tini from
// PATH) bpm starts and stops it, as on a cell.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { parse } from 'yaml';
import { BoshVm, prepareRelease, renderJob } from '../support/bosh-vm.ts';
import { Authority } from '../support/certificates.ts';
import { bpfHoldersWith } from '../support/bpf-holders.ts';
import { until, type DetectionLine } from '../support/e2e-agent.ts';
import { GardenCell } from '../support/garden-cell.ts';
import { propertiesOf } from '../support/garden-server.ts';
import { LoggregatorServer } from '../support/loggregator-server.ts';

const BPM = process.env['VARVEL_BPM'];
const VARVEL = '/var/vcap/jobs/varvel/bin/varvel';
const PACKAGES = '/var/vcap/packages/';
const DETECTIONS = 'sys/log/varvel/detections.log';

let vm: BoshVm;
let cell: GardenCell;
let folder: string;
let ingress: LoggregatorServer;
let authority: Authority;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'varvel-release-'));
  vm = new BoshVm();
  cell = new GardenCell('v2');
  await cell.server.start();
  authority = new Authority(folder, 'loggregator_ca');
  ingress = new LoggregatorServer(authority.ca, authority.issue('metron'));
  await ingress.start();
  const release = prepareRelease(folder);
  for (const name of ['node', 'varvel']) {
    const { code, stdout, stderr } = vm.install(release, name);
    assert.equal(code, 0, `${name}: ${stdout}${stderr}`);
  }
});

after(async () => {
  ingress.stop();
  await cell[Symbol.asyncDispose]();
  vm[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
});

function properties(): object {
  const { cert, key } = authority.issue('varvel');
  const read = (path: string): string => readFileSync(path, 'utf8');
  return {
    garden: { cgroup_parents: [cell.root] },
    cgroup_hierarchy: 'v2',
    rules: {
      inline: [
        {
          rule: 'Read by the test',
          desc: 'A file of the test was read.',
          condition: `evt.type in (open, openat) and fd.name endswith "/the test's.txt"`,
          output: 'read (file=%fd.name)',
          priority: 'WARNING',
        },
      ],
    },
    streams: {
      loggregator: {
        address: ingress.address,
        tls: { ca_cert: read(authority.ca), cert: read(cert), key: read(key) },
      },
    },
  };
}

/** Monit's part: starts the process of bpm.yml, and stops it. */
interface Monit {
  start(): void;
  stop(): Promise<void>;
  log(): string;
}

/** Without bpm: the command line of bpm.yml, by root, with nothing in the way. */
function plain(bpmYml: string): Monit {
  const [process] = (parse(bpmYml) as { processes: { executable: string; args: string[] }[] })
    .processes;
  let child: ReturnType<BoshVm['spawn']> | undefined;
  let text = '';
  return {
    start() {
      // As bpm makes them, also for a privileged process: vcap's.
      for (const path of ['sys/log/varvel', 'sys/run/varvel', 'data/varvel']) {
        mkdirSync(join(vm.root, path), { recursive: true, mode: 0o700 });
        chownSync(join(vm.root, path), 1000, 1000);
      }
      child = vm.spawn([process!.executable, ...process!.args]);
      child.stderr!.setEncoding('utf8').on('data', (more: string) => (text += more));
    },
    async stop() {
      const ended = once(child!, 'exit', { signal: AbortSignal.timeout(60_000) });
      child!.kill('SIGTERM');
      assert.deepEqual(await ended, [0, null]);
    },
    log: () => text,
  };
}

/** By a bpm that was built elsewhere. */
function byBpm(bpm: string): Monit {
  const bin = join(vm.root, 'packages/bpm/bin');
  mkdirSync(bin, { recursive: true });
  copyFileSync(bpm, join(bin, 'bpm'));
  for (const tool of ['runc', 'tini']) {
    const { stdout } = spawnSync('sh', ['-c', `command -v ${tool}`], { encoding: 'utf8' });
    copyFileSync(stdout.trim(), join(bin, tool));
  }
  // A stemcell's user, whom bpm looks for in any case.
  for (const [name, entry] of [
    ['passwd', 'vcap:x:1000:1000::/home/vcap:/bin/false'],
    ['group', 'vcap:x:1000:'],
  ] as const) {
    const own = join(folder, name);
    writeFileSync(own, `${readFileSync(`/etc/${name}`, 'utf8')}${entry}\n`);
    vm.mounts.set(`/etc/${name}`, own);
  }
  const told = (command: string): void => {
    const { code, stdout, stderr } = vm.run(['/var/vcap/packages/bpm/bin/bpm', command, 'varvel']);
    // What runc says is there too.
    const log = join(vm.root, 'sys/log/varvel/varvel.stderr.log');
    const more = existsSync(log) ? readFileSync(log, 'utf8').slice(-3000) : '';
    assert.equal(code, 0, `bpm ${command}: ${stdout}${stderr}${more}`);
  };
  return {
    start: () => told('start'),
    stop() {
      told('stop');
      return Promise.resolve();
    },
    log: () => readFileSync(join(vm.root, 'sys/log/varvel/varvel.stderr.log'), 'utf8'),
  };
}

test(`the job, rendered and run ${BPM === undefined ? 'without' : 'by'} bpm: a detection is with the app’s log, and nothing stays at its end`, async (t) => {
  const rendered = renderJob(properties());
  vm.layOut(rendered);
  const started = vm.run(['/var/vcap/jobs/varvel/bin/pre-start']);
  assert.equal(started.code, 0, `pre-start: ${started.stdout}${started.stderr}`);
  // What the cell lacks is told, and does not end the deployment: Garden does not run yet.
  assert.match(started.stdout, /^ok +self-test /m);
  assert.match(started.stdout, /^(?:note|warn|fail) +garden /m);
  assert.ok(existsSync(join(vm.root, 'data/garden')), 'bpm can mount the folder of the socket');
  vm.mounts.set('/var/vcap/data/garden', cell.folder);

  const monit = BPM === undefined ? plain(rendered.files['config/bpm.yml'] ?? '') : byBpm(BPM);
  monit.start();
  try {
    const status = await until(
      `it answers: ${monit.log()}`,
      () => {
        const asked = vm.run([VARVEL, 'status']);
        // This process is Garden as well, and answers it between two commands only.
        return asked.code === 0 && /runtime garden: connected/.test(asked.stdout) && asked;
      },
      60_000,
    ).catch((error: unknown) => {
      throw new Error(monit.log().slice(-3000), { cause: error });
    });
    assert.match(status.stdout, /runtime garden: connected/);
    assert.equal(bpfHoldersWith('cmdline', PACKAGES).length, 1);

    cell.server.create('handle', propertiesOf({ guid: 'app-1', index: 3, tags: { varvel: 'on' } }));
    cell.mkdir('/handle');
    const file = join(cell.folder, "the test's.txt");
    await cell.run('/handle', ['sh', '-c', 'echo x > "$0"; cat "$0"', file]).ended;
    const envelope = await until('the line has arrived', () =>
      ingress.envelopes.find(({ tags }) => tags['varvel_rule'] === 'Read by the test'),
    );
    assert.deepEqual([envelope.source_id, envelope.instance_id], ['app-1', '3']);
    assert.equal(envelope.tags['source_type'], 'VARVEL');
    const line = JSON.parse(envelope.log!.payload.toString()) as DetectionLine;
    assert.equal(line.output_fields['fd.name'], file);
    await until('the operator has a copy', () =>
      readFileSync(join(vm.root, DETECTIONS), 'utf8').includes(line.id),
    );
    assert.match(vm.run([VARVEL, 'status']).stdout, /name-of-app-1/);
  } finally {
    await monit.stop();
  }
  t.diagnostic(`log: ${monit.log().split('\n').length - 1} lines`);
  await until(
    'the kernel has nothing of it',
    () => bpfHoldersWith('cmdline', PACKAGES).length === 0,
  );
  assert.notEqual(vm.run([VARVEL, 'status']).code, 0, 'nobody answers any more');
});

test('rules with a mistake end the deployment in pre-start, with the line', () => {
  vm.layOut(
    renderJob({
      ...properties(),
      rules: {
        inline:
          '- rule: Wrong\n  desc: x\n  condition: evt.tpye = open\n  output: x\n  priority: ERROR\n',
      },
    }),
  );
  const { code, stdout, stderr } = vm.run(['/var/vcap/jobs/varvel/bin/pre-start']);
  assert.equal(code, 1);
  assert.match(`${stdout}${stderr}`, /config\/rules\.yaml:3:/);
});
