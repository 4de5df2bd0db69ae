import type { Logger } from '../../shared/logger.ts';
import { UserError } from '../../shared/user-error.ts';
import { readSmallFile, stampOfFile } from '../small-file.ts';

const MAX_TOKEN_BYTES = 8192;

/** RFC 6750, 2.1. */
const TOKEN = /^[A-Za-z0-9\-._~+/]+=*$/;

/** A bearer token, reloaded when its file changes. An invalid token leaves the previous one in use, and is logged once. */
export class TokenFile {
  readonly #path: string;
  readonly #key: string;
  readonly #logger: Logger;
  #token: string;
  #stamp: string;

  /** `key` is where the configuration names it. Throws UserError when there is no token in it. */
  constructor(path: string, key: string, logger: Logger) {
    this.#path = path;
    this.#key = key;
    this.#logger = logger;
    this.#stamp = stampOfFile(path);
    this.#token = this.#read();
  }

  /** The token in force. Never throws. */
  current(): string {
    const stamp = stampOfFile(this.#path);
    if (stamp === this.#stamp) return this.#token;
    this.#stamp = stamp;
    try {
      this.#token = this.#read();
    } catch (error) {
      this.#logger.warn(
        { path: this.#path },
        `The previous token stays in use: ${(error as Error).message}`,
      );
    }
    return this.#token;
  }

  #read(): string {
    const key = this.#key;
    const token = readSmallFile(this.#path, key, MAX_TOKEN_BYTES).toString('latin1').trim();
    if (!TOKEN.test(token))
      throw new UserError(
        `"${key}": ${this.#path} holds no bearer token: one word of letters, digits and -._~+/=. Write it there, and nothing else.`,
      );
    return token;
  }
}
