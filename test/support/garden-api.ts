import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** Only a hang takes as long. */
const ANSWER_MS = 120_000;
const PREFIX = 'VARVEL_TEST_GARDEN_';

/** A process in a container, as Garden's API takes it (its ProcessSpec). */
export interface ProcessSpec {
  readonly id?: string;
  readonly path: string;
  readonly args: readonly string[];
  readonly user: string;
  /** Makes it a sidecar, with a root of its own. */
  readonly image?: { readonly uri: string };
  /** Give a sidecar a cgroup beside the container's. */
  readonly limits?: { readonly memory_limits: { readonly limit_in_bytes: number } };
}

/** A process that Garden has started; `ended` is its exit code, null when Garden went first. */
export interface StartedProcess {
  readonly ended: Promise<number | null>;
}

/** A Garden that somebody runs for the tests. */
export interface GivenGarden {
  readonly api: GardenApi;
  /** The cgroup in which its containers are. */
  readonly root: string;
  /** An image, as its API takes it. */
  readonly rootfs: string;
  /** A command that stops Garden, by SIGTERM, and starts it again. One that is killed forgets its containers' networks, and removes them. */
  readonly restart: string | undefined;
}

/** What the variables that begin with VARVEL_TEST_GARDEN_ name; undefined without SOCKET (CONTRIBUTING.md). */
export function givenGarden(): GivenGarden | undefined {
  const socketPath = process.env[`${PREFIX}SOCKET`];
  if (socketPath === undefined) return undefined;
  return {
    api: new GardenApi(socketPath),
    root: variable('CGROUP'),
    rootfs: variable('ROOTFS'),
    restart: process.env[`${PREFIX}RESTART`],
  };
}

/** Garden's HTTP API, as Diego's executor uses it. */
export class GardenApi {
  readonly socketPath: string;

  constructor(socketPath: string) {
    this.socketPath = socketPath;
  }

  async create(
    handle: string,
    rootfs: string,
    properties: Readonly<Record<string, string>>,
  ): Promise<void> {
    await this.#ask('POST', '/containers', json({ handle, rootfs, properties }));
  }

  async set(handle: string, property: string, value: string): Promise<void> {
    await this.#ask('PUT', `/containers/${handle}/properties/${property}`, json({ value }));
  }

  async destroy(handle: string): Promise<void> {
    await this.#ask('DELETE', `/containers/${handle}`);
  }

  /** Streams files into a folder of the container, as the executor does with the droplet. Paths begin with the folder. */
  async streamIn(
    handle: string,
    folder: string,
    files: Readonly<Record<string, string>>,
  ): Promise<void> {
    const query = `user=vcap&destination=${encodeURIComponent(folder)}`;
    const body = { type: 'application/x-tar', bytes: await tarOf(folder, files) };
    await this.#ask('PUT', `/containers/${handle}/files?${query}`, body);
  }

  /** Resolves when it runs. The connection is no HTTP any more then: JSON values come, the last with the exit code. */
  run(handle: string, spec: ProcessSpec): Promise<StartedProcess> {
    const body = JSON.stringify(spec);
    const socket = connect(this.socketPath);
    const gone = once(socket, 'close').then(() => null);
    gone.catch(() => undefined);
    socket.setTimeout(ANSWER_MS, () => socket.destroy(new Error(`${handle}: no answer`)));
    socket.write(
      `POST /containers/${handle}/processes HTTP/1.1\r\nHost: garden\r\n` +
        `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
    return new Promise((resolve, reject) => {
      let text = '';
      const ended = new Promise<number>((exited) => {
        socket.setEncoding('utf8').on('data', (part: string) => {
          text += part;
          if (text.includes('"process_id"')) {
            socket.setTimeout(0);
            resolve({ ended: Promise.race([ended, gone.catch(() => null)]) });
          }
          const status = /^HTTP\/1\.1 ([45]\d\d .*)\r\n/.exec(text)?.[1];
          if (status !== undefined) socket.destroy(new Error(`${handle} ${spec.path}: ${status}`));
          const code = /"exit_status":(\d+)/.exec(text)?.[1];
          if (code === undefined) return;
          exited(Number(code));
          socket.destroy();
        });
      });
      // Once it runs, this comes too late to be heard.
      socket.on('error', reject);
      socket.on('close', () => reject(new Error(`${handle} ${spec.path}: ${text}`)));
    });
  }

  #ask(
    method: string,
    path: string,
    body: Body = { type: 'application/json', bytes: '' },
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const asked = request(
        {
          socketPath: this.socketPath,
          method,
          path,
          agent: false,
          timeout: ANSWER_MS,
          headers: { 'content-type': body.type },
        },
        (response) => {
          let answer = '';
          response.setEncoding('utf8').on('data', (text: string) => (answer += text));
          const status = response.statusCode ?? 0;
          response.on('error', reject).on('end', () => {
            if (status >= 200 && status < 300) resolve();
            else reject(new Error(`${method} ${path}: ${status} ${answer}`));
          });
        },
      );
      asked.on('timeout', () => asked.destroy(new Error(`${method} ${path}: no answer`)));
      asked.on('error', reject);
      asked.end(body.bytes);
    });
  }
}

interface Body {
  readonly type: string;
  readonly bytes: Buffer | string;
}

const json = (value: unknown): Body => ({ type: 'application/json', bytes: JSON.stringify(value) });

async function tarOf(folder: string, files: Readonly<Record<string, string>>): Promise<Buffer> {
  const tree = mkdtempSync(join(tmpdir(), 'varvel-droplet-'));
  try {
    const members = new Set<string>();
    for (const [path, text] of Object.entries(files)) {
      if (!path.startsWith(`${folder}/`)) throw new Error(`${path} is not below ${folder}`);
      const inside = path.slice(folder.length + 1);
      mkdirSync(dirname(join(tree, inside)), { recursive: true });
      writeFileSync(join(tree, inside), text);
      members.add(inside.split('/')[0]!);
    }
    // Not the folder itself, whose owner and mode are the image's.
    const tar = spawn('tar', ['-C', tree, '-c', ...members], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const parts = (await tar.stdout.toArray()) as Buffer[];
    return Buffer.concat(parts);
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
}

function variable(name: string): string {
  const value = process.env[PREFIX + name];
  if (value === undefined) throw new Error(`${PREFIX}SOCKET needs ${PREFIX}${name} too`);
  return value;
}
