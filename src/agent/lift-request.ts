import type { Container } from '../apps/identity.ts';
import { fitsAll } from '../rules/loader/selection.ts';
import type { RespondedRule } from '../responses/operator-responses.ts';
import { LIFTS_MAX, type Lift, type Lifted } from '../responses/lifts.ts';
import type { Responding } from './responding.ts';

/** What `varvel lift` asks for. */
export interface LiftRequest extends Lifted {
  /** In ms; undefined: until it is ended. */
  readonly forMs?: number | undefined;
  /** Ends lifts instead. */
  readonly end: boolean;
}

/** What the agent answers. */
export interface LiftAnswer {
  /** Why nothing was done, as a sentence; undefined: it was. */
  readonly refused: string | undefined;
  /** How many lifts were ended. */
  readonly ended: number;
  /** What may be a mistake, as a sentence. */
  readonly note: string | undefined;
  /** All that are in force now. */
  readonly lifts: readonly Lift[];
}

/** The query of POST /lift. */
export function liftQuery({ app, rule, forMs, end }: LiftRequest): string {
  const query = new URLSearchParams();
  if (app !== undefined) query.set('app', app);
  if (rule !== undefined) query.set('rule', rule);
  if (forMs !== undefined) query.set('for_ms', String(forMs));
  if (end) query.set('end', '1');
  return query.toString();
}

/** What is here to be lifted. */
export interface Liftable {
  readonly rules: readonly RespondedRule[];
  readonly containers: readonly Container[];
}

const PARAMS = ['app', 'rule', 'for_ms', 'end'];

/** Does what such a query asks for. */
export function answerLift(
  query: URLSearchParams,
  responding: Pick<Responding, 'lift' | 'endLifts' | 'lifts'>,
  { rules, containers }: Liftable,
): LiftAnswer {
  const { app, rule, for_ms: forMs, end, ...others } = Object.fromEntries(query);
  const lifted = { app, rule };
  const answer = (refused: string | undefined, more: Partial<LiftAnswer> = {}): LiftAnswer => ({
    refused,
    ended: 0,
    note: undefined,
    lifts: responding.lifts.status(),
    ...more,
  });
  const [unknown] = Object.keys(others);
  if (unknown !== undefined)
    return answer(`There is no ${JSON.stringify(unknown)}: ask with ${PARAMS.join(', ')}.`);
  if (app === '' || rule === '') return answer('The name of an app or of a rule is empty.');
  if (end !== undefined && end !== '1') return answer('"end" must be 1, or left out.');
  if (end === '1') {
    const ended = responding.endLifts(lifted);
    return answer(ended === 0 ? 'There is no such lift.' : undefined, { ended });
  }
  const leftMs = forMs === undefined ? undefined : Number(forMs);
  if (leftMs !== undefined && !(leftMs > 0 && Number.isFinite(leftMs)))
    return answer('The time of a lift must be a number of milliseconds above 0.');
  if (rule !== undefined && !rules.some(fitsAll({ rule })))
    return answer(`No rule in force is named ${JSON.stringify(rule)}: nothing was lifted.`);
  if (!responding.lift(lifted, leftMs))
    return answer(`There are ${LIFTS_MAX} lifts already, which is the limit: end some of them.`);
  const isHere = app === undefined || containers.some((one) => one.app?.name === app);
  const note = isHere
    ? undefined
    : `No container of an app ${JSON.stringify(app)} is watched here.`;
  return answer(undefined, { note });
}
