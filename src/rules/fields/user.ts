import { field } from './field.ts';
import type { FieldClass, View } from './field.ts';

/** What Falco says where a user has no name: a value like any other, so `!=` holds (S19). */
const NO_NAME = '<NA>';

/** The effective user: the one the kernel checks permissions for. */
const uid = (view: View): number => view.event.credentials.euid;

export const USER_CLASS: FieldClass = {
  name: 'user',
  description: 'The user that the process acts as, in its own user namespace',
  fields: [
    field('user.uid', 'UINT32', 'Effective user id.', uid),
    field('user.name', 'CHARBUF', "Its name in the container's passwd.", (v) => {
      return v.users.userName(uid(v)) ?? (uid(v) === 0 ? 'root' : NO_NAME);
    }),
    field('user.homedir', 'CHARBUF', 'Its home directory.', (v) => {
      return v.users.homeDir(uid(v)) ?? (uid(v) === 0 ? '/root' : NO_NAME);
    }),
    field('user.shell', 'CHARBUF', 'Its login shell.', (v) => v.users.shell(uid(v)) ?? NO_NAME),
    field('user.loginuid', 'INT64', 'Audit user id; -1 when unset.', (v) => {
      return v.event.credentials.loginUid;
    }),
    field('user.loginname', 'CHARBUF', "The audit user's name; '<NA>' when unset.", (v) => {
      const { loginUid } = v.event.credentials;
      if (loginUid < 0) return NO_NAME;
      return v.users.userName(loginUid) ?? (loginUid === 0 ? 'root' : NO_NAME);
    }),
  ],
};
