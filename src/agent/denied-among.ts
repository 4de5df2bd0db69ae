import type { Policies } from '../policy/policies.ts';
import type { DeniedAmong } from './denials.ts';
import type { Responding } from './responding.ts';

/** By the operator's configuration, and what the app asks for in its policy. */
export const deniedAmong =
  (stages: { readonly policies: Policies; readonly responding: Responding }): DeniedAmong =>
  (rules, container, own) => {
    const { policies, responding } = stages;
    // A refused policy may ask for exceptions.
    if (policies.stateOf(container) === 'refused') return [];
    const policy = policies.inForceFor(container);
    if (policy === undefined || policy === 'none' || policy.summary.denying.length === 0)
      return responding.deniedAmong(rules, container, []);
    // Nobody evaluates them while they are paused.
    const evaluated = policies.arePaused(container) === true ? [] : own;
    const asking = [...rules, ...evaluated].filter(({ name }) => policy.denies(name));
    return responding.deniedAmong(rules, container, asking);
  };
