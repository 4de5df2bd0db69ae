import type { Container } from './identity.ts';

/** Which containers are watched: those that ask for it, all but those that refuse, or all. */
export type ScopeMode = 'opt-in' | 'opt-out' | 'always';

/** The label by which a container asks (`true`) or refuses (`false`). */
export const ENABLE_LABEL = 'varvel.enable';

/**
 * On Cloud Foundry, where an app asks by a label `metric.tag.cloudfoundry.org/varvel: on` (or refuses by `off`): the
 * platform makes it a tag of this name, which comes with the container's other tags as a label.
 */
export const GARDEN_TAG = 'varvel';

/** Whether a container is watched, with the reason as a sentence for `varvel status`. */
export interface ScopeDecision {
  readonly inScope: boolean;
  readonly reason: string;
}

/** Whether only the file that the buildpack leaves in an app can still ask for this container. */
export function asksByFile(
  mode: ScopeMode,
  container: Pick<Container, 'labels' | 'runtime'>,
): boolean {
  return decideScope(mode, container, 'enabled').inScope && !decideScope(mode, container).inScope;
}

/**
 * Decides from the mode and from what the container asks for. There are two ways to ask: the label, and the
 * file that the buildpack leaves in the app; `buildpack` is what the latter says.
 */
export function decideScope(
  mode: ScopeMode,
  container: Pick<Container, 'labels' | 'runtime'>,
  buildpack: 'enabled' | 'none' = 'none',
): ScopeDecision {
  if (container.runtime === 'cgroup') {
    return { inScope: true, reason: 'A cgroup pattern in the configuration names it.' };
  }
  if (mode === 'always') return { inScope: true, reason: 'The mode is "always".' };
  const { label, key, yes, no } = container.runtime === 'garden' ? GARDEN_WAY : LABEL_WAY;
  const wish = wishOf(container.labels[key], yes, no);
  if (mode === 'opt-out') {
    return wish === false
      ? { inScope: false, reason: `Its label ${label} is "${no}".` }
      : { inScope: true, reason: 'The mode is "opt-out" and it does not refuse.' };
  }
  if (wish === true) return { inScope: true, reason: `Its label ${label} is "${yes}".` };
  if (wish === false) return { inScope: false, reason: `Its label ${label} is "${no}".` };
  if (buildpack === 'enabled') {
    return { inScope: true, reason: 'It has a policy file (the varvel buildpack’s, or its own).' };
  }
  if (wish === 'invalid') {
    return {
      inScope: false,
      reason: `Its label ${label} is neither "${yes}" nor "${no}", and the mode is "opt-in".`,
    };
  }
  return {
    inScope: false,
    reason: `It has no label ${label}=${yes} and no policy file, and the mode is "opt-in".`,
  };
}

/** How a container asks: the label as people know it, and the key and the words by which it arrives. */
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
