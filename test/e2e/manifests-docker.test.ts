// The agent in a container with exactly the options of manifests/docker/compose.yml, in the image that the Dockerfile
// makes, beside an app's container.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { hostname, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { Ajv } from 'ajv';
import type Docker from 'dockerode';
import { parse } from 'yaml';
import { containerOptions, type ComposeService } from '../support/compose-service.ts';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { bpfHoldersWith } from '../support/bpf-holders.ts';
import { until, type DetectionLine } from '../support/e2e-agent.ts';
import { dockerLogs, execInContainer, logLines } from '../support/e2e-docker.ts';

const REPOSITORY = join(import.meta.dirname, '../..');
const FOLDER = join(REPOSITORY, 'manifests/docker');
const DOCKERFILE = readFileSync(join(FOLDER, 'Dockerfile'), 'utf8');
const BASE = 'debian:trixie-slim';
const RULE = 'Sensitive file read';

interface Compose {
  readonly services: Readonly<Record<string, ComposeService>>;
  readonly volumes: object;
}
const compose = parse(readFileSync(join(FOLDER, 'compose.yml'), 'utf8')) as Compose;

let engine: TestDockerd;
let folder: string;

const sh = (script: string, ...args: readonly string[]): void => {
  const { status, stdout, stderr } = spawnSync('sh', ['-euc', script, 'sh', ...args], {
    encoding: 'utf8',
  });
  assert.equal(status, 0, `${stdout}${stderr}`);
};

