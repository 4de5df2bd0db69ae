import { MAX_POLICY_BYTES } from './policy-text.ts';
import type { ContainerRootReader, OwnFile, OwnFileRefusal } from '../host/container-root.ts';

/** Where the supply buildpack leaves a policy: in a numbered folder of each buildpack of the droplet. */
const DEPENDENCIES = '/home/vcap/deps';
/** Limit on buildpacks per app. */
const MAX_DEPENDENCIES = 100;
/** Where the Cloud Native Buildpack leaves it. */
const LAYER = '/layers/varvel/varvel/policy.json';
/** Where an image of another make may have a varvel.yml as it is written. */
const PLAIN = '/etc/varvel/varvel.yml';

/** JSON writes a character with at most six; besides the text there are some short keys. */
const MAX_STAGED_BYTES = MAX_POLICY_BYTES * 6 + 4096;

/** The form of the buildpack's file that this agent reads. */
const FORMAT = 1;

/** A policy that was found in a container. */
export interface PolicyFile {
  /** In the container. */
  readonly path: string;
  /** Of a varvel.yml; undefined when the file is not taken. */
  readonly text: string | undefined;
  /** Why it is not, as the rest of a sentence. */
  readonly refusal: string | undefined;
  /** Unix ns, as `OwnFile`; undefined when it was not read. */
  readonly changedNs: bigint | undefined;
}

export type PolicyFileReader = Pick<ContainerRootReader, 'readOwnFile' | 'namesIn'>;

/**
 * Looks for an app's policy through a process of its container: in the droplet, in the layers of a Cloud Native Buildpack,
 * then in the image's own /etc. The first that is there counts. Undefined when there is none. Some 50 µs.
 */
export function findPolicyFile(reader: PolicyFileReader, pid: number): PolicyFile | undefined {
  const indexes = reader
    .namesIn(pid, DEPENDENCIES, MAX_DEPENDENCIES)
    .filter((name) => /^\d{1,3}$/.test(name))
    .sort((a, b) => Number(a) - Number(b));
  for (const path of [...indexes.map((at) => `${DEPENDENCIES}/${at}/varvel/policy.json`), LAYER]) {
    const found = reader.readOwnFile(pid, path, MAX_STAGED_BYTES);
    if (found !== undefined) return fileOf(path, found, stagedText);
  }
  const found = reader.readOwnFile(pid, PLAIN, MAX_POLICY_BYTES);
  return found === undefined ? undefined : fileOf(PLAIN, found, plainText);
}

class Refused extends Error {}

const REFUSALS: Readonly<Record<OwnFileRefusal, string>> = {
  link: 'it is a link, or reached by one: the file itself must be there',
  'no file': 'it is not a regular file',
  'too large': `it is larger than ${MAX_POLICY_BYTES / 1024} KiB, and no policy needs as much`,
  unreadable: 'it cannot be read',
};

function fileOf(
  path: string,
  found: OwnFile | OwnFileRefusal,
  textOf: (bytes: Buffer) => string,
): PolicyFile {
  if (typeof found === 'string') {
    return { path, text: undefined, refusal: REFUSALS[found], changedNs: undefined };
  }
  const { bytes, changedNs } = found;
  try {
    return { path, text: textOf(bytes), refusal: undefined, changedNs };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { path, text: undefined, refusal: error.message, changedNs };
  }
}

function plainText(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new Refused('it is no text in UTF-8');
  }
}

function stagedText(bytes: Buffer): string {
  const staged = parse(plainText(bytes));
  const { format, policy } = (staged ?? {}) as { format?: unknown; policy?: unknown };
  if (typeof format === 'number' && format !== FORMAT) {
    throw new Refused(
      `a buildpack of another version wrote it (format ${format}); this agent reads format ${FORMAT}`,
    );
  }
  if (format !== FORMAT || typeof policy !== 'string') {
    throw new Refused('it is not what the buildpack writes: stage the app again');
  }
  return policy;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Refused('it is not what the buildpack writes: stage the app again');
  }
}
