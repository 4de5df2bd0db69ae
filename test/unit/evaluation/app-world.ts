// An evaluation over one container of an app, and rules of its own: what tests of the evaluation have in common.
import type { ContainerRegistry } from '../../../src/apps/container-registry.ts';
import type { AppRules } from '../../../src/evaluation/app-rules.ts';
import type { EvaluationOptions } from '../../../src/evaluation/evaluation.ts';
import type { RuleFailure } from '../../../src/evaluation/rule-watch.ts';
import type { Detection } from '../../../src/rules/detection.ts';
import { RuleEngine } from '../../../src/rules/engine.ts';
import { ruleFile, ruleSetOf } from '../../support/rules-load.ts';
import { makeEvent, makeOpen } from '../../support/rules-subject.ts';
import { evaluationWorld, webContainer } from './evaluation-fixture.ts';

export const ID = 'b'.repeat(64);
export const CGROUP = 12_345;
const RULE = ruleFile(
  'evt.type = openat and fd.name = /etc/shadow',
  'name=%proc.name container=%container.name',
);

/** One container of Docker's, of which a test decides whether it is watched. */
export function appWorld(
  appRules?: AppRules,
  onFailure: (failure: RuleFailure) => void = () => undefined,
  more: Partial<
    Pick<
      EvaluationOptions,
      'admit' | 'respond' | 'turns' | 'appRulesOf' | 'isPolicyKnown' | 'onDeniedInVain'
    >
  > = {},
  rule = RULE,
) {
  const { registry, time, delivered, evaluation } = evaluationWorld(
    new RuleEngine(ruleSetOf(rule)),
    { appRulesOf: () => appRules, onFailure, ...more },
  );
  const decide = (included: boolean): void => {
    const container = webContainer(ID);
    registry.decide(
      'docker',
      ID,
      included
        ? { state: 'included', container, reason: '' }
        : { state: 'excluded', container, reason: '' },
    );
  };
  return { time, registry, evaluation, delivered, decide };
}

/** Rules of an app that change nothing but what is given. */
export const rulesOfApp = (changes: Partial<AppRules>): AppRules => ({
  refine: (matches) => matches,
  counts: () => true,
  responseTo: () => undefined,
  isAnswered: () => true,
  isOwn: () => false,
  written: (_, write) => write(),
  writtenLater: (_, write) => write(),
  ruleSet: { rules: [] },
  isPaused: false,
  hasSkipped: false,
  inFull: (work) => work(),
  ...changes,
});

export const shadow = makeEvent('openat', {
  result: 3,
  open: makeOpen('/etc/shadow'),
  cgroupId: CGROUP,
});
export const appear = (registry: ContainerRegistry): void =>
  registry.found(CGROUP, `/docker/${ID}`);
export const outputs = (delivered: readonly Detection[]): string[] =>
  delivered.map((d) => d.output);
