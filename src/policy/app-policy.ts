import type { PolicyTrust } from '../container-files/policy-text.ts';
import { PRIORITIES } from '../rules/detection.ts';
import type { Priority } from '../rules/detection.ts';
import type { AppendOutput } from '../rules/loader/append-output.ts';
import type { OutputStyle } from '../rules/output/format.ts';
import type { Definitions } from '../rules/loader/definitions.ts';
import { Diagnostics } from '../rules/loader/diagnostics.ts';
import type { Diagnostic } from '../rules/loader/diagnostics.ts';
import { loadOverlay } from '../rules/loader/overlay.ts';
import type { Overlay } from '../rules/loader/overlay.ts';
import { selectRules, selects } from '../rules/loader/selection.ts';
import type { RuleSelection } from '../rules/loader/selection.ts';
import type { Place, RuleSource } from '../rules/loader/source.ts';
import type { ResponseName } from '../shared/response-names.ts';
import type { LoadedRule, RuleSet } from '../rules/rule-set.ts';
import { nearestWord } from '../shared/nearest.ts';
import { atOnce, type Steps } from '../shared/turns.ts';
import { asksNoMore, ChangedRules } from './changed-rules.ts';
import { policyCost, POLICY_BOUNDS } from './policy-bounds.ts';
import { readPolicy } from './policy-document.ts';
import type { PolicyDocument, PolicyResponse, PolicySelection } from './policy-document.ts';
import { AppPolicy } from './policy-in-force.ts';
import type { PolicySummary, RuleOrder } from './policy-in-force.ts';
import type { PolicyVariable } from './policy-variables.ts';
import type { BudgetLimits } from './rule-budget.ts';
import { knownVariables, NO_EFFECTS, switchingTag, variableEffects } from './variable-effects.ts';
import type { VariableEffects } from './variable-effects.ts';

/** The operator's rules, on which apps' policies are based, and which of them no policy may weaken. */
export interface OperatorRules {
  readonly ruleSet: RuleSet;
  readonly definitions: Definitions;
  readonly minimumPriority: Priority;
  readonly appendOutput: readonly AppendOutput[];
  /** Default `short`. */
  readonly outputStyle?: OutputStyle | undefined;
  /** Rules that any entry selects cannot be switched off, get exceptions, or fall below a minimum priority. */
  readonly pinned: readonly Pick<RuleSelection, 'rule' | 'tag'>[];
  /** Responses that apps may ask for; default none. */
  readonly responses?: readonly ResponseName[];
  /** CPU time limits for each app's own rules on this host; default DEFAULT_BUDGET. */
  readonly budget?: BudgetLimits;
}

/** The result for a document: with any error there is no policy. */
export interface CompiledPolicy {
  readonly policy: AppPolicy | undefined;
  readonly errors: readonly Diagnostic[];
  /** Parts without effect, and other doubts. */
  readonly warnings: readonly Diagnostic[];
}

/** Compiles a document against the operator's rules. Never throws because of its content. */
export function compilePolicy(
  document: PolicyDocument,
  operator: OperatorRules,
  trust: PolicyTrust,
): CompiledPolicy {
  return atOnce(policySteps(document, operator, trust));
}

/** Like `compilePolicy`, in steps: one per rule. */
export function policySteps(
  document: PolicyDocument,
  operator: OperatorRules,
  trust: PolicyTrust,
): Steps<CompiledPolicy> {
  return new Compilation(document, operator, trust).steps();
}

/** Name of the rule that matches where a variable may widen an operator's rule; no other rule can have this name. */
const TRIGGER = 'Varvel: variables';

function compiledRules(
  source: RuleSource,
  operator: OperatorRules,
  trust: PolicyTrust,
): readonly LoadedRule[] {
  const { document } = readPolicy(source);
  if (document === undefined) return [];
  const compilation = new Compilation(document, operator, trust);
  atOnce(compilation.steps());
  return compilation.compiled;
}

/** A condition that holds where list additions may widen an operator's rule; undefined if none can. */
function triggerOf(
  { rebuilt }: VariableEffects,
  operators: readonly LoadedRule[],
): { readonly name: string; readonly condition: string } | undefined {
  const tests = new Set<string>();
  const events = new Set<string>();
  for (const rule of operators) {
    const growing = rebuilt.get(rule.name)?.growing;
    if (growing === undefined || growing.size === 0) continue;
    for (const test of growing) tests.add(test);
    for (const event of rule.events) events.add(event);
  }
  if (tests.size === 0) return undefined;
  const condition = `evt.type in (${[...events].join(', ')}) and (${[...tests].join(' or ')})`;
  return { name: TRIGGER, condition };
}

