import type { Apps } from '../apps/apps.ts';
import type { RuleSettings } from '../config/config.ts';
import { changedKeys } from '../config/load.ts';
import type { LoadedConfig } from '../config/load.ts';
import type { DomainNames } from '../context/domain-names.ts';
import type { Attachment } from '../plan/attachment.ts';
import type { KernelVerdicts } from './verdicts.ts';
import { kernelPlanFor, widened } from '../plan/kernel-plan.ts';
import type { KernelPlan } from '../plan/kernel-plan.ts';
import type { LiveProbe } from '../probe/live.ts';
import { loadConfiguredRules } from '../rules/configured-rules.ts';
import type { ConfiguredRules } from '../rules/configured-rules.ts';
import type { Priority } from '../rules/detection.ts';
import { domainNamesIn } from '../rules/domain-names.ts';
import { RuleEngine } from '../rules/engine.ts';
import type { Evaluation } from '../evaluation/evaluation.ts';
import { RulesWatcher, stampOf } from '../rules/loader/watch-rules.ts';
import type { Stamp } from '../rules/loader/watch-rules.ts';
import type { RuleSet } from '../rules/rule-set.ts';
import type { Logger } from '../shared/logger.ts';
import { UserError } from '../shared/user-error.ts';

/** Limit on the length of a stored reason; the log has all of it. */
const MAX_REASON = 4096;

/** The configuration, which can be read again. */
export interface ConfigSource {
  /** Path of the file, whether it exists or not. */
  readonly file: string;
  /** Throws UserError. */
  read(): LoadedConfig;
}

/** The rules in force, and the results of reloads. */
export interface RulesStatus {
  readonly loaded: number;
  readonly enabled: number;
  /** Those of `enabled` that are off for now, because the agent exceeds one of its ceilings. */
  readonly shed: number;
  readonly files: readonly string[];
  /** SHA-256 of the concatenated bytes of the files. */
  readonly digest: string;
  readonly loadedAtMs: number;
  readonly reloads: { readonly ok: number; readonly failed: number };
  /** The files have changed, but the last reload failed. */
  readonly stale: boolean;
  readonly lastFailure?: { readonly atMs: number; readonly reason: string };
  /** Whether file changes are noticed without a signal. */
  readonly watching: boolean;
}

export interface LiveRulesOptions {
  readonly settings: RuleSettings;
  /** Without it, a reload keeps `settings`. */
  readonly source: { readonly from: ConfigSource; readonly loaded: LoadedConfig } | undefined;
  readonly logger: Logger;
  readonly evaluation: Pick<Evaluation, 'swapEngine' | 'finishEvents'>;
  readonly attachment: Pick<Attachment, 'setHooks'>;
  readonly probe: Pick<LiveProbe, 'setMasks' | 'drain'>;
  readonly verdicts: Pick<KernelVerdicts, 'enter' | 'leave' | 'endDenyingBut'>;
  readonly domains: Pick<DomainNames, 'watch'>;
  readonly apps: Pick<Apps, 'waitForDetails'>;
  /** Prepares the apps' policies for new operator rules; the function that it resolves to is called at the swap. */
  readonly preparePolicies?: (
    rules: ConfiguredRules,
    settings: RuleSettings,
  ) => Promise<() => void>;
  /** Does for apps' own rules what `shed` does for the operator's. */
  readonly shedPolicies?: (priorities: readonly Priority[]) => void;
  /** Throws UserError if the host cannot give what the responses ask for. */
  readonly check?: (rules: RuleSet, settings: RuleSettings) => void;
  /** Sets the operator's responses to detections from now on. */
  readonly setResponses?: (settings: RuleSettings) => void;
}

/** Loaded rules, and the stamps of their files from before they were read. */
export interface FirstRules {
  readonly rules: ConfiguredRules;
  readonly stamps: ReadonlyMap<string, Stamp>;
}

/** Loads the rules that an agent starts with. Throws UserError. */
export async function loadFirstRules(
  settings: RuleSettings,
  configFile: string | undefined,
  logger: Logger,
): Promise<FirstRules> {
  const paths = [...settings.rulesFiles, ...(configFile === undefined ? [] : [configFile])];
  const stamps = new Map(paths.map((path) => [path, stampOf(path)]));
  const rules = await loadConfiguredRules(settings);
  for (const warning of rules.warnings) logger.warn({ rules: true }, warning);
  return { rules, stamps };
}

/**
 * The rules in force, and their replacement: new rules are loaded and compiled beside the old ones, then swapped in between two
 * events. The kernel reports what either set needs before the swap, and what the new one needs after it. So one whole set
 * evaluates every event. A set that fails to load changes nothing, and the log says why.
 */
