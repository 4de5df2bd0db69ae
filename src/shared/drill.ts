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

/** Whether a rule of this name says that there is a drill. */
export function isDrillRule(rule: string): boolean {
  return Object.values<string>(DRILL_RULES).includes(rule);
}
