import { RecentMap } from '../shared/recent-map.ts';
import type { Container } from './identity.ts';
import { POLICY_LABEL } from './labels.ts';

/** Which containers are watched: those that ask for it, all but those that refuse, or all. */
export type ScopeMode = 'opt-in' | 'opt-out' | 'always';

/** The label by which a container opts in (`true`) or out (`false`). */
export const ENABLE_LABEL = 'varvel.enable';

/**
 * On Cloud Foundry an app opts in by a label `metric.tag.cloudfoundry.org/varvel: on`, or out by `off`. The platform
 * makes it a tag of this name, which arrives as a label.
 */
export const GARDEN_TAG = 'varvel';

/** Whether a container is watched, with the reason as a sentence for `varvel status`. */
export interface ScopeDecision {
  readonly inScope: boolean;
  readonly reason: string;
}

/** What else decides, besides the mode and the container's own label. */
export interface ScopeFacts {
  /** The answer of the policy file that the buildpack leaves in an app. Default `none`. */
  readonly file?: 'enabled' | 'none' | undefined;
  /** Default `watch`. */
  readonly staging?: Staging | undefined;
  /** Whether other containers of the app opt in (`true`) or out: the platform gives tasks no labels. */
  readonly asksElsewhere?: boolean | undefined;
}

/** Whether containers in which Cloud Foundry stages an app can be in scope. */
export type Staging = 'exclude' | 'watch';

type Asking = Pick<Container, 'labels' | 'runtime'> & Partial<Pick<Container, 'app'>>;

/** Whether only a policy file can still bring this container into scope. */
export function asksByFile(mode: ScopeMode, container: Asking, facts: ScopeFacts = {}): boolean {
  const inScope = (file: ScopeFacts['file']): boolean =>
    decideScope(mode, container, { ...facts, file }).inScope;
  return inScope('enabled') && !inScope('none');
}

/**
 * Decides from the mode and the container's choice. It opts in by the label, or by having a policy: in the label
 * `varvel.policy`, or in the file that the buildpack leaves in the app. A policy that is refused asks too, so that its
 * app's log says what is wrong with it. A task has no label, and follows its app's instances.
 */
export function decideScope(
  mode: ScopeMode,
  container: Asking,
  { file = 'none', staging = 'watch', asksElsewhere }: ScopeFacts = {},
): ScopeDecision {
  if (container.runtime === 'cgroup') {
    return { inScope: true, reason: 'A cgroup pattern in the configuration names it.' };
  }
  if (container.app?.workload === 'staging' && staging === 'exclude') {
    return { inScope: false, reason: 'An app is staged in it (runtimes.garden.staging: exclude).' };
  }
  if (mode === 'always') return { inScope: true, reason: 'The mode is "always".' };
  const { label, key, yes, no } = container.runtime === 'garden' ? GARDEN_WAY : LABEL_WAY;
  const own = wishOf(container.labels[key], yes, no);
  const isTask = container.app?.workload === 'task' && own === undefined;
  const wish = isTask ? asksElsewhere : own;
  const whose = isTask ? 'It is a task, and its app’s' : 'Its';
  if (mode === 'opt-out') {
    return wish === false
      ? { inScope: false, reason: `${whose} label ${label} is "${no}".` }
      : { inScope: true, reason: 'The mode is "opt-out" and it does not refuse.' };
  }
  if (wish === true) return { inScope: true, reason: `${whose} label ${label} is "${yes}".` };
  if (wish === false) return { inScope: false, reason: `${whose} label ${label} is "${no}".` };
  if (container.labels[POLICY_LABEL] !== undefined) {
    return { inScope: true, reason: `It has a policy (label ${POLICY_LABEL}).` };
  }
  if (file === 'enabled') {
    return { inScope: true, reason: 'It has a policy file (the varvel buildpack’s, or its own).' };
  }
  if (wish === 'invalid') {
    return {
      inScope: false,
      reason: `Its label ${label} is neither "${yes}" nor "${no}", and the mode is "opt-in".`,
    };
  }
  if (isTask) {
    return {
      inScope: false,
      reason: `It is a task without a policy, and no instance of its app with the label ${label}=${yes} was seen here; the mode is "opt-in".`,
    };
  }
  return {
    inScope: false,
    reason: `It has no label ${label}=${yes} and no policy (label ${POLICY_LABEL} or file), and the mode is "opt-in".`,
  };
}

/** How a container opts in: the label as users write it, and the key and values that arrive. */
const LABEL_WAY = { label: ENABLE_LABEL, key: ENABLE_LABEL, yes: 'true', no: 'false' } as const;
const GARDEN_WAY = {
  label: 'metric.tag.cloudfoundry.org/varvel',
  key: GARDEN_TAG,
  yes: 'on',
  no: 'off',
} as const;

function wishOf(
  value: string | undefined,
  yes: string,
  no: string,
): boolean | 'invalid' | undefined {
  if (value === undefined) return undefined;
  // Longer texts are no answer, and need not be scanned.
  const word = value.length > 16 ? '' : value.trim().toLowerCase();
  return word === yes ? true : word === no ? false : 'invalid';
}

/** Limit on remembered apps; the least recently described one is evicted. */
const MAX_APPS = 4096;

/** The last choice of each app's instances, for its tasks. */
export class AppWishes {
  readonly #byGuid = new RecentMap<string, boolean>(MAX_APPS);

  /** An instance of an app is described. */
  note({ runtime, labels, app }: Asking): void {
    if (runtime !== 'garden' || app?.guid === undefined || app.workload !== undefined) return;
    const wish = wishOf(labels[GARDEN_WAY.key], GARDEN_WAY.yes, GARDEN_WAY.no);
    if (typeof wish === 'boolean') this.#byGuid.set(app.guid, wish);
    else this.#byGuid.delete(app.guid);
  }

  of({ runtime, app }: Asking): boolean | undefined {
    if (runtime !== 'garden' || app?.guid === undefined) return undefined;
    return this.#byGuid.get(app.guid);
  }
}