export class LiveRules {
  readonly #options: LiveRulesOptions;
  readonly #logger: Logger;
  readonly #watcher: RulesWatcher;
  #settings: RuleSettings;
  #rules: ConfiguredRules;
  /** `#rules` without those that are switched off. */
  #inForce: RuleSet;
  #plan: KernelPlan;
  /** Apps' own rules, whose needs are added to the plan. */
  #appRules: readonly RuleSet[] = [];
  #loadedConfig: LoadedConfig | undefined;
  #loadedAtMs = Date.now();
  #ok = 0;
  #failed = 0;
  #stale = false;
  #lastFailure: { readonly atMs: number; readonly reason: string } | undefined;
  #wanted = false;
  #running: Promise<void> | undefined;
  #stopped = false;
  #shed: readonly Priority[] = [];

  constructor({ rules }: FirstRules, options: LiveRulesOptions) {
    this.#options = options;
    this.#logger = options.logger;
    this.#settings = options.settings;
    this.#loadedConfig = options.source?.loaded;
    this.#rules = rules;
    this.#inForce = rules.ruleSet;
    this.#plan = kernelPlanFor(rules.ruleSet);
    this.#watcher = new RulesWatcher(() => {
      this.#logger.info({}, 'rule files or the configuration changed: reloading');
      void this.reload();
    });
  }

  /** Tells the kernel what the rules need, and starts to watch their files. After the trial of denial. Throws UserError as `check`. */
  start({ stamps, rules }: FirstRules): void {
    this.#options.check?.(rules.ruleSet, this.#settings);
    this.#apply(this.#plan);
    void this.#options.verdicts.enter(this.#inForce);
    this.#watchDomains(rules.ruleSet);
    this.#watch(stamps);
  }

  /**
   * Sets all of the apps' own rules: the kernel then also reports what they need. If it cannot, they see less, and the log says
   * so.
   */
  setAppRules(ruleSets: readonly RuleSet[]): void {
    const accepted: RuleSet[] = [];
    if (this.#takes(ruleSets)) accepted.push(...ruleSets);
    // A set that this kernel cannot serve takes nothing from the others and blocks no reload.
    else for (const set of ruleSets) if (this.#takes([...accepted, set])) accepted.push(set);
    this.#appRules = accepted;
    this.#watchDomains(this.#rules.ruleSet);
  }

  #takes(appRules: readonly RuleSet[]): boolean {
    const before = this.#appRules;
    this.#appRules = appRules;
    try {
      this.#apply(this.#plan);
      return true;
    } catch (error) {
      const reason = error instanceof UserError ? error.toDisplay() : String(error);
      this.#logger.error({ reason }, 'the kernel does not report all that an app’s own rules need');
      this.#appRules = before;
      return false;
    }
  }

  /** No reload takes effect from now on. */
  stop(): void {
    this.#stopped = true;
    this.#watcher.stop();
  }

  /**
   * Reloads configuration and rules; resolves when they are in force or were refused. One reload at a time: calls meanwhile
   * cause one more.
   */
  reload(): Promise<void> {
    this.#wanted = true;
    this.#running ??= this.#run();
    return this.#running;
  }

  /** Switches the rules of these priorities off, and all others as configured. Throws UserError like `#swap`. */
  shed(priorities: readonly Priority[]): void {
    const before = this.#shed;
    this.#shed = priorities;
    try {
      // Fewer rules during a flood: the kernel must first stop reporting what only the shed rules need, or the flood does not end.
      const kernelFirst = priorities.length > before.length;
      // What no rule can match of more rules, none of fewer can.
      if (!kernelFirst) this.#options.verdicts.leave();
      // What apps' shed rules have denied is evaluated by them.
      else {
        const kept = withoutPriorities(this.#rules.ruleSet, priorities);
        this.#options.verdicts.endDenyingBut(kept, priorities);
        this.#options.probe.drain();
        this.#options.evaluation.finishEvents();
      }
      this.#options.shedPolicies?.(priorities);
      this.#swap(this.#rules.ruleSet, this.#settings.ruleMatching, kernelFirst);
    } catch (error) {
      this.#shed = before;
      this.#options.shedPolicies?.(before);
      void this.#options.verdicts.enter(this.#inForce);
      throw error;
    }
  }

  /** Enabled rules of these priorities, whether shed or not. */
  enabledOf(priorities: readonly Priority[]): number {
    return this.#rules.ruleSet.rules.filter(
      ({ enabled, priority }) => enabled && priorities.includes(priority),
    ).length;
  }

  status(): RulesStatus {
    const { ruleSet, files, digest } = this.#rules;
    return {
      loaded: ruleSet.rules.length,
      enabled: ruleSet.rules.filter((rule) => rule.enabled).length,
      shed: this.enabledOf(this.#shed),
      files,
      digest,
      loadedAtMs: this.#loadedAtMs,
      reloads: { ok: this.#ok, failed: this.#failed },
      stale: this.#stale,
      ...(this.#lastFailure === undefined ? {} : { lastFailure: this.#lastFailure }),
      watching: this.#settings.watchConfigFiles,
    };
  }

  async #run(): Promise<void> {
    while (this.#wanted && !this.#stopped) {
      this.#wanted = false;
      await this.#once();
    }
    this.#running = undefined;
  }

  async #once(): Promise<void> {
    const startedMs = performance.now();
    this.#watcher.pause();
    // Each stamp is taken before its file is read: a later change causes another reload.
    const stamps = new Map<string, Stamp>();
    try {
      const file = this.#options.source?.from.file;
      if (file !== undefined) stamps.set(file, stampOf(file));
      const config = this.#options.source?.from.read();
      if (config !== undefined) this.#sayWhatNeedsARestart(config);
      const settings = config?.config ?? this.#settings;
      for (const path of settings.rulesFiles) stamps.set(path, stampOf(path));
      const rules = await loadConfiguredRules(settings);
      this.#options.check?.(rules.ruleSet, settings);
      const swapPolicies = await this.#options.preparePolicies?.(rules, settings);
      if (this.#stopped) return;
      this.#swap(rules.ruleSet, settings.ruleMatching);
      // Before the policies: policies that become ready release events.
      this.#options.setResponses?.(settings);
      swapPolicies?.();
      this.#settings = settings;
      this.#rules = rules;
      this.#loadedAtMs = Date.now();
      this.#ok++;
      this.#stale = false;
      for (const warning of rules.warnings) this.#logger.warn({ rules: true }, warning);
      const { loaded, enabled, digest } = this.status();
      const ms = Math.round(performance.now() - startedMs);
      this.#logger.info({ rules: loaded, enabled, digest, ms }, 'rules reloaded');
    } catch (error) {
      if (!this.#stopped) this.#refuse(error);
    }
    for (const path of this.#settings.rulesFiles) {
      if (!stamps.has(path)) stamps.set(path, stampOf(path));
    }
    this.#watch(stamps);
  }

  /** Throws UserError if the kernel refuses what the rules need; everything then stays as before. */
  #swap(loaded: RuleSet, matching: RuleSettings['ruleMatching'], kernelFirst = false): void {
    const ruleSet = withoutPriorities(loaded, this.#shed);
    const engine = new RuleEngine(ruleSet, { matching });
    const plan = kernelPlanFor(ruleSet);
    const { verdicts } = this.#options;
    try {
      if (!kernelFirst) verdicts.leave();
      this.#apply(kernelFirst ? plan : widened(this.#plan, plan));
    } catch (error) {
      void verdicts.enter(this.#inForce);
      throw error;
    }
    // What shed rules have denied is evaluated by them.
    if (kernelFirst) verdicts.endDenyingBut(ruleSet, this.#shed);
    // The old rules evaluate all events so far: the kernel withheld events that only the new rules need.
    this.#options.probe.drain();
    this.#options.evaluation.swapEngine(engine);
    this.#inForce = ruleSet;
    this.#plan = plan;
    // This only detaches hooks, which cannot be refused.
    this.#apply(plan);
    void verdicts.enter(ruleSet);
    this.#watchDomains(ruleSet);
  }

  #watchDomains(ruleSet: RuleSet): void {
    const names = [ruleSet, ...this.#appRules].flatMap((set) => [...domainNamesIn(set)]);
    void this.#options.domains.watch(new Set(names));
  }

  /** Applies the operator's plan, plus what apps' own rules need. */
  #apply(operators: KernelPlan): void {
    const { hooks, masks, containerDetails } = this.#appRules
      .map(kernelPlanFor)
      .reduce(widened, operators);
    this.#options.attachment.setHooks(hooks);
    this.#options.probe.setMasks(masks);
    this.#options.apps.waitForDetails(containerDetails);
  }

  /** On any failure the previous rules stay in force: watching the host matters more than a clean exit. */
  #refuse(error: unknown): void {
    const known = error instanceof UserError;
    const reason = known ? error.toDisplay() : `unexpected error: ${String(error)}`;
    this.#failed++;
    this.#stale = true;
    this.#lastFailure = {
      atMs: Date.now(),
      reason: reason.length > MAX_REASON ? `${reason.slice(0, MAX_REASON)}…` : reason,
    };
    this.#logger.error(
      known ? { reason } : { reason, error },
      'the rules were not reloaded: the previous rules stay in force',
    );
  }

  #sayWhatNeedsARestart(config: LoadedConfig): void {
    for (const warning of config.warnings) this.#logger.warn({ file: config.file }, warning);
    const keys = this.#loadedConfig === undefined ? [] : changedKeys(this.#loadedConfig, config);
    if (keys.length === 0) return;
    this.#logger.warn({ keys }, 'these settings changed: they take effect when the agent restarts');
  }

  #watch(stamps: ReadonlyMap<string, Stamp>): void {
    if (this.#stopped) return;
    if (this.#settings.watchConfigFiles) this.#watcher.watch(stamps);
    else this.#watcher.stop();
  }
}

function withoutPriorities(ruleSet: RuleSet, priorities: readonly Priority[]): RuleSet {
  if (priorities.length === 0) return ruleSet;
  return {
    rules: ruleSet.rules.map((rule) =>
      priorities.includes(rule.priority) ? { ...rule, enabled: false } : rule,
    ),
  };
}
