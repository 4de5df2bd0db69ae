import type { AppIdentity } from '../apps/identity.ts';
import type { Lifts } from './lifts.ts';
import type { ResponseSetting } from '../config/response-config.ts';
import { keyOf } from './limits.ts';
import { fitsAll } from '../rules/loader/selection.ts';
import type { LoadedRule } from '../rules/rule-set.ts';
import { isDrillRule } from '../shared/drill.ts';
import { RecentMap } from '../shared/recent-map.ts';
import type { ResponseName } from '../shared/response-names.ts';

/** The properties of a rule that an entry's match compares. */
export type RespondedRule = Pick<LoadedRule, 'name' | 'tags' | 'priority' | 'enabled'>;

/** Limit on apps in which denial has ended. */
const ENDED_MAX = 10_000;
const NO_APP = {};
const NONE_LIFTED = { isLifted: () => false, isLiftedSomewhere: () => false };

/** An app in which denial has ended; undefined: containers without one. */
export interface EndedDenial {
  readonly app: string | undefined;
  readonly why: string;
}

/** The operator's setting `responses`. An entry applies to a detection when all that its match names fits. */
export class OperatorResponses {
  readonly #entries: readonly ResponseSetting[];
  readonly #byRule = new WeakMap<RespondedRule, readonly ResponseSetting[]>();
  /** By app object, or by NO_APP. */
  #denied = new WeakMap<object, Record<'rules' | 'denied', readonly RespondedRule[]>>();
  /** By app; past the limit, the oldest is denied again. */
  readonly #ended = new RecentMap<string | undefined, EndedDenial>(ENDED_MAX);

  readonly #lifts: Pick<Lifts, 'isLifted' | 'isLiftedSomewhere'>;

  constructor(
    entries: readonly ResponseSetting[],
    lifts: Pick<Lifts, 'isLifted' | 'isLiftedSomewhere'> = NONE_LIFTED,
  ) {
    this.#entries = entries;
    this.#lifts = lifts;
  }

  /** Of the entries that fit, one for each response: the first to enforce, else the first. */
  of(rule: RespondedRule, app: AppIdentity | undefined): readonly ResponseSetting[] {
    if (this.#entries.length === 0) return [];
    const isLifted = this.isLifted(rule, app);
    const chosen = new Map<ResponseName, ResponseSetting>();
    for (const one of this.#entriesOf(rule)) {
      if (!isOfApp(one.match, app)) continue;
      const entry =
        isLifted || this.#hasEnded(one, app) || !isOfShare(one, app)
          ? { ...one, mode: 'monitor' as const }
          : one;
      const known = chosen.get(entry.response);
      if (known === undefined || (known.mode !== 'enforce' && entry.mode === 'enforce'))
        chosen.set(entry.response, entry);
    }
    return [...chosen.values()];
  }

  /** Whether responses to the rule, also those that the app asks for, are lifted. */
  isLifted(rule: RespondedRule | undefined, app: AppIdentity | undefined): boolean {
    return this.#lifts.isLifted(rule, app);
  }

  /** Call when lifts have changed. */
  forget(): void {
    this.#denied = new WeakMap();
  }

  /** Whether any entry asks for this response. */
  wants(name: ResponseName): boolean {
    return this.#entries.some(({ response }) => response === name);
  }

  /** Those of the rules by which programs are denied in the app's containers. O(1) if asked again. */
  deniedAmong<Rule extends RespondedRule>(
    rules: readonly Rule[],
    app: AppIdentity | undefined,
  ): readonly Rule[] {
    if (!this.wants('deny')) return [];
    const known = this.#denied.get(app ?? NO_APP);
    if (known?.rules === rules) return known.denied as readonly Rule[];
    const isDenied = (rule: Rule): boolean =>
      !isDrillRule(rule.name) &&
      this.of(rule, app).some(({ response, mode }) => response === 'deny' && mode === 'enforce');
    const denied = rules.filter(isDenied);
    this.#denied.set(app ?? NO_APP, { rules, denied });
    return denied;
  }

  /**
   * Those of the rules by which all instances of all apps are denied, so that it need not be known which one it is. None for which something is
   * lifted, or has ended, in any app: it may be that one.
   */
  deniedInAny<Rule extends RespondedRule>(rules: readonly Rule[]): readonly Rule[] {
    if (!this.wants('deny')) return [];
    const isOfAll = ({ match, response, mode, percent, fallsBack }: ResponseSetting): boolean =>
      response === 'deny' &&
      mode === 'enforce' &&
      percent === 100 &&
      [match.app, match.space, match.org].every((name) => name === undefined) &&
      !(fallsBack && this.#ended.size > 0);
    return rules.filter(
      (rule) =>
        !isDrillRule(rule.name) &&
        !this.#lifts.isLiftedSomewhere(rule) &&
        this.#entriesOf(rule).some(isOfAll),
    );
  }

  /**
   * Ends denial in the app's containers, where an entry allows that, and what the app itself asks for (`isAsked`): it is as in
   * monitor mode from now on. False if nothing is denied there, or no entry allows it, or it has ended.
   */
  endDenying(app: AppIdentity | undefined, why: string, isAsked = false): boolean {
    const key = app && keyOf(app);
    const isDenied =
      isAsked ||
      this.#entries.some(
        ({ response, mode, fallsBack, match }) =>
          response === 'deny' && mode === 'enforce' && fallsBack && isOfApp(match, app),
      );
    if (!isDenied || this.#ended.has(key)) return false;
    this.#ended.set(key, { app: app?.name, why });
    this.forget();
    return true;
  }

  /** The apps in which denial has ended, and why. */
  ended(): readonly EndedDenial[] {
    return [...this.#ended.entries()].map(([, ended]) => ended);
  }

  /** Why denial has ended in the app's containers; undefined: it has not. */
  endedIn(app: AppIdentity | undefined): string | undefined {
    return this.#ended.get(app && keyOf(app))?.why;
  }

  #hasEnded({ response, fallsBack }: ResponseSetting, app: AppIdentity | undefined): boolean {
    return (
      response === 'deny' && fallsBack && this.#ended.size > 0 && this.endedIn(app) !== undefined
    );
  }

  #entriesOf(rule: RespondedRule): readonly ResponseSetting[] {
    const known = this.#byRule.get(rule);
    if (known !== undefined) return known;
    const entries = this.#entries.filter(({ match }) => fitsAll(match)(rule));
    this.#byRule.set(rule, entries);
    return entries;
  }
}

/**
 * Whether the app's instance is among the share of them in which the entry is enforced: by its number, so that it is the same ones on
 * each host and after each restart. Number 0 is always among them. One whose number is not known is not.
 */
function isOfShare({ percent }: ResponseSetting, app: AppIdentity | undefined): boolean {
  if (percent === 100) return true;
  const instance = app?.instance ?? '';
  return /^\d{1,9}$/.test(instance) && (Number(instance) * percent) % 100 < percent;
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
