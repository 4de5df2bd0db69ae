import type { HttpStreamConfig } from '../../config/receiver-config.ts';
import type { Logger } from '../../shared/logger.ts';
import { UserError } from '../../shared/user-error.ts';
import type {
  Destination,
  OutgoingLine,
  Receiver,
  ReceiverCounters,
  SendResult,
} from '../receiver.ts';
import type { Delivery } from '../stream.ts';
import { TlsFiles } from '../tls-files.ts';
import { verdictOf } from './answer.ts';
import type { Verdict } from './answer.ts';
import { Poster } from './post.ts';
import type { PostTarget } from './post.ts';
import { TokenFile } from './token-file.ts';

/** No request starts later than this in a `send`: with its timeout that makes 25 s. */
const LAST_REQUEST_MS = 15_000;

/** Of an answer's body: what is looked at. */
const SAID_BYTES = 1024;

/** What `HttpReceiver` needs. */
export interface HttpReceiverOptions {
  readonly audience: 'tenant' | 'operator';
  /** For sentences. */
  readonly where: string;
  readonly target: PostTarget;
  readonly batch: boolean;
  readonly headers: Readonly<Record<string, string>>;
  readonly token: TokenFile | undefined;
}

/**
 * A service that takes detections by POST, in Falco's JSON. Without `batch`: one object per request (`application/json`), as
 * Falco's http_output sends, and as falcosidekick and webhooks take. With `batch`: one array of up to 100 objects, as log
 * collectors take (Fluent Bit, Logstash, Vector). Not JSON lines: a service that supports neither refuses an array, but takes
 * the first line and silently drops the others. Text lines are sent one per request (`text/plain`).
 *
 * `verdictOf` interprets each response. A refused batch is sent again in halves until the refused line is found.
 */
export class HttpReceiver implements Receiver {
  readonly name = 'http';
  readonly audience: 'tenant' | 'operator';
  readonly destination: Destination;
  readonly maxBatch: number;
  readonly #options: HttpReceiverOptions;
  readonly #poster: Poster;

  constructor(options: HttpReceiverOptions) {
    this.audience = options.audience;
    this.maxBatch = options.batch ? 100 : 20;
    const { where, target } = options;
    const address = `${where}${target.address.path} ${target.socket ?? ''}`;
    this.destination = { where, address };
    this.#options = options;
    this.#poster = new Poster(options.target);
  }

  accepts(delivery: Delivery): boolean {
    return this.audience === 'operator' || delivery.detection.container?.app !== undefined;
  }

  async send(lines: readonly OutgoingLine[]): Promise<SendResult> {
    const startedMs = performance.now();
    let taken = 0;
    let atOnce = this.#options.batch ? lines.length : 1;
    while (taken < lines.length) {
      if (performance.now() - startedMs > LAST_REQUEST_MS)
        return this.#rest(taken, { kind: 'later', reason: 'it is slow', retryAfterMs: 0 });
      const some = firstRequest(lines.slice(taken, taken + atOnce));
      const verdict = await this.#post(some);
      if (verdict.kind === 'taken') taken += some.length;
      else if (verdict.kind === 'refused' && some.length > 1) atOnce = Math.ceil(some.length / 2);
      else return this.#rest(taken, verdict);
    }
    return { taken };
  }

  counters(): ReceiverCounters {
    const { connects, connectFailures } = this.#poster;
    return { connects, connectFailures };
  }

  close(): Promise<void> {
    this.#poster.close();
    return Promise.resolve();
  }

  #post(lines: readonly OutgoingLine[]): Promise<Verdict> {
    const { batch, headers, token } = this.#options;
    const texts = lines.map(({ text }) => text);
    const json = isJson(lines[0]);
    const body = batch && json ? `[${texts.join(',')}]` : texts.join('');
    return this.#poster.post(Buffer.from(body), {
      'User-Agent': 'varvel',
      ...headers,
      ...(token === undefined ? {} : { Authorization: `Bearer ${token.current()}` }),
      'Content-Type': json ? 'application/json' : 'text/plain; charset=utf-8',
    });
  }

  #rest(taken: number, verdict: Exclude<Verdict, { kind: 'taken' }>): SendResult {
    const reason = `${this.#options.where}: ${verdict.reason}`;
    if (verdict.kind === 'refused') return { taken, rest: 'refused', reason };
    const { retryAfterMs } = verdict;
    return {
      taken,
      rest: 'later',
      reason,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    };
  }
}

/** The spool may hold lines from before the format was changed: text never begins with a brace. */
function isJson(line: OutgoingLine | undefined): boolean {
  return line?.text.startsWith('{') === true;
}

function firstRequest(lines: readonly OutgoingLine[]): readonly OutgoingLine[] {
  const text = lines.findIndex((line) => !isJson(line));
  return text < 0 ? lines : lines.slice(0, Math.max(1, text));
}

/**
 * The receiver of `streams.http`, not yet connected. Throws UserError when there is no address, or when files for TLS or the
 * token cannot be used.
 */
export function httpReceiver(config: HttpStreamConfig, logger: Logger): HttpReceiver {
  const { address, audience, batch, headers, socket, tokenFile } = config;
  if (address === undefined) throw new UserError('streams.http has no url: set streams.http.url.');
  const tls = address.secure ? new TlsFiles(config.tls, 'streams.http', logger) : undefined;
  const { host, port } = address;
  const name = host.includes(':') ? `[${host}]` : host;
  return new HttpReceiver({
    audience,
    // Without the path: webhooks have their secret there.
    where: `${address.secure ? 'https' : 'http'}://${name}:${port}`,
    target: {
      address,
      socket,
      tls,
      serverName: config.tls.serverName,
      judge: ({ status, headers: said, body }) =>
        verdictOf(status, said, body.toString('utf8', 0, SAID_BYTES), Date.now()),
    },
    batch,
    headers,
    token:
      tokenFile === undefined
        ? undefined
        : new TokenFile(tokenFile, 'streams.http.token_file', logger),
  });
}
