import { existsSync, rmSync } from 'node:fs';
import { Server, ServerCredentials, status } from '@grpc/grpc-js';
import { RUNTIME_SERVICE } from './cri-runtime.ts';

/** What the server does instead of answering as it should. */
export type CriMisbehaviour = 'fails' | 'hangs' | 'no such service' | 'wrong ids';

interface Call {
  readonly request: Readonly<Record<string, unknown>>;
}
type Answer = (error: { code: number; details: string } | null, answer?: object) => void;

/** A container as the test says it is. */
export interface FakeContainer {
  readonly id: string;
  readonly sandboxId: string;
  readonly name?: string;
  readonly state?: number;
  readonly pid?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly privileged?: boolean;
}

/** A pod as the test says it is. */
export interface FakePod {
  readonly id: string;
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** A server of the Container Runtime Interface with what a real one seldom does: it lies, fails and hangs. */
export class CriServer {
  readonly containers = new Map<string, FakeContainer>();
  readonly pods = new Map<string, FakePod>();
  readonly questions: string[] = [];
  misbehaviour: CriMisbehaviour | undefined;
  /** Misbehaves with these alone. */
  only: string | undefined;
  readonly #socketPath: string;
  #server: Server | undefined;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  async start(): Promise<void> {
    if (existsSync(this.#socketPath)) rmSync(this.#socketPath);
    const server = new Server();
    const method = (name: string, answer: (request: Call['request']) => object | undefined) => ({
      [name]: (call: Call, done: Answer) => this.#answer(name, call, done, answer),
    });
    server.addService(RUNTIME_SERVICE, {
      ...method('Version', () => ({ runtime_name: 'fake', runtime_version: '1.2.3' })),
      ...method('ListContainers', (request) => {
        const all = [...this.containers.values()].filter(wanted(request));
        return { containers: all.map((one) => this.#listed(one)) };
      }),
      ...method('ListPodSandbox', (request) => {
        const all = [...this.pods.values()].filter(wanted(request));
        return {
          items: all.map(({ id, name, namespace, uid, labels = {}, annotations = {} }) => ({
            id,
            metadata: { name, namespace, uid },
            labels,
            annotations,
          })),
        };
      }),
      ...method('ContainerStatus', (request) => {
        const found = this.containers.get(String(request['container_id']));
        if (found === undefined) return undefined;
        const { id, state = 1, pid = 4711, privileged = false } = found;
        const config = { linux: { security_context: { privileged } } };
        return {
          status: { id, state, started_at: '1700000000000000000', mounts: [] },
          info: { info: JSON.stringify({ pid: state === 1 ? pid : 0, config }) },
        };
      }),
      ...method('PodSandboxStatus', (request) => {
        const id = String(request['pod_sandbox_id']);
        return this.pods.has(id) ? { status: { id, network: { ip: '10.0.0.7' } } } : undefined;
      }),
    });
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      const credentials = ServerCredentials.createInsecure();
      server.bindAsync(`unix:${this.#socketPath}`, credentials, (error) => {
        if (error === null) resolve();
        else reject(error);
      });
    });
  }

  stop(): void {
    this.#server?.forceShutdown();
    this.#server = undefined;
  }

  #answer(
    name: string,
    { request }: Call,
    done: Answer,
    answer: (request: Call['request']) => object | undefined,
  ): void {
    this.questions.push(name);
    if (this.only === undefined || this.only === name) {
      if (this.misbehaviour === 'hangs') return;
      if (this.misbehaviour === 'fails') {
        done({ code: status.INTERNAL, details: 'something broke' });
        return;
      }
      if (this.misbehaviour === 'no such service') {
        done({ code: status.UNIMPLEMENTED, details: 'unknown service runtime.v1.RuntimeService' });
        return;
      }
    }
    const value = answer(request);
    if (value === undefined) done({ code: status.NOT_FOUND, details: 'not found' });
    else done(null, value);
  }

  #listed({ id, sandboxId, name = 'application', state = 1, labels = {} }: FakeContainer): object {
    return {
      id: this.misbehaviour === 'wrong ids' ? `../${id}` : id,
      pod_sandbox_id: sandboxId,
      metadata: { name },
      image: { image: 'registry/shop:1' },
      image_ref: `sha256:${'9'.repeat(64)}`,
      state,
      labels,
    };
  }
}

const wanted =
  (request: Call['request']) =>
  ({ id }: { readonly id: string }): boolean => {
    const filter = request['filter'] as { id?: string } | null;
    return filter?.id === undefined || filter.id === '' || filter.id === id;
  };
