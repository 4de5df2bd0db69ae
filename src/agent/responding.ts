import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Apps } from '../apps/apps.ts';
import type { Container } from '../apps/identity.ts';
import type { RegistryEntry } from '../apps/resolution.ts';
import type { RuleSettings } from '../config/config.ts';
import { killProcess } from '../host/kill-process.ts';
import { ContainerCgroups } from '../responses/container-cgroups.ts';
import { ContainerEnds } from '../responses/container-ends.ts';
import { ContainerPauses } from '../responses/container-pauses.ts';
import { isLastInstance } from '../responses/last-instance.ts';
import { Lifts, type Lifted } from '../responses/lifts.ts';
import { NetworkIsolation } from '../responses/network-isolation.ts';
import { OperatorResponses, type RespondedRule } from '../responses/operator-responses.ts';
import { PauseMarks } from '../responses/pause-marks.ts';
import type { ResponseTarget } from '../responses/response.ts';
import { Responder, type DoneResponse, type Respondable } from '../responses/responder.ts';
import type { Detection } from '../rules/detection.ts';
import type { LoadedRule } from '../rules/rule-set.ts';
import type { Logger } from '../shared/logger.ts';
import type { ResponseName } from '../shared/response-names.ts';
import type { ReleaseStack } from '../shared/release-stack.ts';
import { DenialFallBack } from './denial-fall-back.ts';
import { Evidence } from './evidence.ts';
import { LIFTS_FILE, StoredLifts } from './stored-lifts.ts';

type RespondingSettings = Pick<RuleSettings, 'responses' | 'policies'>;

export interface RespondingOptions {
  readonly logger: Logger;
  readonly apps: Apps;
  readonly release: ReleaseStack;
  readonly nowMs: () => number;
  readonly settings: RespondingSettings;
  /** What is to be found again after a crash is kept there. */
  readonly stateDir: string;
  /** Of the configuration; undefined: there is none. The file `lift` is beside it, or where it would be. */
  readonly configFile: string | undefined;
  readonly say: (line: Detection) => void;
  /** Other rules than before are to deny programs. */
  readonly onDenialsChanged: () => void;
}

/** Everything that is done about detections besides reporting them, and what takes it back. */
export class Responding {
  readonly isolation: NetworkIsolation;
  readonly pauses: ContainerPauses;
  readonly responder: Responder;
  readonly lifts: Lifts;
  readonly fallBack: DenialFallBack;
  readonly evidence: Evidence;
  readonly #ends: ContainerEnds;
  readonly #liftFile: string;
  #settings: RespondingSettings;
  readonly #stored: StoredLifts;
  readonly #options: RespondingOptions;

