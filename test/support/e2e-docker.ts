import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import type { TestDockerd } from './dockerd.ts';
import type { DetectionLine } from './e2e-agent.ts';

/** What a test container is, besides the daemon's defaults. */
export interface RunOptions {
  readonly name?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly tty?: boolean;
  readonly hostConfig?: Docker.HostConfig;
  readonly env?: Readonly<Record<string, string>>;
  /** Default: busybox. */
  readonly image?: string;
}

/** Starts a container that runs `command` (a shell script, or an argument vector), without a network. */
export async function runContainer(
  engine: TestDockerd,
  command: string | readonly string[],
  { name, labels = {}, tty = false, hostConfig = {}, env = {}, image }: RunOptions = {},
): Promise<Docker.Container> {
  const container = await engine.docker.createContainer({
    ...(name === undefined ? {} : { name }),
    Image: image ?? (await engine.importBusybox()),
    Cmd: typeof command === 'string' ? ['sh', '-c', command] : [...command],
    Labels: { ...labels },
    Env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
    Tty: tty,
    HostConfig: { NetworkMode: 'none', ...hostConfig },
  });
  await container.start();
  return container;
}

/**
 * Restarts a container without a grace period. Seen once, on a loaded machine and with no agent running: the init of the second
 * run was killed while runc prepared it ("read init-p: connection reset by peer"). The likely cause is containerd's clean-up of
 * the first run, which ends by the same id. The engine leaves the container stopped then, so it is started again.
 */
export async function restartContainer(container: Docker.Container): Promise<void> {
  try {
    await container.restart({ t: 0 });
  } catch (error) {
    if (!String(error).includes('OCI runtime create failed')) throw error;
    await container.start();
  }
}

/** An image as a script leaves busybox's behind. Its name, for `image` above. */
export async function imageMadeBy(
  engine: TestDockerd,
  name: string,
  script: string,
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const maker = await runContainer(engine, script, { env });
  try {
    const { StatusCode } = (await maker.wait()) as { StatusCode: number };
    if (StatusCode !== 0) throw new Error(`the image ${name} was not made: ${script}`);
    await maker.commit({ repo: `varvel-test/${name}`, changes: 'ENV TEXT=' });
  } finally {
    await maker.remove({ force: true });
  }
  return `varvel-test/${name}`;
}

/**
 * Runs a script, or an argument vector, in the container (docker exec) and waits for its end; its exit code. Seen once, on a loaded
 * machine: the engine itself could not begin it (126). Then nothing of the script has run, so it is tried once more, and what the
 * engine said is printed.
 */
export async function execInContainer(
  container: Docker.Container,
  script: string | readonly string[],
): Promise<number> {
  const first = await execOnce(container, script);
  if (first.refusal === undefined) return first.code;
  console.error(`docker exec is tried again. The engine said: ${first.refusal}`);
  const second = await execOnce(container, script);
  if (second.refusal !== undefined) throw new Error(second.refusal);
  return second.code;
}

async function execOnce(
  container: Docker.Container,
  script: string | readonly string[],
): Promise<{ code: number; refusal: string | undefined }> {
  const command = typeof script === 'string' ? ['sh', '-c', script] : [...script];
  const exec = await container.exec({ Cmd: command, AttachStdout: true });
  const stream = await exec.start({});
  // The last part is enough for what the engine says, and a script may write much.
  let output = '';
  stream.setEncoding('utf8').on('data', (text: string) => {
    output = (output + text).slice(-4096);
  });
  await once(stream, 'close');
  // The engine closes its output before it has noted the end.
  for (const deadline = Date.now() + 30_000; ;) {
    const { Running, ExitCode } = await exec.inspect();
    if (!Running)
      return { code: ExitCode ?? -1, refusal: /OCI runtime exec failed.*/.exec(output)?.[0] };
    if (Date.now() > deadline)
      throw new Error(`the engine does not note the end of: ${command.join(' ')}`);
    await delay(10);
  }
}

/** What `docker logs` prints, bytes as they are (dockerode would parse a log that happens to be JSON). */
export async function dockerLogs(
  engine: Pick<TestDockerd, 'socketPath'>,
  container: Docker.Container,
  tty = false,
): Promise<Buffer> {
  const path = `/containers/${container.id}/logs?stdout=1&stderr=1`;
  const [response] = (await once(get({ socketPath: engine.socketPath, path }), 'response')) as [
    IncomingMessage,
  ];
  if (response.statusCode !== 200) throw new Error(`no logs: ${response.statusCode ?? 0}`);
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const raw = Buffer.concat(chunks);
  if (tty) return raw;
  const parts: Buffer[] = [];
  // Frames of the attach protocol: stream number, three zeros, length.
  for (let offset = 0; offset < raw.length;) {
    const length = raw.readUInt32BE(offset + 4);
    parts.push(raw.subarray(offset + 8, offset + 8 + length));
    offset += 8 + length;
  }
  return Buffer.concat(parts);
}

/** Lines of `docker logs`, without the empty ones. */
export async function logLines(
  engine: Pick<TestDockerd, 'socketPath'>,
  container: Docker.Container,
  tty = false,
): Promise<string[]> {
  const text = (await dockerLogs(engine, container, tty)).toString('utf8');
  return text
    .replaceAll('\r', '')
    .split('\n')
    .filter((line) => line !== '');
}

/** What the agent wrote into its log, where the container itself writes no line that begins with a brace. */
export async function agentLines(
  engine: Pick<TestDockerd, 'socketPath'>,
  container: Docker.Container,
): Promise<DetectionLine[]> {
  const lines = await logLines(engine, container);
  return lines
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as DetectionLine);
}
