import type { ContainerMount } from '../../apps/identity.ts';
import { compileGlob } from '../compile/glob.ts';
import { field, fieldWithReader, parseIndex } from './field.ts';
import type { ArgumentProblem, FieldDefinition, Reader, View } from './field.ts';

const mountsOf = (view: View): readonly ContainerMount[] | undefined =>
  view.container?.details?.mounts;

/** As Falco prints one. */
function mountText(mount: ContainerMount): string {
  const { source, destination, mode, writable, propagation } = mount;
  return `${source}:${destination}:${mode}:${String(writable)}:${propagation}`;
}

/** A path or a glob, whose `*` does not cross a slash (fnmatch with FNM_PATHNAME). */
function pathGlob(pattern: string): (path: string) => boolean {
  const parts = pattern
    .split('/')
    .map((part) => (part === '' ? undefined : compileGlob(part).test));
  return (path) => {
    const names = path.split('/');
    return (
      names.length === parts.length &&
      parts.every((matches, at) =>
        matches === undefined ? names[at] === '' : matches(names[at] ?? ''),
      )
    );
  };
}

/** The mount that the brackets name: by its number, or by the path that `key` has. */
function mountReader(
  argument: string,
  key: (mount: ContainerMount) => string,
  value: (mount: ContainerMount) => string,
  none: string | undefined,
): Reader | ArgumentProblem {
  let find: (mounts: readonly ContainerMount[]) => ContainerMount | undefined;
  if (/^\d/.test(argument)) {
    const index = parseIndex(argument);
    if (typeof index === 'object') return index;
    find = (mounts) => mounts[index];
  } else {
    const matches = pathGlob(argument);
    find = (mounts) => mounts.find((mount) => matches(key(mount)));
  }
  return {
    shape: 'single',
    read(view) {
      const mounts = mountsOf(view);
      if (mounts === undefined) return undefined;
      const found = find(mounts);
      return found === undefined ? none : value(found);
    },
  };
}

const bySource = (mount: ContainerMount): string => mount.source;
const byDestination = (mount: ContainerMount): string => mount.destination;

function mountField(
  name: string,
  description: string,
  key: (mount: ContainerMount) => string,
  value: (mount: ContainerMount) => string,
  none?: string,
): FieldDefinition {
  const reader = (argument = ''): Reader | ArgumentProblem =>
    mountReader(argument, key, value, none);
  return fieldWithReader(name, 'CHARBUF', description, reader, { argument: 'required' });
}

export const MOUNT_FIELDS: readonly FieldDefinition[] = [
  field(
    'container.mounts',
    'CHARBUF',
    'All its mounts, a blank between: of each what container.mount has.',
    (view) => mountsOf(view)?.map(mountText).join(' '),
  ),
  mountField(
    'container.mount',
    "One mount as source:dest:mode:rdwr:…, by its number or its source, which can be a glob; 'none' if there is none.",
    bySource,
    mountText,
    'none',
  ),
  mountField(
    'container.mount.source',
    "A mount's source, by its number or destination.",
    byDestination,
    ({ source }) => source,
  ),
  mountField(
    'container.mount.dest',
    "A mount's destination, by its number or source.",
    bySource,
    ({ destination }) => destination,
  ),
  mountField(
    'container.mount.mode',
    "A mount's mode, by its number or source.",
    bySource,
    ({ mode }) => mode,
  ),
  mountField(
    'container.mount.rdwr',
    'Whether a mount is writable, by its number or source.',
    bySource,
    ({ writable }) => String(writable),
  ),
  mountField(
    'container.mount.propagation',
    "A mount's propagation, by its number or source.",
    bySource,
    ({ propagation }) => propagation,
  ),
];
