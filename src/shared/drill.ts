/** The default rules that a drill trips, by their priority: `manifests/rules/varvel_rules.yaml`. */
export const DRILL_RULES = {
  Warning: 'Varvel drill',
  Critical: 'Varvel drill critical',
} as const;

/** How severe a drill can be. */
export type DrillPriority = keyof typeof DRILL_RULES;

/** Where a drill tries to open a file; nothing is there. */
export const DRILL_FOLDERS: Readonly<Record<DrillPriority, string>> = {
  Warning: '/varvel-drill/',
  Critical: '/varvel-drill/critical/',
};

/** The default rule that the agent's own canary trips: below every alert's threshold, since nobody ordered it. */
export const CANARY_RULE = 'Varvel canary';

/** Where the canary tries to open a file; nothing is there. */
export const CANARY_FOLDER = '/varvel-canary/';

/** Whether the rule is one of a drill or of the agent's canary. */
export function isDrillRule(rule: string): boolean {
  return rule === CANARY_RULE || Object.values<string>(DRILL_RULES).includes(rule);
}
