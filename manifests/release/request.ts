// What is to be released, and from which commit: read and checked before anything is made.
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { UserError } from '../../src/shared/user-error.ts';
import { run } from './commands.ts';

/** The kinds of artefacts, in the order in which they are made. */
export const KINDS = ['npm', 'bundle', 'deb', 'image', 'bosh', 'buildpack', 'chart'] as const;
export type Kind = (typeof KINDS)[number];

export const USAGE = `npm run release -- --version X [--out DIR] [--only KIND,KIND…] [--native DIR]
  --version X    the version of everything, as 1.2.3 or 1.2.3-rc.1
  --out DIR      where the artefacts go; must not exist (default: release/X)
  --only KINDS   not all: ${KINDS.join(', ')}
  --native DIR   takes the probe and its loader from this folder (native/build of a clone) instead of building them`;

/** A release that can be made. */
export interface Request {
  readonly version: string;
  /** Absolute; does not exist. */
  readonly out: string;
  readonly kinds: readonly Kind[];
  /** Absolute. */
  readonly native: string | undefined;
  /** The commit’s id, in hex. */
  readonly commit: string;
  /** The time of all files: the commit’s, or SOURCE_DATE_EPOCH, in seconds. */
  readonly epoch: number;
  /** Whether the commit has the tag of the version. */
  readonly isTagged: boolean;
}

const NUMBER = '(?:0|[1-9]\\d*)';
/** Semantic Versioning 2.0.0, sections 2 and 9; numeric identifiers have no leading zero. */
const VERSION = new RegExp(
  `^${NUMBER}\\.${NUMBER}\\.${NUMBER}(?:-(?:${NUMBER}|\\d*[A-Za-z-][\\dA-Za-z-]*)(?:\\.(?:${NUMBER}|\\d*[A-Za-z-][\\dA-Za-z-]*))*)?$`,
);
const VERSION_MAX = 64;

/** The version, if it is one. Throws UserError otherwise. */
export function checkVersion(text: string): string {
  const shown = JSON.stringify(text.slice(0, VERSION_MAX));
  if (text.includes('+')) {
    throw new UserError(
      `The version ${shown} has build metadata ("+…"), which npm drops and image tags cannot have: leave it out.`,
    );
  }
  if (text.length > VERSION_MAX || !VERSION.test(text)) {
    throw new UserError(
      `The version ${shown} is not one of Semantic Versioning: give three numbers, as 1.2.3 or 1.2.3-rc.1 (${VERSION_MAX} characters at most).`,
    );
  }
  return text;
}

/** How Debian writes the version: a pre-release sorts before the release, and a hyphen would begin a revision. */
export function debianVersion(version: string): string {
  return version.replaceAll('-', '~');
}

/** Reads a command line, for the clone at `root`. Throws UserError when it is wrong or this clone cannot be released. */
export function readRequest(
  root: string,
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
): Request {
  const values = readArguments(argv);
  if (values.version === undefined)
    throw new UserError(`Give a version. Use:\n${USAGE}`, { exitCode: 2 });
  const version = checkVersion(values.version);
  const kinds = readKinds(values.only);
  const out = resolve(values.out ?? join(root, 'release', version));
  if (existsSync(out))
    throw new UserError(`${out} is there already: remove it, or name another folder by --out.`);
  const native = values.native === undefined ? undefined : resolve(values.native);
  if (native !== undefined && !existsSync(join(native, 'Release', 'ebpf_loader.node'))) {
    throw new UserError(
      `${native} has no Release/ebpf_loader.node: name native/build of a clone where npm run build:native has run.`,
    );
  }
  return { version, out, kinds, native, ...readCommit(root, version, env) };
}

function readArguments(argv: readonly string[]): {
  version?: string | undefined;
  out?: string | undefined;
  only?: string | undefined;
  native?: string | undefined;
} {
  const text = { type: 'string' } as const;
  try {
    return parseArgs({
      args: [...argv],
      options: { version: text, out: text, only: text, native: text },
    }).values;
  } catch (error) {
    const [said] = (error as Error).message.split('\n');
    throw new UserError(`${said}. Use:\n${USAGE}`, { exitCode: 2 });
  }
}

function readKinds(only: string | undefined): readonly Kind[] {
  if (only === undefined) return KINDS;
  const asked = only.split(',');
  for (const kind of asked) {
    if (!KINDS.includes(kind as Kind)) {
      throw new UserError(
        `There is no kind of artefact ${JSON.stringify(kind)}: --only takes ${KINDS.join(', ')}.`,
        { exitCode: 2 },
      );
    }
  }
  return KINDS.filter((kind) => asked.includes(kind));
}

/** The commit that the work tree is, exactly. */
function readCommit(
  root: string,
  version: string,
  env: NodeJS.ProcessEnv,
): Pick<Request, 'commit' | 'epoch' | 'isTagged'> {
  if (!existsSync(join(root, '.git')))
    throw new UserError(`${root} is no git clone: a release is made from a commit.`);
  const git = (...args: readonly string[]): string => run('git', ['-C', root, ...args]).trim();
  const [changed, ...more] = git('status', '--porcelain').split('\n');
  if (changed !== undefined && changed !== '') {
    const others = more.length === 0 ? '' : ` and ${more.length} more`;
    throw new UserError(
      `The work tree is not what is committed (${changed.slice(2).trim()}${others}): commit or remove that first.`,
    );
  }
  const commit = git('rev-parse', 'HEAD');
  const tag = `v${version}`;
  const tagged = git('for-each-ref', '--format=%(objectname) %(*objectname)', `refs/tags/${tag}`);
  if (tagged !== '' && !tagged.split(' ').includes(commit)) {
    throw new UserError(
      `The tag ${tag} is another commit than the one that is checked out: git checkout ${tag}, or give another version.`,
    );
  }
  return { commit, epoch: readEpoch(env, git), isTagged: tagged !== '' };
}

function readEpoch(env: NodeJS.ProcessEnv, git: (...args: readonly string[]) => string): number {
  const given = env['SOURCE_DATE_EPOCH'];
  if (given === undefined) return Number(git('log', '-1', '--format=%ct'));
  if (!/^\d{1,10}$/.test(given)) {
    throw new UserError(
      `SOURCE_DATE_EPOCH is ${JSON.stringify(given.slice(0, 64))}: it must be whole seconds since 1970.`,
    );
  }
  return Number(given);
}
