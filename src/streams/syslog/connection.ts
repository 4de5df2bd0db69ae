/** A way to a syslog receiver that is open. */
export interface SyslogConnection {
  /** Why nothing more can be written; undefined while it can. */
  readonly broken: string | undefined;
  /**
   * Once it is broken: what was written since then (of performance.now()) may not have been read. Infinity where nothing
   * is kept anyway (`onFailure` is `lost`).
   */
  readonly doubtSinceMs: number;
  /** It was made with certificates that have changed since: good for now, to be replaced before the next batch. */
  readonly stale: boolean;
  /**
   * What is to be believed of the messages of a batch when one fails: those before it are the receiver's (`kept`), or
   * may all have been lost (`lost`), as on UDP, where a refusal comes back for some datagram before.
   */
  readonly onFailure: 'kept' | 'lost';
  /**
   * Resolves when the kernel has the whole message. Rejects with SyslogFailure; the connection is broken then unless
   * the message was refused.
   */
  write(message: string): Promise<void>;
  /** Resolves when what was written so far is known not to have failed, as far as that can be known. Rejects as `write`. */
  settle(): Promise<void>;
  /** Calls `listener` once, when the connection breaks by itself or is destroyed. */
  onBroken(listener: () => void): void;
  /** Ends at once; a write under way rejects with `reason`. Idempotent. */
  destroy(reason: string): void;
  /** Ends after what was written. */
  close(): Promise<void>;
}

/**
 * Opens a connection. Rejects with SyslogFailure, and leaves nothing behind, also when `signal` (with a string that says
 * why as its reason) ends it.
 */
export type OpenSyslog = (signal: AbortSignal) => Promise<SyslogConnection>;

/** Why a message or a connection failed: the end of a sentence for the operator. */
export class SyslogFailure extends Error {
  /** This message never will be taken; the connection is as good as before. */
  readonly refused: boolean;

  constructor(reason: string, options: { readonly refused?: boolean; cause?: unknown } = {}) {
    super(reason, { cause: options.cause });
    this.refused = options.refused ?? false;
  }
}
