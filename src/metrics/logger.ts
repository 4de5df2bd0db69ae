import pino from 'pino';

import type { Logger } from '../shared/logger.ts';
import { LineWriter } from './line-writer.ts';

/** Waiting for a slow reader of stderr; what comes beyond is dropped and counted. */
const BUFFER_MAX_BYTES = 1024 * 1024;

const FLUSH_MAX_MS = 2000;

/** The agent's logger. */
export interface AgentLogger extends Logger {
  /** Lines given up because nobody read stderr. Monotonic. */
  dropped(): number;
  /** Resolves when all lines are written, or nobody has read them for 2 s: for the end of the process. */
  flush(): Promise<void>;
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
  const lines = new LineWriter(options.fd ?? 2, BUFFER_MAX_BYTES);
  const logger = pino(
    {
      level: options.level,
      base: { name: 'varvel' },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (level) => ({ level }) },
      serializers: { error: pino.stdSerializers.err },
    },
    lines,
  );
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
    dropped: () => lines.dropped(),
    flush: () => lines.flush(FLUSH_MAX_MS),
  };
}
