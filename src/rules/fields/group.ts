import { field } from './field.ts';
import type { FieldClass } from './field.ts';

export const GROUP_CLASS: FieldClass = {
  name: 'group',
  description: 'The group that the process acts as, in its own user namespace',
  fields: [
    field('group.gid', 'UINT32', 'Effective group id.', (v) => v.event.credentials.egid),
    field('group.name', 'CHARBUF', "Its name in the container's group file.", (v) => {
      const { egid } = v.event.credentials;
      return v.users.groupName(egid) ?? (egid === 0 ? 'root' : '<NA>');
    }),
  ],
};
