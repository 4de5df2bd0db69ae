// The decoders of what reads Falco's events, from checkouts that are given: VARVEL_FALCOSIDEKICK, VARVEL_FALCO_TALON,
// VARVEL_FALCOSIDEKICK_UI. Only the file or the declarations that decode are taken, into a temporary folder: the rest of these
// programs needs modules that Debian has not. `falco-peers/*.go` are ours, and call them.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from './temporary-folder.ts';

/** Where Debian has the sources of Go's libraries. */
const GOPATH = '/usr/share/gocode';
const VALIDATOR = 'golang-github-go-playground-validator-v10-dev';

/** An event as a peer has it: Falco's keys. */
export interface PeerEvent {
  readonly uuid?: string;
  readonly output: string;
  readonly priority: string;
  readonly rule: string;
  readonly time: string;
  readonly source: string;
  readonly hostname: string;
  /** Go leaves out an empty list, or has null for it. */
  readonly tags?: readonly string[] | null;
  readonly output_fields: Readonly<Record<string, unknown>>;
}

/** What a peer's decoder makes of a line. */
export interface Decoded {
  readonly event: PeerEvent;
  /** Why it takes none. */
  readonly error?: string;
  /** Falcosidekick: whether the event has what it asks for. */
  readonly accepted?: boolean;
  /** Talon: what it acts on; empty: not known. */
  readonly pod?: string;
  readonly namespace?: string;
  readonly ip?: string;
  readonly port?: string;
}

interface Peer {
  readonly variable: string;
  /** Our program, below `falco-peers`. */
  readonly program: string;
  /** Go files of the package that it imports as `peer`, by name. */
  readonly sources: (checkout: string) => Readonly<Record<string, string>>;
  /** A library that it needs besides, as a Debian package. */
  readonly needs?: string;
}

const PEERS = {
  falcosidekick: {
    variable: 'VARVEL_FALCOSIDEKICK',
    program: 'falcosidekick.go',
    sources: (checkout) => {
      const types = join(checkout, 'types/types.go');
      return {
        'priority.go': inPackage(readFileSync(join(checkout, 'types/priority.go'), 'utf8')),
        'payload.go': goFile(
          ['time'],
          declaration(types, 'type FalcoPayload struct {'),
          declaration(types, 'func (f FalcoPayload) Check() bool {'),
        ),
      };
    },
  },
  talon: {
    variable: 'VARVEL_FALCO_TALON',
    program: 'falco-talon.go',
    sources: (checkout) => ({
      'events.go': inPackage(readFileSync(join(checkout, 'internal/events/events.go'), 'utf8')),
    }),
  },
  ui: {
    variable: 'VARVEL_FALCOSIDEKICK_UI',
    program: 'falcosidekick-ui.go',
    sources: (checkout) => {
      const models = join(checkout, 'internal/models/models.go');
      const utils = join(checkout, 'internal/utils/utils.go');
      const prefix = /^\ttrimPrefix += +(".*")$/m.exec(readFileSync(utils, 'utf8'))?.[1];
      if (prefix === undefined) throw new Error(`${utils} has no constant trimPrefix`);
      return {
        'models.go': goFile(
          ['regexp', 'time'],
          declaration(models, 'type Event struct {'),
          declaration(models, 'type Payload struct {'),
          `var regTrimPrefix = regexp.MustCompile(${prefix})`,
          declaration(utils, 'func TrimPrefix(s string) string {'),
        ),
      };
    },
    needs: VALIDATOR,
  },
} as const satisfies Readonly<Record<string, Peer>>;

export type PeerName = keyof typeof PEERS;

/** Why the peer's decoder cannot run here; undefined: it can. */
export function whyNoPeer(name: PeerName): string | undefined {
  const { variable, needs }: Peer = PEERS[name];
  const checkout = process.env[variable];
  if (checkout === undefined || checkout === '')
    return `${variable} is not set: it names a checkout of the peer's sources`;
  if (!existsSync(checkout)) return `${variable} names ${checkout}, which is not there`;
  if (spawnSync('go', ['version']).error !== undefined)
    return 'go is missing: run apt-get install golang-go';
  const isThere = existsSync(join(GOPATH, 'src/github.com/go-playground/validator/v10'));
  return needs === undefined || isThere ? undefined : `run apt-get install ${needs}`;
}

/** What the peer's decoder makes of each of the lines. Throws an Error if its sources are not as this file knows them. */
export function decodeAs(name: PeerName, lines: readonly string[]): readonly Decoded[] {
  const { variable, program, sources }: Peer = PEERS[name];
  const folder = temporaryFolder('varvel-falco-peer-');
  const source = join(folder, 'src/peer');
  mkdirSync(source, { recursive: true });
  for (const [file, text] of Object.entries(sources(process.env[variable] ?? '')))
    writeFileSync(join(source, file), text);
  const env = { ...process.env, GO111MODULE: 'off', GOFLAGS: '', GOPATH: `${folder}:${GOPATH}` };
  const stdout = execFileSync('go', ['run', join(import.meta.dirname, 'falco-peers', program)], {
    env,
    input: lines.map((line) => `${line}\n`).join(''),
    encoding: 'utf8',
    maxBuffer: 64 * 1024 ** 2,
  });
  const decoded = stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Decoded);
  if (decoded.length !== lines.length)
    throw new Error(`${name} has answered to ${decoded.length} of ${lines.length} lines`);
  return decoded;
}

/** A whole Go file as one of the package `peer`. */
function inPackage(text: string): string {
  return text.replace(/^package \w+$/m, 'package peer');
}

function goFile(imports: readonly string[], ...declarations: readonly string[]): string {
  const list = imports.map((name) => `import "${name}"`);
  return `${['package peer', ...list, ...declarations].join('\n\n')}\n`;
}

/** A declaration of several lines, which in formatted Go ends with a brace at the start of a line. */
function declaration(file: string, head: string): string {
  const text = readFileSync(file, 'utf8');
  const start = text.indexOf(`\n${head}\n`);
  const end = text.indexOf('\n}\n', start);
  if (start < 0 || end < 0) throw new Error(`${file} has no "${head}"`);
  return text.slice(start + 1, end + 2);
}
