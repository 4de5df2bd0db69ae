import { formatSyslogAddress } from '../../config/receiver-address.ts';
import type { SyslogAddress } from '../../config/receiver-address.ts';
import type { SyslogStreamConfig } from '../../config/receiver-config.ts';
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
import { reasonOf } from '../network-reason.ts';
import { SyslogFailure } from './connection.ts';
import type { OpenSyslog, SyslogConnection } from './connection.ts';
import { datagramOpener } from './datagram-connection.ts';
import { RecentMessages } from './recent-messages.ts';
import { renderRfc5424 } from './rfc5424.ts';
import type { Rfc5424Message } from './rfc5424.ts';
import { streamOpener } from './stream-connection.ts';

/** Deadlines of a `send`, whatever it waits for: the interface allows 30 s. */
const CONNECT_TIMEOUT_MS = 10_000;
const SEND_TIMEOUT_MS = 25_000;

/** Messages in doubt are repeated at this interval and with this timeout, without waiting for a next line. */
const REPEAT_EVERY_MS = 5000;
const REPEAT_TIMEOUT_MS = 4000;

const WARN_EVERY_MS = 60_000;

export interface SyslogCounters extends ReceiverCounters {
  /** Tags of apps that were left out, as `renderRfc5424` says. */
  readonly droppedTags: number;
  /** Messages with something that was too long. */
  readonly cutMessages: number;
  /** Messages sent again, since the previous connection may have lost them. */
  readonly repeatedMessages: number;
}

/**
 * A syslog server that takes RFC 5424. Over TCP, TLS and unix sockets `taken` means that this host's kernel has the line.
 * Messages that a broken connection may have lost (see `streamOpener`) are sent again first, within seconds. This covers up to
 * 8 MiB of the last minute, so a line may arrive twice, with the same id. Lines are lost in a dead receiver's buffers when the
 * agent ends, and when the receiver read but did not keep them. Over UDP `taken` means "not refused", nothing more. A message
 * is refused over UDP only, when the network rejects a datagram of its size.
 */
