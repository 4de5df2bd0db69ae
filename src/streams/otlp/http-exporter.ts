import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Verdict } from '../http/answer.ts';
import { Poster } from '../http/post.ts';
import type { ReceiverCounters } from '../receiver.ts';
import { encodeRequest, type ExportRequest } from './api.ts';
import type { Exporter, ExporterOptions } from './exporter.ts';
import { verdictOfAnswer } from './verdict.ts';

const compressed = promisify(gzip);

/** OTLP/HTTP: one POST at a time, over one connection; protobuf, or JSON with `json`. */
export class HttpExporter implements Exporter {
  readonly #options: ExporterOptions;
  readonly #json: boolean;
  readonly #poster: Poster;

  constructor(options: ExporterOptions, json: boolean) {
    const { address, serverName, timeoutMs, tls } = options;
    this.#options = options;
    this.#json = json;
    this.#poster = new Poster({
      address,
      serverName,
      timeoutMs,
      tls,
      socket: undefined,
      judge: (answer) => verdictOfAnswer(answer, Date.now()),
    });
  }

  async export(request: ExportRequest): Promise<Verdict> {
    const { compress, headers } = this.#options;
    const body = this.#json ? Buffer.from(JSON.stringify(request)) : encodeRequest(request);
    return this.#poster.post(compress ? await compressed(body) : body, {
      'User-Agent': 'varvel',
      ...headers(),
      ...(compress ? { 'Content-Encoding': 'gzip' } : {}),
      'Content-Type': this.#json ? 'application/json' : 'application/x-protobuf',
    });
  }

  counters(): ReceiverCounters {
    const { connects, connectFailures } = this.#poster;
    return { connects, connectFailures };
  }

  close(): void {
    this.#poster.close();
  }
}