  constructor(options: RespondingOptions) {
    this.#options = options;
    const { logger, apps, release, nowMs, settings, say } = options;
    this.#settings = settings;
    const cgroups = new ContainerCgroups(apps);
    this.isolation = new NetworkIsolation({ cgroups, logger });
    release.defer(() => this.isolation.close());
    const marks = new PauseMarks(options.stateDir);
    this.pauses = new ContainerPauses({ cgroups, marks, logger, nowMs });
    release.defer(() => this.pauses.close());
    apps.registry.listen({ onKnown: () => this.#follow() });
    const ends = new ContainerEnds({ cgroups, logger, nowMs });
    release.defer(() => ends.close());
    this.#ends = ends;
    this.#liftFile = join(dirname(options.configFile ?? DEFAULT_CONFIG_FILE), 'lift');
    this.lifts = new Lifts(nowMs);
    this.#stored = new StoredLifts(options.stateDir);
    this.#takeOn();
    this.#lookForFile();
    this.evidence = new Evidence({ nowMs, say });
    this.responder = new Responder({
      host: {
        killProcess,
        isIsolated: (target) => this.isolation.isIsolated(target),
        isolate: (target) => this.isolation.isolate(target),
        isPaused: (target) => this.pauses.isPaused(target),
        pause: (target) => this.pauses.pause(target),
        isEnding: (target) => ends.isEnding(target),
        isLast: (target) =>
          isLastInstance(target, apps.registry, (cgroupId) => this.#isOut({ cgroupId })),
        endContainer: (target) => ends.end(target),
      },
      operators: new OperatorResponses(settings.responses, this.lifts),
      nowMs,
      beforeApplied: (detection) => this.evidence.before(detection),
    });
    this.fallBack = new DenialFallBack({
      logger,
      nowMs,
      operators: () => this.responder.operators,
      isEnding: (cgroupId) => ends.isEnding({ cgroupId }),
      onChanged: () => options.onDenialsChanged(),
      say,
    });
    this.#prepare();
  }

  /** Whether the container serves nobody, or soon will not. */
  #isOut(of: Pick<ResponseTarget, 'cgroupId'>): boolean {
    return this.isolation.isIsolated(of) || this.pauses.isPaused(of) || this.#ends.isEnding(of);
  }

  respond(detection: Respondable): readonly DoneResponse[] {
    const done = this.responder.respond(detection);
    this.evidence.after(detection, done);
    return this.fallBack.noted(detection, done);
  }

  /** Those of the operator's rules by which programs are to be denied in the container, and those by which its app asks for that. */
  deniedAmong(
    rules: readonly LoadedRule[],
    { app }: Container,
    asking: readonly LoadedRule[],
  ): readonly LoadedRule[] {
    const { operators } = this.responder;
    const denied = operators.deniedAmong(rules, app);
    if (asking.length === 0 || operators.endedIn(app) !== undefined) return denied;
    const asked = asking.filter((rule) => !operators.isLifted(rule, app));
    return [...new Set([...denied, ...asked])];
  }

  /** Those of the operator's rules by which programs are to be denied where it is not known yet whose the container is. */
  deniedBeforeIdentity(rules: readonly LoadedRule[]): readonly LoadedRule[] {
    return this.#settings.policies.beforeIdentity === 'enforce'
      ? this.responder.operators.deniedInAny(rules)
      : [];
  }

  /** These are in force from now on. */
  setSettings(settings: RespondingSettings): void {
    this.#settings = settings;
    this.responder.setOperators(new OperatorResponses(settings.responses, this.lifts));
    this.#review();
    this.#prepare();
  }

  /** Call every second, with the cgroups of all containers. */
  onTick(entries: readonly RegistryEntry[]): void {
    this.#follow();
    this.fallBack.onTick(entries);
    const hasExpired = this.lifts.expire();
    if (hasExpired) this.#options.logger.warn({}, 'a lift of responses has expired');
    if (this.#lookForFile() || hasExpired) this.#onLiftsChanged();
  }

  /** Lifts responses at once; false if there are too many lifts. */
  lift(lifted: Lifted, leftMs: number | undefined): boolean {
    const isAdded = this.lifts.add(lifted, leftMs);
    if (!isAdded) return false;
    this.#options.logger.warn(
      { ...lifted, leftMs },
      'responses are lifted: they are not enforced until the lift ends',
    );
    this.#onLiftsChanged();
    return true;
  }

  /** Ends the lift of the same, or all if neither an app nor a rule is named; how many it was. */
  endLifts(lifted: Lifted): number {
    const ended = this.lifts.end(lifted);
    this.#try(() => this.#stored.end(lifted));
    if (ended === 0) return 0;
    this.#options.logger.warn({ ...lifted, ended }, 'lifts were ended');
    this.#onLiftsChanged();
    return ended;
  }

  /** What was lifted for a time when no agent was running stays lifted until its end. */
  #takeOn(): void {
    this.#try(() => {
      for (const { leftMs, ...lifted } of this.#stored.all())
        if (this.lifts.add(lifted, leftMs))
          this.#options.logger.warn(
            { ...lifted, leftMs },
            'responses stay lifted, as was asked for when no agent was running',
          );
    });
  }

  #try(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#options.logger.error(
        { error, file: LIFTS_FILE },
        'the lifts that were asked for without an agent cannot be read or changed in state_dir: repeat them',
      );
    }
  }

  /** The file `lift` beside the configuration lifts everything; whether it came or went. */
  #lookForFile(): boolean {
    const isThere = existsSync(this.#liftFile);
    if (!this.lifts.setFile(isThere)) return false;
    const file = this.#liftFile;
    this.#options.logger.warn(
      { file },
      isThere ? 'all responses are lifted by a file' : 'the file that lifted all responses is gone',
    );
    return true;
  }

  #onLiftsChanged(): void {
    this.responder.operators.forget();
    this.#review();
    this.#options.onDenialsChanged();
  }

  /** Takes back what is not enforced any more. */
  #review(): void {
    const { operators } = this.responder;
    const isEnforced = (name: ResponseName, rule: RespondedRule, app: Container['app']): boolean =>
      operators.of(rule, app).some(({ response, mode }) => response === name && mode === 'enforce');
    this.isolation.review((rule, app) => isEnforced('isolate', rule, app));
    this.pauses.review((rule, app) => isEnforced('pause', rule, app));
    this.#ends.review(
      ({ rule, container }) => rule !== undefined && isEnforced('restart', rule, container.app),
    );
  }

  #follow(): void {
    this.isolation.follow();
    this.pauses.follow();
  }

  #prepare(): void {
    if (this.responder.operators.wants('isolate')) this.isolation.prepare();
  }
}

const DEFAULT_CONFIG_FILE = '/etc/varvel/varvel.yaml';
