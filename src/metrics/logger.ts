import pino from 'pino';

import type { Logger } from '../shared/logger.ts';

/** Waiting for a slow reader of stderr; what comes beyond is dropped and counted. */
const BUFFER_MAX_BYTES = 1024 * 1024;

/** The agent's logger. */
export interface AgentLogger extends Logger {
  /** Lines given up because nobody read stderr. Monotonic. */
  dropped(): number;
  /** Writes what is buffered, blocking: for the end of the process. */
  flush(): void;
}

/**
 * Structured diagnostics, one JSON object a line, on stderr. Writing is asynchronous: a reader that has stopped
 * reading must not stop the agent.
 */
export function createLogger(options: {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  /** Default 2. */
  readonly fd?: number;
}): AgentLogger {
  let dropped = 0;
  const destination = pino.destination({
    dest: options.fd ?? 2,
    sync: false,
    minLength: 0,
    maxLength: BUFFER_MAX_BYTES,
  });
  destination.on('drop', () => dropped++);
  // The reader has gone: diagnostics go nowhere, the agent goes on.
  destination.on('error', () => dropped++);
  const logger = pino(
    {
      level: options.level,
      base: { name: 'varvel' },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (level) => ({ level }) },
      serializers: { error: pino.stdSerializers.err },
    },
    destination,
  );
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
    dropped: () => dropped,
    flush() {
      try {
        destination.flushSync();
      } catch {
        // Not open yet, or the reader has gone.
      }
    },
  };
}
