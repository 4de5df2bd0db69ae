// Decoders of programs that read what the agent writes, out of checkouts that are given. `peer-decoders/*.go` are ours: they call
// a peer's own package, and print what it made of each line.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** Where Debian has the sources of Go's libraries. */
const LIBRARIES = '/usr/share/gocode';

export interface PeerDecoder {
  /** The environment variable that names the checkout. */
  readonly variable: string;
  /** Our program, below `peer-decoders`. */
  readonly program: string;
  /** Makes a folder with `src/`, where the program finds the peer's package. */
  readonly prepare: (checkout: string) => string;
  /** Libraries that the peer's package needs: Go's import path, and the package that Debian has it in. */
  readonly needs: Readonly<Record<string, string>>;
}

/** Why the decoder cannot run here; undefined: it can. */
export function whyNoDecoder({ variable, needs }: PeerDecoder): string | undefined {
  const checkout = process.env[variable];
  if (checkout === undefined || checkout === '')
    return `${variable} is not set: it names a checkout of the peer's sources`;
  if (!existsSync(checkout)) return `${variable} names ${checkout}, which is not there`;
  const missing = [
    ...(spawnSync('go', ['version']).error === undefined ? [] : ['golang-go']),
    ...Object.entries(needs)
      .filter(([path]) => !existsSync(join(LIBRARIES, 'src', path)))
      .map(([, name]) => name),
  ];
  return missing.length === 0 ? undefined : `run apt-get install ${missing.join(' ')}`;
}

/** What the decoder prints for each of the lines, parsed. Throws an Error if the peer's sources are not as they are known here. */
export function decodeWith(
  { variable, program, prepare }: PeerDecoder,
  lines: readonly string[],
): readonly unknown[] {
  const gopath = `${prepare(process.env[variable] ?? '')}:${LIBRARIES}`;
  const source = join(import.meta.dirname, 'peer-decoders', program);
  const stdout = execFileSync('go', ['run', source], {
    env: { ...process.env, GO111MODULE: 'off', GOFLAGS: '', GOPATH: gopath },
    input: lines.map((line) => `${line}\n`).join(''),
    encoding: 'utf8',
    maxBuffer: 64 * 1024 ** 2,
  });
  const decoded = stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as unknown);
  if (decoded.length !== lines.length)
    throw new Error(`${program} has answered to ${decoded.length} of ${lines.length} lines`);
  return decoded;
}
