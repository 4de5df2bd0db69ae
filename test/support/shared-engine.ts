// One Docker engine for all test files of a run: run.mjs starts this file and names the engine in an environment variable.
import { readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';
import Docker from 'dockerode';
import { startDockerd, type TestDockerd } from './dockerd.ts';

/** `EngineFacts` as JSON. */
const ENGINE = 'VARVEL_TEST_ENGINE';
type EngineFacts = Pick<
  TestDockerd,
  'socketPath' | 'dataRoot' | 'execRoot' | 'storageDriver' | 'logPath'
> & { readonly image: string };

let isTaken = false;

/** That engine, if there is one and this process has not taken it yet. Dispose it: its containers are removed. */
export function takeSharedEngine(): TestDockerd | undefined {
  const facts = process.env[ENGINE];
  if (facts === undefined || isTaken) return undefined;
  isTaken = true;
  return new SharedEngine(JSON.parse(facts) as EngineFacts);
}

class SharedEngine implements TestDockerd {
  readonly socketPath: string;
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly storageDriver: 'overlay2' | 'vfs';
  readonly logPath: string;
  readonly docker: Docker;
  readonly #image: string;
  readonly #logBegins: number;

  constructor(facts: EngineFacts) {
    this.socketPath = facts.socketPath;
    this.dataRoot = facts.dataRoot;
    this.execRoot = facts.execRoot;
    this.storageDriver = facts.storageDriver;
    this.logPath = facts.logPath;
    this.#image = facts.image;
    this.docker = new Docker({ socketPath: facts.socketPath });
    this.#logBegins = readFileSync(facts.logPath).length;
  }

  async importBusybox(name = this.#image): Promise<string> {
    if (name !== this.#image)
      await this.docker.getImage(this.#image).tag({ repo: name, tag: 'latest' });
    return name;
  }

  stopDaemon(): Promise<void> {
    return Promise.reject(new Error('other tests use this engine: start one of your own'));
  }

  startDaemon(): Promise<void> {
    return this.stopDaemon();
  }

  restart(): Promise<void> {
    return this.stopDaemon();
  }

  log(): string {
    return readFileSync(this.logPath).subarray(this.#logBegins).toString('utf8');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const containers = await this.docker.listContainers({ all: true });
    await Promise.all(
      containers.map(({ Id }) => this.docker.getContainer(Id).remove({ force: true, v: true })),
    );
    isTaken = false;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await using engine = await startDockerd({ own: true });
  const { socketPath, dataRoot, execRoot, storageDriver, logPath } = engine;
  const image = await engine.importBusybox();
  const facts: EngineFacts = { socketPath, dataRoot, execRoot, storageDriver, logPath, image };
  process.stdout.write(`${JSON.stringify(facts)}\n`);
  await text(process.stdin);
}
