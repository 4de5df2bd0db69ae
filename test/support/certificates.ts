import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Paths of PEM files. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** An authority of a test's own, made with openssl in `folder`. */
export class Authority {
  readonly ca: string;
  readonly #folder: string;
  readonly #key: string;
  #issued = 0;

  constructor(folder: string, name = 'test-ca') {
    this.#folder = folder;
    this.ca = join(folder, `${name}.crt`);
    this.#key = join(folder, `${name}.key`);
    openssl(
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '2',
      '-subj',
      `/CN=${name}`,
      '-keyout',
      this.#key,
      '-out',
      this.ca,
    );
  }

  /** A certificate for these names (as in subjectAltName), good for servers and clients. */
  issue(name: string, names: readonly string[] = [`DNS:${name}`]): Certificate {
    const base = join(this.#folder, `${name}-${this.#issued++}`);
    const extensions = `${base}.ext`;
    writeFileSync(
      extensions,
      `subjectAltName=${names.join(',')}\nextendedKeyUsage=serverAuth,clientAuth\n`,
    );
    openssl(
      'req',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-subj',
      `/CN=${name}`,
      '-keyout',
      `${base}.key`,
      '-out',
      `${base}.csr`,
    );
    openssl(
      'x509',
      '-req',
      '-in',
      `${base}.csr`,
      '-CA',
      this.ca,
      '-CAkey',
      this.#key,
      '-days',
      '2',
      '-CAcreateserial',
      '-extfile',
      extensions,
      '-out',
      `${base}.crt`,
    );
    return { cert: `${base}.crt`, key: `${base}.key` };
  }
}

function openssl(...args: readonly string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
