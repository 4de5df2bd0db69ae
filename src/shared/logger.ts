/** The agent's own diagnostics: structured, to stderr. Detections never pass through it. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Discards everything: for tests and for commands that report by themselves. */
export const SILENT_LOGGER: Logger = {
  debug() {
    /* discard */
  },
  info() {
    /* discard */
  },
  warn() {
    /* discard */
  },
  error() {
    /* discard */
  },
};
