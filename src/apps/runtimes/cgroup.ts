import type { ScopePattern } from '../../probe/scope.ts';
import { UserError, type SourcePosition } from '../../shared/user-error.ts';
import type { Container } from '../identity.ts';
import { boundedLabels, isPlainText } from '../labels.ts';
import { compilePattern, matchPath } from '../patterns.ts';
import type { ContainerCgroup, Runtime, RuntimeSink, RuntimeStatus } from './runtime.ts';

/** From the configuration: the cgroups that a pattern matches are apps. `{handle}` stands for what `*` matched. */
export interface CgroupAppRule {
  /** As `compilePattern` takes it, e.g. `/my-apps/*`. */
  readonly pattern: string;
  /** Name of the app. Default `{handle}`. */
  readonly app?: string | undefined;
  readonly guid?: string | undefined;
  readonly space?: string | undefined;
  readonly org?: string | undefined;
  readonly processType?: string | undefined;
  readonly instance?: string | undefined;
  /** Absolute path of the app's log file, e.g. `/var/log/apps/{handle}.log`. */
  readonly logFile?: string | undefined;
  /** Where it stands in the configuration, for error messages. */
  readonly position?: SourcePosition | undefined;
}

interface CompiledRule extends ScopePattern {
  readonly rule: CgroupAppRule;
}

/** A pattern of each rule. Throws UserError for a rule that cannot work. */
export function compileRules(rules: readonly CgroupAppRule[]): readonly CompiledRule[] {
  return rules.map((rule) => {
    checkRule(rule);
    return { ...compilePattern(rule.pattern, rule.position), rule };
  });
}

/** A handle that may become part of a file name: no hidden file, no path traversal. */
const FILE_NAME_HANDLE = /^[A-Za-z0-9_][A-Za-z0-9_.@:-]{0,127}$/;

/**
 * The runtime for hosts without a container engine: a cgroup's path alone says which app it is. Whoever may
 * make cgroups at the pattern's place names apps there; an app's own nested cgroups never do.
 * The constructor throws UserError for a rule that cannot work.
 */
export class CgroupRuntime implements Runtime {
  readonly name = 'cgroup';
  readonly #rules: readonly CompiledRule[];
  #sink: RuntimeSink | undefined;

  constructor(rules: readonly CgroupAppRule[]) {
    this.#rules = compileRules(rules);
  }

  /** The path: two patterns may match the same handle. */
  keyOf(cgroup: ContainerCgroup): string {
    return cgroup.path;
  }

  start(sink: RuntimeSink): Promise<void> {
    this.#sink = sink;
    return Promise.resolve();
  }

  lookup(cgroup: ContainerCgroup): void {
    const rule = matchPath(this.#rules, cgroup.path)?.pattern.rule;
    const key = this.keyOf(cgroup);
    if (rule === undefined) {
      this.#sink?.notFound(this.name, key);
      return;
    }
    const { handle } = cgroup;
    if (!isPlainText(handle)) {
      const reason = 'Its cgroup’s name is longer than 256 characters or has control characters.';
      this.#sink?.refused(this.name, key, reason);
      return;
    }
    if (rule.logFile?.includes('{handle}') === true && !FILE_NAME_HANDLE.test(handle)) {
      const reason =
        'Its cgroup’s name has characters that must not be part of a log file’s name (allowed: letters, digits, "_.@:-").';
      this.#sink?.refused(this.name, key, reason);
      return;
    }
    this.#sink?.described(this.name, key, containerOf(rule, handle));
  }

  reconcile(): Promise<void> {
    return Promise.resolve();
  }

  status(): RuntimeStatus {
    const count = this.#rules.length;
    const message = `Cgroup paths name apps by ${count} ${count === 1 ? 'pattern' : 'patterns'}.`;
    return { name: this.name, connected: true, message };
  }

  stop(): Promise<void> {
    this.#sink = undefined;
    return Promise.resolve();
  }
}

function checkRule(rule: CgroupAppRule): void {
  const options = rule.position === undefined ? {} : { position: rule.position };
  const { app, guid, space, org, processType, instance, logFile } = rule;
  for (const value of [app, guid, space, org, processType, instance]) {
    if (value !== undefined && !isPlainText(value)) {
      throw new UserError(
        `A name in the rule for the cgroup pattern "${rule.pattern}" is empty, longer than 256 characters, or has control characters.`,
        options,
      );
    }
  }
  if (logFile === undefined) return;
  if (!logFile.startsWith('/') || logFile.split('/').includes('..') || logFile.includes('\0')) {
    throw new UserError(
      `The log file of the cgroup pattern "${rule.pattern}" must be an absolute path without "..".`,
      options,
    );
  }
}

function containerOf(rule: CgroupAppRule, handle: string): Container {
  const fill = (template: string | undefined): string | undefined =>
    template?.replaceAll('{handle}', () => handle);
  const name = fill(rule.app) ?? handle;
  return {
    fullId: handle,
    id: handle.slice(0, 12),
    name: handle,
    runtime: 'cgroup',
    image: undefined,
    imageRepository: undefined,
    imageTag: undefined,
    imageId: undefined,
    imageDigest: undefined,
    details: undefined,
    labels: boundedLabels({}),
    privileged: undefined,
    tty: undefined,
    initPid: 0,
    startedAtMs: undefined,
    app: {
      name,
      guid: fill(rule.guid),
      space: fill(rule.space),
      org: fill(rule.org),
      processType: fill(rule.processType),
      instance: fill(rule.instance),
    },
    logFile: fill(rule.logFile),
  };
}
