import type { StandardDescriptor } from '../../events/event.ts';
import { connectionName, ipVersion } from './descriptor.ts';
import { field } from './field.ts';
import type { FieldDefinition, View } from './field.ts';

// What a program found as its input and output when it started: Falco's fields say what they are at the event.

const found = ({ process }: View, fd: number): StandardDescriptor | undefined =>
  process.image.standard[fd];

/** By where the packets go, where that is told: as `fd.type`. */
function typeOf({ type, tuple }: StandardDescriptor): string | undefined {
  const version = tuple === undefined ? undefined : ipVersion(tuple);
  return version === undefined ? type : `ipv${version}`;
}

export const STANDARD_FIELDS: readonly FieldDefinition[] = ['stdin', 'stdout', 'stderr'].flatMap(
  (name, fd) => [
    field(
      `proc.${name}.type`,
      'CHARBUF',
      `What descriptor ${fd} was when the program started, as fd.type has it.`,
      (v) => {
        const descriptor = found(v, fd);
        return descriptor === undefined ? undefined : typeOf(descriptor);
      },
    ),
    field(
      `proc.${name}.name`,
      'CHARBUF',
      `Descriptor ${fd}, if it was an IP socket when the program started, as fd.name has it.`,
      (v) => {
        const descriptor = found(v, fd);
        return descriptor?.tuple === undefined ? undefined : connectionName(descriptor.tuple);
      },
    ),
  ],
);
