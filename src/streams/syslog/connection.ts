/** A way to a syslog receiver that is open. */
export interface SyslogConnection {
  /** Why nothing more can be written; undefined while it can. */
  readonly broken: string | undefined;
  /**
   * Set once broken: messages written since then (performance.now()) may not have been read. Infinity if nothing is kept anyway
   * (`onFailure` is `lost`).
   */
  readonly doubtSinceMs: number;
  /** It was made with certificates that have changed since: good for now, to be replaced before the next batch. */
  readonly stale: boolean;
  /**
   * What a failure says of the earlier messages of its batch. `kept`: the receiver has them. `lost`: all may be lost, as on
   * UDP, where an error refers to some earlier datagram.
   */
  readonly onFailure: 'kept' | 'lost';
  /**
   * Resolves once the kernel has the whole message. Rejects with SyslogFailure; then the connection is broken, unless the
   * message was refused.
   */
  write(message: string): Promise<void>;
  /** Resolves when earlier writes are known not to have failed, as far as that can be known. Rejects like `write`. */
  settle(): Promise<void>;
  /** Calls `listener` once, when the connection breaks by itself or is destroyed. */
  onBroken(listener: () => void): void;
  /** Ends at once; a write under way rejects with `reason`. Idempotent. */
  destroy(reason: string): void;
  /** Ends after what was written. */
  close(): Promise<void>;
}

/**
 * Opens a connection. Rejects with SyslogFailure, and cleans up, also when `signal` aborts it; the abort reason is then a
 * string with the cause.
 */
export type OpenSyslog = (signal: AbortSignal) => Promise<SyslogConnection>;

/** Why a message or a connection failed: the end of a sentence for the operator. */
export class SyslogFailure extends Error {
  /** This message will never be taken; the connection stays usable. */
  readonly refused: boolean;

  constructor(reason: string, options: { readonly refused?: boolean; cause?: unknown } = {}) {
    super(reason, { cause: options.cause });
    this.refused = options.refused ?? false;
  }
}