/** As much of the image that the Dockerfile names as can be had without a registry: a shell and this machine's C library. */
async function importBase(): Promise<void> {
  const tree = join(folder, 'base');
  for (const path of ['bin', 'etc', 'tmp', 'run', 'usr/bin'])
    mkdirSync(join(tree, path), { recursive: true });
  sh(
    'cp /bin/busybox "$1/bin/"; for tool in $("$1/bin/busybox" --list | grep -vx busybox); do ln -s busybox "$1/bin/$tool"; done',
    tree,
  );
  writeFileSync(join(tree, 'etc/passwd'), 'root:x:0:0::/root:/bin/sh\n');
  const libraries = ['/lib64/ld-linux-x86-64.so.2'].concat(
    ['c', 'm', 'dl', 'pthread', 'rt'].map((name) =>
      spawnSync('sh', ['-c', `ls /lib/x86_64-linux-gnu/lib${name}.so.[0-9]`], {
        encoding: 'utf8',
      }).stdout.trim(),
    ),
  );
  for (const library of libraries.filter(existsSync)) {
    mkdirSync(join(tree, dirname(library)), { recursive: true });
    copyFileSync(library, join(tree, library));
  }
  const tar = spawn('tar', ['-C', tree, '-cf', '-', '.'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const stream = await engine.docker.importImage(tar.stdout, {
    repo: BASE.split(':')[0],
    tag: BASE.split(':')[1],
  });
  stream.resume();
  await once(stream, 'end');
}

/** The Dockerfile's last stage, as it is; what the one before makes is made here by the same script. */
async function build(): Promise<void> {
  const context = join(folder, 'context');
  mkdirSync(context);
  sh('bash "$1/manifests/bundle.sh" "$2/out" >/dev/null', REPOSITORY, context);
  cpSync(FOLDER, join(context, 'manifests/docker'), { recursive: true });
  const last = DOCKERFILE.slice(DOCKERFILE.lastIndexOf('\nFROM ') + 1);
  assert.ok(last.startsWith(`FROM ${BASE}\n`));
  writeFileSync(join(context, 'Dockerfile'), `FROM scratch AS build\nCOPY out /out\n${last}`);
  const tar = spawn('tar', ['-C', context, '-cf', '-', '.'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const stream = await engine.docker.buildImage(tar.stdout, {
    t: String(compose.services['varvel']?.['image']),
  });
  const errors: string[] = [];
  await new Promise<void>((resolve, reject) => {
    engine.docker.modem.followProgress(
      stream,
      (error) => (error === null ? resolve() : reject(error)),
      ({ error }: { error?: string }) => error !== undefined && errors.push(error),
    );
  });
  assert.deepEqual(errors, []);
}

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'varvel-image-'));
  engine = await startDockerd();
  // As /run is on a host with systemd: mounts that go there go in the agent's container too (rslave).
  sh('mount --bind "$1" "$1" && mount --make-rshared "$1"', engine.execRoot);
  await importBase();
  await build();
});
after(async () => {
  sh('umount --lazy "$1"', engine.execRoot);
  await engine[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

test('compose.yml is valid by the Compose Specification’s schema, and only the agent is privileged', () => {
  const dclint = dirname(createRequire(import.meta.url).resolve('dclint/package.json'));
  const schema = JSON.parse(readFileSync(join(dclint, 'schemas/compose.schema.json'), 'utf8')) as {
    $schema?: string;
  };
  delete schema.$schema; // the draft by another URL than Ajv knows it
  const validate = new Ajv({ strict: false, validateFormats: false }).compile(schema);
  assert.ok(validate(compose), JSON.stringify(validate.errors));
  assert.equal(validate({ services: { varvel: { privileged: true, pidd: 'host' } } }), false);
  for (const [name, service] of Object.entries(compose.services))
    assert.equal(service['privileged'] === true, name === 'varvel', name);
});

test('the agent in its container: a detection is in docker logs of the app, the copy in its own', async (t) => {
  const paths: Readonly<Record<string, string>> = {
    '/var/run/docker.sock': engine.socketPath,
    '/run/docker': engine.execRoot,
    '/sys/fs/cgroup': '/sys/fs/cgroup',
  };
  const source = (path: string): string => {
    assert.ok(path in paths, `${path} is not the test's own`);
    return paths[path] ?? path;
  };
  const start = async (name: string): Promise<Docker.Container> => {
    const options = containerOptions(compose.services[name] ?? {}, source);
    // Debian's sleep knows "infinity", and an app without a network needs no bridge, which tests do not have.
    const own =
      name === 'shop' ? { HostConfig: { ...options.HostConfig, NetworkMode: 'none' } } : {};
    const container = await engine.docker.createContainer({ name, ...options, ...own });
    await container.start();
    return container;
  };
  const agent = await start('varvel');
  const status = async (): Promise<boolean> =>
    (await execInContainer(agent, 'varvel status > /dev/null')) === 0;
  await until('the agent answers', status, 60_000).catch(async (error: unknown) => {
    throw new Error((await dockerLogs(engine, agent)).toString(), { cause: error });
  });
  const app = await start('shop');
  await until('the app is watched', async () => {
    return (await execInContainer(agent, 'varvel status | grep -w shop | grep -qw in')) === 0;
  });
  assert.equal(
    await execInContainer(app, 'echo root > /etc/shadow; cat /etc/shadow > /dev/null'),
    0,
  );

  const [line] = await until('it is in the app’s log', async () => {
    const found = (await logLines(engine, app)).filter((it) => it.includes(RULE));
    return found.length > 0 && found;
  });
  const detection = JSON.parse(line!) as DetectionLine;
  assert.deepEqual(detection.app, { name: 'shop' });
  assert.equal(detection.hostname, hostname(), 'the host’s name, not the id of the container');
  assert.equal(detection.output_fields['fd.name'], '/etc/shadow');
  await until('the operator has a copy', async () => {
    return (await logLines(engine, agent)).some((it) => it.includes(detection.id));
  });

  const { State } = await agent.inspect();
  assert.equal(bpfHoldersWith('cgroup', agent.id).length, 1);
  await agent.stop({ t: 20 });
  const ended = (await agent.inspect()).State;
  assert.equal(ended.ExitCode, 0);
  const seconds = (Date.parse(ended.FinishedAt) - Date.parse(State.StartedAt)) / 1000;
  t.diagnostic(`it ran ${seconds.toFixed(0)} s`);
  await until(
    'the kernel has nothing of it',
    () => bpfHoldersWith('cgroup', agent.id).length === 0,
  );
});
