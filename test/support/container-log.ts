// A real engine, its containers and their logs: for tests of the stream that writes into them. Importing it starts the engine.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { get, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import type { Container } from '../../src/apps/identity.ts';
import { ContainerLogStream } from '../../src/streams/container/container-log-stream.ts';
import { descriptors } from '../../src/streams/container/locate-log.ts';
import { startDockerd } from './dockerd.ts';
import type { TestDockerd } from './dockerd.ts';
import { until } from './until.ts';
import { containerOf, deliveryOf } from '../unit/streams/delivery-fixture.ts';

/** Of this process's tests. */
export let engine: TestDockerd;
let image: string;
let lastSeq = 0;

before(async () => {
  engine = await startDockerd({ own: true });
  image = await engine.importBusybox();
});

after(async () => {
  await engine[Symbol.asyncDispose]();
  const { execRoot, dataRoot } = engine;
  const mounts = readFileSync('/proc/mounts', 'utf8');
  assert.ok(!mounts.includes(execRoot) && !mounts.includes(dataRoot), 'nothing is left mounted');
});

export interface Running {
  readonly docker: Docker.Container;
  /** As the apps stage describes it. */
  readonly container: Container;
}

interface RunOptions {
  readonly tty?: boolean;
  readonly driver?: 'json-file' | 'local';
}

export async function run(
  script: string,
  { tty = false, driver = 'json-file' }: RunOptions = {},
): Promise<Running> {
  const docker = await engine.docker.createContainer({
    Image: image,
    Cmd: ['/bin/sh', '-c', script],
    Tty: tty,
    HostConfig: { NetworkMode: 'none', LogConfig: { Type: driver, Config: {} } },
  });
  await docker.start();
  return { docker, container: await describe(docker, tty) };
}

export async function describe(docker: Docker.Container, tty = false): Promise<Container> {
  const { State } = await docker.inspect();
  return containerOf({ fullId: docker.id, tty, initPid: State.Pid });
}

/** Not with dockerode, which parses a log that happens to be JSON. */
async function readLog(id: string): Promise<Buffer> {
  const path = `/containers/${id}/logs?stdout=1&stderr=1`;
  const [response] = (await once(get({ socketPath: engine.socketPath, path }), 'response')) as [
    IncomingMessage,
  ];
  assert.equal(response.statusCode, 200);
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

/** Lines as `docker logs` prints them, stdout and stderr in the order in which the engine took them. */
export async function logLines({ docker, container }: Running): Promise<string[]> {
  const raw = await readLog(docker.id);
  const parts: Buffer[] = [];
  if (container.tty === true) parts.push(raw);
  // Frames of the attach protocol: stream number, three zeros, length.
  for (let offset = 0; container.tty !== true && offset < raw.length;) {
    const length = raw.readUInt32BE(offset + 4);
    parts.push(raw.subarray(offset + 8, offset + 8 + length));
    offset += 8 + length;
  }
  return Buffer.concat(parts).toString('utf8').replaceAll('\r', '').split('\n');
}

export const fifoOf = ({ docker }: Running, name = 'stdout'): string =>
  join(engine.execRoot, 'containerd', docker.id, `${docker.id}-${name}`);

/** The app has run `exec sleep`, so what the script did before is done, and the shim has passed it on. */
export async function settled(app: Running): Promise<void> {
  await until('the script comes to its end', () =>
    readFileSync(`/proc/${app.container.initPid}/comm`, 'utf8').startsWith('sleep'),
  );
  await delay(100);
}

/** A step of an app's script: it goes no further until the test says so. */
export const UNTIL_RELEASED = 'until [ -e /tmp/go ]; do sleep 0.05; done';

export function release({ container }: Running): void {
  writeFileSync(`/proc/${container.initPid}/root/tmp/go`, '');
}

export const dockerdPid = (): number =>
  Number(readFileSync(join(engine.execRoot, '..', 'docker.pid'), 'utf8'));

/** The app has closed that output, and so have the shim and, after it, the engine. */
export async function isClosed(app: Running, name: 'stdout' | 'stderr'): Promise<void> {
  const fifo = fifoOf(app, name);
  await until(
    `the engine reads no ${name}`,
    () => !descriptors(dockerdPid()).some(({ target, readable }) => readable && target === fifo),
  );
}

export const newStream = (execRoots = [engine.execRoot]): ContainerLogStream =>
  new ContainerLogStream({ execRoots, format: 'json' });

export const nextDelivery = (container: Container, output = 'found') =>
  deliveryOf({ container, output }, { seq: ++lastSeq });

/** The one line of the log that is the detection, parsed; fails when there is none or more than one. */
export async function theLine(
  app: Running,
  seq: number,
): Promise<{ index: number; lines: string[]; line: { output: string } }> {
  const lines = await until('the line is in the log', async () => {
    const all = await logLines(app);
    return all.some((text) => text.includes(`"seq":${seq}`)) && all;
  });
  const indexes = lines.flatMap((text, index) => (text.includes(`"seq":${seq}`) ? [index] : []));
  assert.equal(indexes.length, 1, 'exactly once');
  const index = indexes[0]!;
  return { index, lines, line: JSON.parse(lines[index]!) as { output: string } };
}

/** A detection of an event at this time (Unix ns). */
export const deliveryAt = (container: Container, timeNs: bigint): ReturnType<typeof nextDelivery> =>
  deliveryOf({ container, timeNs }, { seq: ++lastSeq });
