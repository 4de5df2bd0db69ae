import type { AppIdentity } from '../apps/identity.ts';
import type { ResponseSetting } from '../config/config.ts';
import { fitsAll } from '../rules/loader/selection.ts';
import type { LoadedRule } from '../rules/rule-set.ts';

/** The properties of a rule that an entry's match compares. */
export type RespondedRule = Pick<LoadedRule, 'name' | 'tags' | 'priority' | 'enabled'>;

/** The operator's setting `responses`. An entry applies to a detection when all that its match names fits. */
export class OperatorResponses {
  readonly #entries: readonly ResponseSetting[];
  readonly #byRule = new WeakMap<RespondedRule, readonly ResponseSetting[]>();

  constructor(entries: readonly ResponseSetting[]) {
    this.#entries = entries;
  }

  /** The entry that applies: the first to enforce, else the first that fits. */
  of(rule: RespondedRule, app: AppIdentity | undefined): ResponseSetting | undefined {
    if (this.#entries.length === 0) return undefined;
    const fitting = this.#entriesOf(rule).filter(({ match }) => isOfApp(match, app));
    return fitting.find(({ mode }) => mode === 'enforce') ?? fitting[0];
  }

  #entriesOf(rule: RespondedRule): readonly ResponseSetting[] {
    const known = this.#byRule.get(rule);
    if (known !== undefined) return known;
    const entries = this.#entries.filter(({ match }) => fitsAll(match)(rule));
    this.#byRule.set(rule, entries);
    return entries;
  }
}

function isOfApp(
  { app, space, org }: ResponseSetting['match'],
  identity: AppIdentity | undefined,
): boolean {
  return (
    (app === undefined || app === identity?.name) &&
    (space === undefined || space === identity?.space) &&
    (org === undefined || org === identity?.org)
  );
}
