import type { Container } from './identity.ts';

/** Which containers are watched: those that ask for it, all but those that refuse, or all. */
export type ScopeMode = 'opt-in' | 'opt-out' | 'always';

/** The label by which a container asks (`true`) or refuses (`false`). */
export const ENABLE_LABEL = 'varvel.enable';

/** Whether a container is watched, with the reason as a sentence for `varvel status`. */
export interface ScopeDecision {
  readonly inScope: boolean;
  readonly reason: string;
}

/**
 * Decides from the mode and from what the container asks for. There are two ways to ask: the label, and the
 * file that the buildpack leaves in the app. The file is read through the container's root once its first
 * process exists, so its answer comes as `buildpack` in a second decision; undefined means that nobody looked.
 */
export function decideScope(
  mode: ScopeMode,
  container: Pick<Container, 'labels' | 'runtime'>,
  buildpack?: 'enabled',
): ScopeDecision {
  if (container.runtime === 'cgroup') {
    return { inScope: true, reason: 'A cgroup pattern in the configuration names it.' };
  }
  if (mode === 'always') return { inScope: true, reason: 'The mode is "always".' };
  const wish = wishOf(container.labels[ENABLE_LABEL]);
  if (mode === 'opt-out') {
    return wish === false
      ? { inScope: false, reason: `Its label ${ENABLE_LABEL} is "false".` }
      : { inScope: true, reason: 'The mode is "opt-out" and it does not refuse.' };
  }
  if (wish === true) return { inScope: true, reason: `Its label ${ENABLE_LABEL} is "true".` };
  if (wish === false) {
    return { inScope: false, reason: `Its label ${ENABLE_LABEL} is "false".` };
  }
  if (buildpack === 'enabled') {
    return { inScope: true, reason: 'The varvel buildpack was used for it.' };
  }
  if (wish === 'invalid') {
    return {
      inScope: false,
      reason: `Its label ${ENABLE_LABEL} is neither "true" nor "false", and the mode is "opt-in".`,
    };
  }
  return {
    inScope: false,
    reason: `It has no label ${ENABLE_LABEL}=true, and the mode is "opt-in".`,
  };
}

function wishOf(value: string | undefined): boolean | 'invalid' | undefined {
  if (value === undefined) return undefined;
  // Longer texts are no answer, and need not be scanned.
  const word = value.length > 16 ? '' : value.trim().toLowerCase();
  return word === 'true' ? true : word === 'false' ? false : 'invalid';
}
