import type { AppIdentity } from '../apps/identity.ts';
import type { ResponseSetting } from '../config/config.ts';
import { fitsAll } from '../rules/loader/selection.ts';
import type { LoadedRule } from '../rules/rule-set.ts';
import type { ResponseName } from '../shared/response-names.ts';

/** The properties of a rule that an entry's match compares. */
export type RespondedRule = Pick<LoadedRule, 'name' | 'tags' | 'priority' | 'enabled'>;

/** The operator's setting `responses`. An entry applies to a detection when all that its match names fits. */
export class OperatorResponses {
  readonly #entries: readonly ResponseSetting[];
  readonly #byRule = new WeakMap<RespondedRule, readonly ResponseSetting[]>();

  constructor(entries: readonly ResponseSetting[]) {
    this.#entries = entries;
  }

  /** Of the entries that fit, one for each response: the first to enforce, else the first. */
  of(rule: RespondedRule, app: AppIdentity | undefined): readonly ResponseSetting[] {
    if (this.#entries.length === 0) return [];
    const chosen = new Map<ResponseName, ResponseSetting>();
    for (const entry of this.#entriesOf(rule)) {
      if (!isOfApp(entry.match, app)) continue;
      const known = chosen.get(entry.response);
      if (known === undefined || (known.mode !== 'enforce' && entry.mode === 'enforce'))
        chosen.set(entry.response, entry);
    }
    return [...chosen.values()];
  }

  /** Whether any entry asks for this response. */
  wants(name: ResponseName): boolean {
    return this.#entries.some(({ response }) => response === name);
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
