import {
  Client,
  credentials,
  status,
  type ClientUnaryCall,
  type ServiceError,
} from '@grpc/grpc-js';
import type { CriMethods } from './cri-api.ts';
import { RUNTIME_SERVICE } from './cri-service.ts';
import { QuestionError } from './question-error.ts';

/** As large as containerd's own bound of one message. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

/** One connection to a CRI server's unix socket. Close it. */
export class CriClient {
  readonly #client: Client;
  readonly #timeoutMs: number;
  readonly #underWay = new Set<ClientUnaryCall>();

  /** `timeoutMs` is for one question. */
  constructor(socketPath: string, timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
    this.#client = new Client(`unix:${socketPath}`, credentials.createInsecure(), {
      'grpc.max_receive_message_length': MAX_ANSWER_BYTES,
      // Retries are the caller's.
      'grpc.enable_retries': 0,
      'grpc.enable_http_proxy': 0,
    });
  }

  /** Resolves to undefined when the runtime answers NOT_FOUND. Rejects with a QuestionError on any other failure. */
  ask<Name extends keyof CriMethods>(
    name: Name,
    request: CriMethods[Name][0],
    timeoutMs = this.#timeoutMs,
  ): Promise<CriMethods[Name][1] | undefined> {
    const method = RUNTIME_SERVICE[name];
    return new Promise((resolve, reject) => {
      const call = this.#client.makeUnaryRequest<CriMethods[Name][0], CriMethods[Name][1]>(
        method.path,
        (it) => method.requestSerialize(it),
        (bytes) => method.responseDeserialize(bytes),
        request,
        { deadline: Date.now() + timeoutMs },
        (error: ServiceError | null, answer) => {
          this.#underWay.delete(call);
          if (error === null) resolve(answer);
          else if (error.code === status.NOT_FOUND) resolve(undefined);
          else reject(failureOf(error, timeoutMs));
        },
      );
      this.#underWay.add(call);
    });
  }

  /** Rejects the calls in flight. */
  close(): void {
    for (const call of this.#underWay) call.cancel();
    this.#client.close();
  }
}

function failureOf(error: ServiceError, timeoutMs: number): QuestionError {
  const details = error.details.slice(0, 200);
  switch (error.code) {
    case status.UNAVAILABLE:
    case status.CANCELLED: {
      const code = /\b(ENOENT|ECONNREFUSED|EACCES|EPERM)\b/.exec(details)?.[1];
      return new QuestionError('unreachable', details, code);
    }
    case status.DEADLINE_EXCEEDED:
      return new QuestionError('slow', `no answer within ${timeoutMs / 1000} s`);
    case status.UNIMPLEMENTED:
      return new QuestionError('answer', 'it has no service runtime.v1.RuntimeService', 'NO_CRI');
    default:
      return new QuestionError('answer', `gRPC status ${status[error.code]}: ${details}`);
  }
}