export class SyslogReceiver implements Receiver {
  readonly name = 'syslog';
  readonly audience: 'tenant' | 'operator';
  readonly maxBatch = 100;
  readonly destination: Destination;
  readonly #open: OpenSyslog;
  readonly #sourceType: string;
  readonly #logger: Logger;
  readonly #ending = new AbortController();
  #connection: SyslogConnection | undefined;
  #sending: Promise<SendResult> | undefined;
  #connects = 0;
  #connectFailures = 0;
  #droppedTags = 0;
  #cutMessages = 0;
  #repeatedMessages = 0;
  /** For stream connections: messages that may be lost; sent first over the next connection while `#isInDoubt`. */
  readonly #recent = new RecentMessages();
  #isInDoubt = false;
  #repeatTimer: NodeJS.Timeout | undefined;
  #warnedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: {
    readonly audience: 'tenant' | 'operator';
    /** For sentences. */
    readonly where: string;
    readonly open: OpenSyslog;
    readonly sourceType: string;
    readonly logger: Logger;
  }) {
    this.audience = options.audience;
    this.destination = { where: options.where, address: options.where };
    this.#open = options.open;
    this.#sourceType = options.sourceType;
    this.#logger = options.logger;
  }

  accepts(delivery: Delivery): boolean {
    return this.audience === 'operator' || delivery.detection.container?.app !== undefined;
  }

  send(lines: readonly OutgoingLine[]): Promise<SendResult> {
    return this.#inTurn(lines, SEND_TIMEOUT_MS);
  }

  counters(): SyslogCounters {
    return {
      connects: this.#connects,
      connectFailures: this.#connectFailures,
      droppedTags: this.#droppedTags,
      cutMessages: this.#cutMessages,
      repeatedMessages: this.#repeatedMessages,
    };
  }

  async close(): Promise<void> {
    this.#ending.abort('the agent ends');
    clearTimeout(this.#repeatTimer);
    await this.#sending;
    await this.#connection?.close();
    this.#connection = undefined;
  }

  /** Runs after what is under way: only a repetition, which is short. */
  #inTurn(lines: readonly OutgoingLine[], timeoutMs: number): Promise<SendResult> {
    const before = this.#sending;
    const sending = (async (): Promise<SendResult> => {
      await before;
      return await this.#send(lines, timeoutMs);
    })();
    this.#sending = sending;
    return sending;
  }

  async #send(lines: readonly OutgoingLine[], timeoutMs: number): Promise<SendResult> {
    if (lines.length === 0 && !this.#hasToRepeat()) return { taken: 0 };
    let taken = 0;
    let connection: SyslogConnection | undefined;
    const giveUp = setTimeout(() => connection?.destroy('it stopped reading'), timeoutMs);
    const onEnding = (): void => connection?.destroy('the agent ends');
    this.#ending.signal.addEventListener('abort', onEnding);
    try {
      connection = await this.#connected(Math.min(timeoutMs, CONNECT_TIMEOUT_MS));
      if (this.#isInDoubt) await this.#repeat(connection);
      for (const line of lines) {
        const message = renderRfc5424(line, { sourceType: this.#sourceType });
        await connection.write(message.text);
        taken++;
        this.#count(message, line);
        if (connection.onFailure === 'kept') this.#recent.add(message.text, performance.now());
      }
      await connection.settle();
      return { taken };
    } catch (error) {
      return await this.#failed(error, taken, connection);
    } finally {
      clearTimeout(giveUp);
      this.#ending.signal.removeEventListener('abort', onEnding);
    }
  }

  async #failed(
    error: unknown,
    taken: number,
    connection: SyslogConnection | undefined,
  ): Promise<SendResult> {
    const reason = `${this.destination.where}: ${reasonOf(error)}`;
    if (error instanceof SyslogFailure && error.refused && connection !== undefined) {
      const settled = await connection.settle().then(
        () => true,
        () => false,
      );
      if (settled) return { taken, rest: 'refused', reason };
    }
    if (connection !== undefined) this.#drop(connection, reasonOf(error));
    return { taken: connection?.onFailure === 'lost' ? 0 : taken, rest: 'later', reason };
  }

  #drop(connection: SyslogConnection, reason: string): void {
    connection.destroy(reason);
    if (this.#connection === connection) this.#connection = undefined;
    // If it broke before all was repeated, the repeated messages stay in doubt.
    if (!this.#isInDoubt) this.#recent.forgetBefore(connection.doubtSinceMs);
    this.#isInDoubt = true;
  }

  #hasToRepeat(): boolean {
    const connection = this.#connection;
    if (connection?.broken !== undefined) this.#drop(connection, connection.broken);
    return this.#isInDoubt && this.#recent.messages().length > 0;
  }

  #repeatSoon(): void {
    if (this.#repeatTimer !== undefined || this.#ending.signal.aborted) return;
    this.#repeatTimer = setTimeout(() => {
      this.#repeatTimer = undefined;
      void this.#inTurn([], REPEAT_TIMEOUT_MS).then(({ rest }) => {
        if (rest !== undefined) this.#repeatSoon();
      });
    }, REPEAT_EVERY_MS);
  }

  async #repeat(connection: SyslogConnection): Promise<void> {
    for (const message of this.#recent.messages()) {
      await connection.write(message);
      this.#repeatedMessages++;
    }
    this.#isInDoubt = false;
  }

  /** The connection that is open, or a new one. */
  async #connected(timeoutMs: number): Promise<SyslogConnection> {
    const before = this.#connection;
    if (before?.broken === undefined && before?.stale === false) return before;
    if (before?.broken !== undefined) this.#drop(before, before.broken);
    this.#connection = undefined;
    await before?.close();
    const connecting = new AbortController();
    const onEnding = (): void => connecting.abort('the agent ends');
    const timer = setTimeout(() => connecting.abort('it does not answer'), timeoutMs);
    if (this.#ending.signal.aborted) onEnding();
    this.#ending.signal.addEventListener('abort', onEnding);
    try {
      this.#connection = await this.#open(connecting.signal);
      this.#connects++;
      this.#connection.onBroken(() => this.#repeatSoon());
      return this.#connection;
    } catch (error) {
      this.#connectFailures++;
      throw error;
    } finally {
      clearTimeout(timer);
      this.#ending.signal.removeEventListener('abort', onEnding);
    }
  }

  #count({ droppedTags, cut }: Rfc5424Message, line: OutgoingLine): void {
    this.#droppedTags += droppedTags;
    if (cut) this.#cutMessages++;
    const nowMs = performance.now();
    if (droppedTags > 0 && nowMs - this.#warnedAtMs >= WARN_EVERY_MS) {
      this.#warnedAtMs = nowMs;
      this.#logger.warn(
        { app: line.app?.name, dropped: droppedTags, droppedInAll: this.#droppedTags },
        'Some tags of an app are left out of its syslog messages: a tag’s name must be 1 to 32 printable ASCII characters without = ] " and space, and a message holds at most 64 tags.',
      );
    }
  }
}

/**
 * The receiver of `streams.syslog`, not yet connected. Throws UserError when there is no address, or when files for TLS
 * cannot be used.
 */
export function syslogReceiver(config: SyslogStreamConfig, logger: Logger): SyslogReceiver {
  const { address, audience, sourceType } = config;
  if (address === undefined)
    throw new UserError('streams.syslog has no url: set streams.syslog.url.');
  const where = formatSyslogAddress(address);
  return new SyslogReceiver({
    audience,
    where,
    open: opener(address, config, logger),
    sourceType,
    logger,
  });
}

function opener(address: SyslogAddress, config: SyslogStreamConfig, logger: Logger): OpenSyslog {
  if (address.kind === 'udp') return datagramOpener(address);
  const tls =
    address.kind === 'tls' ? new TlsFiles(config.tls, 'streams.syslog', logger) : undefined;
  return streamOpener({ address, tls, serverName: config.tls.serverName });
}
