import { join } from 'node:path';
import {
  Client,
  credentials,
  loadPackageDefinition,
  type ServiceClientConstructor,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const loaded = loadPackageDefinition(
  loadSync(join(import.meta.dirname, 'cri-runtime.proto'), {
    keepCase: true,
    longs: String,
    defaults: true,
  }),
) as unknown as { runtime: { v1: { RuntimeService: ServiceClientConstructor } } };

/** The service with the test's own encodings, for clients and servers. */
export const RUNTIME_SERVICE = loaded.runtime.v1.RuntimeService.service;

type Call = (
  request: object,
  options: { deadline: number },
  done: (error: Error | null, answer: Record<string, unknown>) => void,
) => void;

/** Asks a CRI server as the kubelet does. Close it. */
export class CriTestClient {
  readonly #client: Client & Readonly<Record<string, Call>>;

  constructor(socketPath: string) {
    this.#client = new loaded.runtime.v1.RuntimeService(
      `unix:${socketPath}`,
      credentials.createInsecure(),
      { 'grpc.initial_reconnect_backoff_ms': 50, 'grpc.max_reconnect_backoff_ms': 200 },
    ) as unknown as Client & Readonly<Record<string, Call>>;
  }

  /** Rejects with the server's error; waits at most 60 s. */
  ask(method: string, request: object = {}): Promise<Record<string, unknown>> {
    return new Promise((resolve, reject) => {
      this.#client[method]!(request, { deadline: Date.now() + 60_000 }, (error, answer) => {
        if (error === null) resolve(answer);
        else reject(error);
      });
    });
  }

  close(): void {
    this.#client.close();
  }
}