const ORDERS = new WeakMap<RuleSet, RuleOrder>();

/** Shared by all policies. */
function orderOf(ruleSet: RuleSet): RuleOrder {
  const known = ORDERS.get(ruleSet) ?? new Map(ruleSet.rules.map(({ name }, at) => [name, at]));
  ORDERS.set(ruleSet, known);
  return known;
}

function isBelow({ priority }: LoadedRule, minimum: Priority): boolean {
  return PRIORITIES.indexOf(priority) > PRIORITIES.indexOf(minimum);
}

class Compilation {
  readonly #document: PolicyDocument;
  readonly #operator: OperatorRules;
  readonly #trust: PolicyTrust;
  readonly #diagnostics = new Diagnostics();
  readonly #isPinned: (rule: LoadedRule) => boolean;
  readonly #begin: Place;
  /** All of this app's rules, once there is a result without errors. */
  compiled: readonly LoadedRule[] = [];

  constructor(document: PolicyDocument, operator: OperatorRules, trust: PolicyTrust) {
    this.#document = document;
    this.#operator = operator;
    this.#trust = trust;
    this.#begin = { source: document.source, start: 0, end: 1 };
    const tests = operator.pinned.map((one) => selects({ enable: true, ...one }));
    this.#isPinned = (rule) => tests.some((test) => test(rule));
  }

  *steps(): Steps<CompiledPolicy> {
    const { ruleSet, definitions, appendOutput, outputStyle } = this.#operator;
    const before = ruleSet.rules;
    const after = this.#switched(before);
    const minimum = this.#minimum();
    const isLoud = (rule: LoadedRule): boolean => this.#isHeld(rule) || !isBelow(rule, minimum);
    const on = after.filter((rule) => rule.enabled && isLoud(rule));
    const wasOn = new Set(before.filter(({ enabled }) => enabled).map(({ name }) => name));
    // Rules that the operator has switched off are not in the shared engine.
    const enabled = on.filter(({ name }) => !wasOn.has(name));
    const extra = new Set(enabled.map(({ name }) => name));
    const variables = this.#variables(on.filter(({ name }) => wasOn.has(name)));
    const overlay = yield* loadOverlay(definitions, this.#document.customRules, {
      bounds: POLICY_BOUNDS[this.#trust],
      appendOutput,
      outputStyle,
      operators: before,
      place: this.#begin,
      extra: new Set([...extra, ...variables.rebuilt.keys()]),
      withoutExceptions: this.#trust === 'unverified',
      lists: variables.lists,
      listsOf: variables.listsOf,
      besides: triggerOf(variables, before),
    });
    const excepted = this.#excepted(overlay);
    const names = new Set(before.map(({ name }) => name));
    const isOwn = ({ name }: LoadedRule): boolean => !names.has(name) && name !== TRIGGER;
    const own = selectRules(overlay.rules.filter(isOwn), this.#document.selections).filter((rule) =>
      this.#isWanted(rule, minimum),
    );
    const another = new Set([...extra, ...variables.rebuilt.keys(), ...excepted]);
    const isOn = new Set(on.map(({ name }) => name));
    const rules = overlay.rules.flatMap((rule) => {
      if (isOwn(rule)) return own.filter(({ name }) => name === rule.name);
      // The file alone does not decide whether it is on.
      return another.has(rule.name) && isOn.has(rule.name) ? [{ ...rule, enabled: true }] : [];
    });
    this.#checkSelections(overlay);
    const responses = this.#responses([...on, ...own], [...before, ...overlay.rules.filter(isOwn)]);
    const errors = [...this.#diagnostics.errors, ...overlay.errors];
    const warnings = [...this.#diagnostics.warnings, ...overlay.warnings];
    if (errors.length > 0) return { policy: undefined, errors, warnings };
    const muted = before.filter((rule) => rule.enabled && !isOn.has(rule.name));
    this.compiled = rules;
    yield;
    const dropped = new Set([
      ...muted.map(({ name }) => name),
      ...excepted,
      ...variables.rebuilt.keys(),
    ]);
    const summary: PolicySummary = {
      own: own.map(({ name }) => name),
      excepted: [...excepted],
      adjusted: [...variables.rebuilt.keys()],
      enabled: [...extra],
      muted: muted.map(({ name }) => name),
      killing: [...responses].flatMap(([name, response]) => (response === 'kill' ? [name] : [])),
      denying: [...responses].flatMap(([name, response]) => (response === 'deny' ? [name] : [])),
      minimumPriority: minimum,
      active: [...wasOn].filter((name) => !dropped.has(name)).length + rules.length,
      cost: policyCost(overlay.cost),
    };
    return {
      policy: this.#policyOf(rules, overlay, variables, dropped, summary),
      errors,
      warnings,
    };
  }

  #policyOf(
    rules: readonly LoadedRule[],
    overlay: Overlay,
    variables: VariableEffects,
    dropped: ReadonlySet<string>,
    summary: PolicySummary,
  ): AppPolicy {
    const { ruleSet } = this.#operator;
    const was = new Map(ruleSet.rules.map((rule) => [rule.name, rule]));
    const isLazy = (rule: LoadedRule): boolean => {
      const operators = was.get(rule.name);
      const use = variables.rebuilt.get(rule.name);
      const isKnown = use === undefined || use.growing !== undefined;
      return operators?.enabled === true && isKnown && asksNoMore(rule, operators);
    };
    const lazy = new Set(rules.filter(isLazy).map(({ name }) => name));
    const growing = [...lazy].filter((name) => variables.rebuilt.get(name)?.growing?.size);
    const trigger = overlay.rules.find(({ name }) => name === TRIGGER);
    // Compiled rules are not kept: few of an app's rules are ever needed.
    const { source } = this.#document;
    const [operator, trust] = [this.#operator, this.#trust];
    const changed = new ChangedRules(
      lazy,
      () => compiledRules(source, operator, trust),
      growing,
      trigger,
    );
    const kept = rules.filter(({ name }) => !lazy.has(name));
    return new AppPolicy(this.#document, kept, changed, dropped, summary, orderOf(ruleSet));
  }

  /** The operator's rules, switched on and off for this app. */
  #switched(before: readonly LoadedRule[]): readonly LoadedRule[] {
    const byVariables = this.#document.variables.map(({ name, place }) => ({
      enable: true,
      tag: switchingTag(name),
      place,
    }));
    const enforced = this.#document.enforced.map((one) => ({ ...one, enable: true }));
    const after = selectRules(before, [...byVariables, ...this.#selections(), ...enforced]);
    return after.map((rule, at) => {
      const was = before[at];
      return was !== undefined && this.#isHeld(was) ? was : rule;
    });
  }

  /** Whether it is an enabled rule of the operator's that no policy can weaken. */
  #isHeld(rule: LoadedRule): boolean {
    return rule.enabled && this.#isPinned(rule);
  }

