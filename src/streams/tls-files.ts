import { createSecureContext } from 'node:tls';
import type { SecureContext } from 'node:tls';

import type { TlsFilesConfig } from '../config/receiver-config.ts';
import type { Logger } from '../shared/logger.ts';
import { UserError } from '../shared/user-error.ts';
import { readSmallFile, stampOfFile } from './small-file.ts';

/** A bundle of all public authorities is a quarter of it. */
const MAX_PEM_BYTES = 1024 * 1024;

/**
 * Certificates and key for connections to a receiver, reloaded when their files change, since they are renewed while the agent
 * runs. If the files do not match, as between two replacements, the previous ones stay in use. That is logged once per state of
 * the files.
 */
export class TlsFiles {
  readonly #config: TlsFilesConfig;
  readonly #section: string;
  readonly #logger: Logger;
  #context: SecureContext;
  #stamp: string;

  /** `section` is where the configuration names them, such as `streams.syslog`. Throws UserError when they cannot be used. */
  constructor(config: TlsFilesConfig, section: string, logger: Logger) {
    this.#config = config;
    this.#section = section;
    this.#logger = logger;
    this.#stamp = this.#stampNow();
    this.#context = this.#load();
  }

  /** What is in force: the same object until a file changes. Never throws. */
  current(): SecureContext {
    const stamp = this.#stampNow();
    if (stamp === this.#stamp) return this.#context;
    this.#stamp = stamp;
    try {
      this.#context = this.#load();
      this.#logger.info({ section: this.#section }, 'Certificates were read again.');
    } catch (error) {
      this.#logger.warn(
        { section: this.#section },
        `The previous certificates stay in use: ${(error as Error).message}`,
      );
    }
    return this.#context;
  }

  #stampNow(): string {
    const { ca, cert, key } = this.#config;
    return [ca, cert, key].map((path) => (path === undefined ? '' : stampOfFile(path))).join(' ');
  }

  #load(): SecureContext {
    const read = (of: 'ca' | 'cert' | 'key'): Buffer | undefined => {
      const path = this.#config[of];
      return path === undefined
        ? undefined
        : readSmallFile(path, `${this.#section}.${of}`, MAX_PEM_BYTES);
    };
    const [ca, cert, key] = [read('ca'), read('cert'), read('key')];
    // Node takes a file without any certificate for "trust nobody": every connection would fail with an unclear error.
    if (ca?.includes('-----BEGIN CERTIFICATE-----') === false)
      throw new UserError(
        `"${this.#section}.ca": ${String(this.#config.ca)} holds no PEM certificate. Name a file that does.`,
      );
    try {
      return createSecureContext({
        minVersion: 'TLSv1.2',
        ...(ca === undefined ? {} : { ca }),
        ...(cert === undefined ? {} : { cert }),
        ...(key === undefined ? {} : { key }),
      });
    } catch (error) {
      const files = [this.#config.ca, this.#config.cert, this.#config.key].filter(
        (path) => path !== undefined,
      );
      throw new UserError(
        `The certificates of "${this.#section}" (${files.join(', ')}) cannot be used: ${reasonOf(error)}. They must be PEM, and the key the certificate's own, without a passphrase.`,
        { cause: error },
      );
    }
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message.replace(/\.$/, '') : String(error);
}
