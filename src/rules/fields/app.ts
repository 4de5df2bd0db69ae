import type { AppIdentity } from '../../apps/identity.ts';
import { PENDING } from './container.ts';
import { field, future } from './field.ts';
import type { FieldClass, View } from './field.ts';

const of =
  (read: (app: AppIdentity) => string | undefined) =>
  (view: View): string | undefined => {
    const app = view.container?.app;
    return app === undefined ? undefined : read(app);
  };

export const APP_CLASS: FieldClass = {
  name: 'app',
  description: 'The app that the container belongs to (our own fields, not in Falco)',
  fields: [
    field('app.name', 'CHARBUF', `Its name; '${PENDING}' while it is not known.`, (v) => {
      return v.container === undefined ? PENDING : v.container.app?.name;
    }),
    field(
      'app.guid',
      'CHARBUF',
      "Its id in the platform's database.",
      of((app) => app.guid),
    ),
    field(
      'app.space',
      'CHARBUF',
      'The space it is in.',
      of((app) => app.space),
    ),
    field(
      'app.org',
      'CHARBUF',
      'The organization it is in.',
      of((app) => app.org),
    ),
    field(
      'app.process_type',
      'CHARBUF',
      "Which of its processes, such as 'web' or 'task'.",
      of((app) => {
        return app.processType;
      }),
    ),
    field(
      'app.workload',
      'CHARBUF',
      "On Cloud Foundry, what runs there: 'app' (an instance of it), 'task' or 'staging'.",
      (v) => {
        const app = v.container?.runtime === 'garden' ? v.container.app : undefined;
        return app === undefined ? undefined : (app.workload ?? 'app');
      },
    ),
    field(
      'app.instance',
      'CHARBUF',
      'Which instance, from 0.',
      of((app) => app.instance),
    ),
    field(
      'app.runtime',
      'CHARBUF',
      'What runs it, as container.type.',
      (v) => v.container?.runtime,
    ),
    future('app.policy', 'CHARBUF', 'The policy of its own that it runs under.'),
  ],
};