  #isWanted(rule: LoadedRule, minimum: Priority): boolean {
    const below = isBelow(rule, minimum);
    if (below) this.#warnOfBelow(rule, minimum);
    return rule.enabled && !below;
  }

  /** @param on operator rules that are on both for all apps and for this app */
  #variables(on: readonly LoadedRule[]): VariableEffects {
    // Finding which rules use which variable takes 10 ms, once.
    if (this.#document.variables.length === 0) return NO_EFFECTS;
    const pinned = new Set(on.filter(this.#isPinned).map(({ name }) => name));
    return variableEffects(
      knownVariables(this.#operator.definitions),
      this.#document.variables,
      new Set(on.map(({ name }) => name)),
      (rule) =>
        pinned.has(rule) ? 'pinned' : this.#trust === 'verified' ? undefined : this.#trust,
      this.#diagnostics,
      (what, { place }: PolicyVariable) => this.#warnOfTrust(what, place),
    );
  }

  /** The selections that take effect. */
  #selections(): PolicySelection[] {
    return this.#document.selections.filter((selection) => {
      if (selection.enable || this.#trust === 'verified') return true;
      this.#warnOfTrust('switches rules off', selection.place);
      return false;
    });
  }

  #minimum(): Priority {
    const { minimumPriority: asked } = this.#document;
    const { minimumPriority: operators } = this.#operator;
    if (asked === undefined) return operators;
    const isLouder = PRIORITIES.indexOf(asked) >= PRIORITIES.indexOf(operators);
    if (isLouder) return operators;
    if (this.#trust === 'verified') return asked;
    this.#warnOfTrust('asks for fewer lines', this.#begin);
    return operators;
  }

  /** The operator's rules with effective exceptions of the app's. */
  #excepted({ excepted }: Overlay): ReadonlySet<string> {
    const names = new Set<string>();
    for (const rule of this.#operator.ruleSet.rules) {
      const place = excepted.get(rule.name);
      if (place === undefined) continue;
      if (this.#isPinned(rule)) {
        const message = `the operator has pinned the rule "${rule.name}": no exceptions can be added to it`;
        this.#diagnostics.error('LOAD_ERR_VALIDATE', message, place);
      } else if (this.#trust === 'unverified') {
        this.#warnOfTrust(`adds exceptions to "${rule.name}"`, place);
      } else names.add(rule.name);
    }
    return names;
  }

  #checkSelections({ rules: own }: Overlay): void {
    const all = [...this.#operator.ruleSet.rules, ...own];
    for (const selection of this.#document.selections) {
      const { enable, place } = selection;
      const found = this.#selected(all, selection);
      const pinned = enable ? [] : found.filter(this.#isPinned);
      if (pinned.length === 0) continue;
      const which = pinned.map(({ name }) => `"${name}"`).join(', ');
      const message = `the operator has pinned ${which}: this stays on`;
      this.#diagnostics.warn('LOAD_WARNING_EXTENSION', message, place);
    }
  }

  /** By name, the rules that are on for the app and whose detections end a process. What denies also kills. */
  #responses(
    on: readonly LoadedRule[],
    all: readonly LoadedRule[],
  ): ReadonlyMap<string, ResponseName> {
    const responses = new Map<string, ResponseName>();
    for (const one of [...this.#document.responses, ...this.#document.enforced]) {
      const { place } = one;
      const found = this.#selected(all, one);
      const allows = (name: ResponseName): boolean =>
        this.#operator.responses?.includes(name) === true;
      const { instead } = 'variable' in one ? one : { instead: undefined };
      const response =
        instead !== undefined && !allows(one.response) && allows(instead) ? instead : one.response;
      if (!allows(response)) {
        const message = `the operator does not allow '${response}' here (policies.responses): the detection is only reported`;
        this.#diagnostics.warn('LOAD_WARNING_EXTENSION', message, place);
      } else if (this.#trust === 'unverified') {
        this.#warnOfTrust(`asks for '${response}'`, place);
      } else {
        const isOn = new Set(on.map(({ name }) => name));
        const answered = found.filter(({ name }) => isOn.has(name));
        if (answered.length === 0 && found.length > 0 && 'variable' in one)
          this.#warnOfSilence(found, place);
        for (const { name } of answered)
          if (responses.get(name) !== 'deny') responses.set(name, response);
      }
    }
    return responses;
  }

  /** The selected rules; reports an error if there are none. */
  #selected(all: readonly LoadedRule[], selection: PolicySelection | PolicyResponse): LoadedRule[] {
    const { rule, tag, place } = selection;
    const found = all.filter(selects({ enable: true, ...selection }));
    if (found.length > 0) return found;
    const names = all.map(({ name }) => name);
    const tags = all.flatMap((one) => one.tags);
    const near = nearestWord(rule ?? '', names) ?? nearestWord(tag ?? '', tags);
    const hint = near === undefined ? '' : `: did you mean "${near}"?`;
    const what = rule === undefined ? `has the tag "${tag ?? ''}"` : `is called "${rule}"`;
    this.#diagnostics.error('LOAD_ERR_VALIDATE', `no rule ${what}${hint}`, place);
    return [];
  }

  #warnOfBelow({ name, priority }: LoadedRule, minimum: Priority): void {
    const message = `the rule "${name}" is ${priority}, and the least priority is ${minimum}: it never writes a line`;
    this.#diagnostics.warn('LOAD_WARNING_EXTENSION', message, this.#begin);
  }

  #warnOfSilence(rules: readonly LoadedRule[], place: Place): void {
    const which = rules.map(({ name, priority }) => `"${name}" (${priority})`).join(', ');
    const message = `this is not enforced, as the least priority is above that of the rule ${which}`;
    this.#diagnostics.warn('LOAD_WARNING_EXTENSION', message, place);
  }

  #warnOfTrust(what: string, place: Place): void {
    const message = `it cannot be told that this file is older than the app's start, so the part that ${what} has no effect`;
    this.#diagnostics.warn('LOAD_WARNING_EXTENSION', message, place);
  }
}
