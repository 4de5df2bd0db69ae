// The decoders of what reads Falco's events. Only the file or the declarations that decode are taken from a checkout, into a
// temporary folder: the rest of these programs needs modules that Debian has not.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeWith, whyNoDecoder, type PeerDecoder } from './peer-decoders.ts';
import { temporaryFolder } from './temporary-folder.ts';

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

/** Go files of the package that our program imports as `peer`, by name. */
type Sources = (checkout: string) => Readonly<Record<string, string>>;

const PEERS = {
  falcosidekick: {
    variable: 'VARVEL_TEST_FALCOSIDEKICK',
    program: 'falcosidekick.go',
    prepare: packageOf((checkout) => {
      const types = join(checkout, 'types/types.go');
      return {
        'priority.go': inPackage(readFileSync(join(checkout, 'types/priority.go'), 'utf8')),
        'payload.go': goFile(
          ['time'],
          declaration(types, 'type FalcoPayload struct {'),
          declaration(types, 'func (f FalcoPayload) Check() bool {'),
        ),
      };
    }),
    needs: {},
  },
  talon: {
    variable: 'VARVEL_TEST_FALCO_TALON',
    program: 'falco-talon.go',
    prepare: packageOf((checkout) => ({
      'events.go': inPackage(readFileSync(join(checkout, 'internal/events/events.go'), 'utf8')),
    })),
    needs: {},
  },
  ui: {
    variable: 'VARVEL_TEST_FALCOSIDEKICK_UI',
    program: 'falcosidekick-ui.go',
    prepare: packageOf((checkout) => {
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
    }),
    needs: {
      'github.com/go-playground/validator/v10': 'golang-github-go-playground-validator-v10-dev',
    },
  },
} as const satisfies Readonly<Record<string, PeerDecoder>>;

export type PeerName = keyof typeof PEERS;

/** Why the peer's decoder cannot run here; undefined: it can. */
export const whyNoPeer = (name: PeerName): string | undefined => whyNoDecoder(PEERS[name]);

/** What the peer's decoder makes of each of the lines. */
export const decodeAs = (name: PeerName, lines: readonly string[]): readonly Decoded[] =>
  decodeWith(PEERS[name], lines) as readonly Decoded[];

function packageOf(sources: Sources): PeerDecoder['prepare'] {
  return (checkout) => {
    const folder = temporaryFolder('varvel-falco-peer-');
    const source = join(folder, 'src/peer');
    mkdirSync(source, { recursive: true });
    for (const [file, text] of Object.entries(sources(checkout)))
      writeFileSync(join(source, file), text);
    return folder;
  };
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
