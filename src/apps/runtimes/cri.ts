import PQueue from 'p-queue';
import type { Logger } from '../../shared/logger.ts';
import type { Container } from '../identity.ts';
import {
  CONTAINER_STATE,
  type CriContainer,
  type CriMethods,
  type CriPod,
  type CriVersion,
} from './cri-api.ts';
import type { CriClient } from './cri-client.ts';
import { containerFromCri, isKorifiApp, type CriFound } from './cri-identity.ts';
import { Connection } from './connection.ts';
import { Inquiries, type InquiryCounters } from './inquiries.ts';
import { QuestionError } from './question-error.ts';
import type { ContainerCgroup, Runtime, RuntimeSink, RuntimeStatus } from './runtime.ts';
import { RuntimeWarnings } from './runtime-warnings.ts';

export interface CriOptions {
  readonly socketPath: string;
  /** Which containers may be watched: those of all pods, or Korifi's apps alone. Default `all`. */
  readonly apps?: 'all' | 'korifi' | undefined;
  /** The kubelet's cgroups besides `/kubepods` and `/kubepods.slice`, as `criPatterns` takes them. */
  readonly cgroupParents?: readonly string[] | undefined;
  /** Of one question. Default 10000: a busy node answers after seconds. */
  readonly requestTimeoutMs?: number | undefined;
  /** How long a new container waits for the details that rules use. Default 4000. */
  readonly detailsWaitMs?: number | undefined;
  /** How long to ask for a container whose cgroup exists but which the runtime does not know. Default 30000. */
  readonly patienceMs?: number | undefined;
}

/** Counts since the start. */
export interface CriCounters extends InquiryCounters {
  readonly connects: number;
}

/** Containers and sandboxes that one list may have; a kubelet's own bound is 110 pods a node by default. */
const MAX_LISTED = 16384;
const CONTAINER_ID = /^[0-9a-f]{64}$/;
/** Statuses that are asked for at a time. */
const CONCURRENCY = 8;
/** Limit on the wait for details that only a status has. */
const DETAILS_WAIT_MS = 4000;
const SANDBOX = 'It is the sandbox of a pod, in which nothing of an app runs.';
const NOT_KORIFI = 'It is no app of Korifi’s, and runtimes.cri.apps is "korifi".';
const NAMES = { status: undefined, info: undefined, podStatus: undefined } as const;

/** An answer for one container: what it is, or that it is a pod's sandbox; undefined when the runtime knows neither. */
type Answer = CriFound | 'sandbox' | undefined;

/**
 * Identities from a Kubernetes runtime (containerd, CRI-O), by the interface that the kubelet uses. Looks up the container of each new
 * cgroup at once: the runtime knows it before it makes the cgroup. Compares the list on every rescan. Does not use the event stream:
 * containerd 1.7 hands each event to one listener, so the kubelet would miss those that the agent gets.
 */
export class CriRuntime implements Runtime {
  readonly name = 'cri';
  readonly #options: CriOptions;
  readonly #timeoutMs: number;
  readonly #patienceMs: number;
  readonly #warnings: RuntimeWarnings;
  readonly #inquiries: Inquiries<ReadonlyMap<string, Answer>>;
  readonly #connection: Connection;
  /** Containers and sandboxes that were reported and not destroyed. */
  readonly #told = new Set<string>();
  /** Of these, containers whose details are complete. */
  readonly #complete = new Set<string>();
  readonly #statuses = new PQueue({ concurrency: CONCURRENCY });
  #waitsForDetails = false;
  #client: CriClient | undefined;
  #version = '';
  #sink: RuntimeSink | undefined;

  /** Throws UserError for a cgroup parent that cannot be one. */
  constructor(options: CriOptions, logger: Logger) {
    this.#options = options;
    this.#timeoutMs = options.requestTimeoutMs ?? 10_000;
    this.#patienceMs = options.patienceMs ?? 30_000;
    this.#warnings = new RuntimeWarnings(logger, 'Kubernetes’ runtime', options.socketPath);
    this.#connection = new Connection({
      runtime: 'Kubernetes’ runtime',
      socket: options.socketPath,
      connect: () => this.#connect(),
      explain: (error) => this.#sentenceOf(error),
      logger,
    });
    this.#inquiries = new Inquiries({
      ask: (ids) => this.#look(ids),
      onAnswer: (id, answer, sinceMs) => this.#onAnswer(id, answer.get(id), sinceMs),
      onFailure: (error) => this.#onFailure(error),
      isWanted: (id) => this.#sink?.hasCgroup(this.name, id) === true,
      nowMs: () => performance.now(),
    });
  }

  /** Whether to report a new container only with its privileges and mounts, because rules use them. */
  waitForDetails(wanted: boolean): void {
    this.#waitsForDetails = wanted;
  }

  keyOf(cgroup: ContainerCgroup): string {
    return cgroup.handle;
  }

  start(sink: RuntimeSink): Promise<void> {
    this.#sink = sink;
    return this.#connection.start();
  }

  lookup(cgroup: ContainerCgroup): void {
    this.#inquiries.ask(cgroup.handle);
  }

  async reconcile(): Promise<void> {
    if (!this.#connection.connected) return;
    try {
      await this.#list();
    } catch (error) {
      this.#onFailure(error);
    }
  }

  status(): RuntimeStatus {
    const counters = this.counters();
    const { questions, failures, refused } = counters;
    const { connected } = this.#connection;
    const message = [
      this.#connection.message,
      ...(connected ? [`It is ${this.#version}.`] : []),
      ...(failures > 0 ? [`${failures} of ${questions} questions had no usable answer.`] : []),
      ...(refused > 0 ? [`${refused} times too many containers waited to be asked for.`] : []),
    ].join(' ');
    return { name: this.name, connected, message, counters };
  }

  counters(): CriCounters {
    return { connects: this.#connection.connects, ...this.#inquiries.counters() };
  }

  async stop(): Promise<void> {
    this.#sink = undefined;
    this.#client?.close();
    await Promise.all([this.#connection.stop(), this.#inquiries.stop()]);
    this.#client?.close();
  }

  async #connect(): Promise<void> {
    // gRPC is for hosts that need it: it takes a tenth of a second and several MB.
    const { CriClient } = await import('./cri-client.ts');
    // A new client tries at once; an old one waits longer after each failure.
    this.#client?.close();
    this.#client = new CriClient(this.#options.socketPath, this.#timeoutMs);
    this.#version = describeVersion(await this.#client.ask('Version', {}));
    await this.#list();
  }

  #ask<Name extends keyof CriMethods>(
    name: Name,
    request: CriMethods[Name][0],
    timeoutMs?: number,
  ): Promise<CriMethods[Name][1] | undefined> {
    return this.#client === undefined
      ? Promise.reject(new QuestionError('unreachable', 'not connected'))
      : this.#client.ask(name, request, timeoutMs);
  }

  /** Reports each container to the sink; those that are no longer listed as destroyed. */
  async #list(): Promise<void> {
    const before = new Set(this.#told);
    // In this order: each container's pod is older than itself.
    const containers = await this.#containers();
    const pods = await this.#pods();
    for (const container of containers.values()) {
      const { id, state } = container;
      const pod = pods.get(container.podSandboxId);
      if (!this.#told.has(id) && pod !== undefined) this.#describe({ ...NAMES, container, pod });
      if (state === CONTAINER_STATE.running && !this.#complete.has(id)) this.#inquiries.ask(id);
    }
    for (const id of pods.keys()) this.#tellSandbox(id);
    for (const id of before) {
      if (containers.has(id) || pods.has(id)) continue;
      this.#told.delete(id);
      this.#complete.delete(id);
      this.#sink?.destroyed(this.name, id);
    }
    this.#warnings.forgetOthers(new Set(containers.keys()));
  }

  /** What the runtime knows about these ids. For several at once it requests the whole lists, once each. */
  async #look(ids: readonly string[]): Promise<ReadonlyMap<string, Answer>> {
    const [only] = ids.length === 1 ? ids : [];
    const containers = await this.#containers(only);
    const found = ids.flatMap((id) => containers.get(id) ?? []);
    const ofOne = found.length === 1 ? found[0]?.podSandboxId : only;
    const pods = await this.#pods(ids.length === 1 ? ofOne : undefined);
    const answers = new Map<string, Answer>(
      ids.filter((id) => pods.has(id)).map((id) => [id, 'sandbox']),
    );
    await this.#statuses.addAll(
      found.map((container) => async () => {
        answers.set(container.id, await this.#lookCloser(container, pods));
      }),
    );
    return answers;
  }

  /** Reports the names at once, unless rules use details that only the status has. Resolves even if the status request fails. */
  async #lookCloser(container: CriContainer, pods: ReadonlyMap<string, CriPod>): Promise<CriFound> {
    const { id, podSandboxId } = container;
    const pod = pods.get(podSandboxId);
    const names = { ...NAMES, container, pod };
    // Its sandbox may have been asked for before the runtime listed it.
    if (pod !== undefined) this.#tellSandbox(pod.id);
    if (!this.#waitsForDetails && !this.#told.has(id) && pod !== undefined) this.#describe(names);
    // Its events wait for the first answer, and for no later one.
    const waits = this.#waitsForDetails && !this.#told.has(id);
    const detailsWaitMs = waits ? (this.#options.detailsWaitMs ?? DETAILS_WAIT_MS) : Infinity;
    const timeoutMs = Math.min(this.#timeoutMs, detailsWaitMs);
    try {
      const [own, ofPod] = await Promise.all([
        this.#ask('ContainerStatus', { containerId: id, verbose: true }, timeoutMs),
        this.#ask('PodSandboxStatus', { podSandboxId }, timeoutMs),
      ]);
      if (own?.status?.id !== id) return names;
      const podStatus = ofPod?.status ?? undefined;
      return { container, pod, status: own.status, info: own.info['info'], podStatus };
    } catch (error) {
      this.#onFailure(error);
      return names;
    }
  }

  async #containers(id?: string): Promise<ReadonlyMap<string, CriContainer>> {
    const answer = await this.#ask('ListContainers', id === undefined ? {} : { filter: { id } });
    return byId(answer?.containers ?? []);
  }

  async #pods(id?: string): Promise<ReadonlyMap<string, CriPod>> {
    const answer = await this.#ask('ListPodSandbox', id === undefined ? {} : { filter: { id } });
    return byId(answer?.items ?? []);
  }

  /** True when this answers the question. */
  #onAnswer(id: string, answer: Answer, sinceMs: number): boolean {
    if (answer === 'sandbox') {
      this.#tellSandbox(id);
      return true;
    }
    const late = performance.now() - sinceMs >= this.#patienceMs;
    if (answer === undefined) {
      if (late) this.#sink?.notFound(this.name, id);
      return late;
    }
    if (answer.pod === undefined && !late) return false;
    const { initPid } = this.#describe(answer);
    const { status } = answer;
    // One that has not started yet has no first process: that is asked for again.
    if (status === undefined || status.state === CONTAINER_STATE.created) return false;
    this.#complete.add(id);
    if (initPid > 0) this.#sink?.running(this.name, id, initPid);
    return true;
  }

  #describe(found: CriFound): Container {
    const container = containerFromCri(found);
    const { fullId, doubt } = container;
    this.#told.add(fullId);
    if (this.#options.apps === 'korifi' && !isKorifiApp(container)) {
      this.#sink?.refused(this.name, fullId, NOT_KORIFI);
      return container;
    }
    if (doubt === undefined) this.#warnings.certain(fullId);
    else this.#warnings.doubtful(fullId, doubt);
    this.#sink?.described(this.name, fullId, container);
    return container;
  }

  #tellSandbox(id: string): void {
    if (this.#told.has(id)) return;
    this.#told.add(id);
    this.#sink?.refused(this.name, id, SANDBOX);
    this.#inquiries.settle(id);
  }

  /** True when the request itself may be the cause. */
  #onFailure(error: unknown): boolean {
    if (this.#connection.signal.aborted) return false;
    const failure =
      error instanceof QuestionError ? error : new QuestionError('answer', String(error));
    if (failure.kind === 'unreachable') {
      // The connection says why it does not come back.
      this.#connection.lost();
      return false;
    }
    this.#warnings.failed(failure.message);
    return failure.kind === 'answer';
  }

  #sentenceOf(error: unknown): string {
    return `${criProblem(this.#options.socketPath, error)} Kubernetes’ containers cannot be identified until then; trying again.`;
  }
}

/** `containerd 1.7.24`, as the runtime says it. */
export function describeVersion(version: CriVersion | undefined): string {
  return `${shown(version?.runtimeName)} ${shown(version?.runtimeVersion)}`;
}

/** A sentence: why a CRI server does not answer, and what to do. */
export function criProblem(socketPath: string, error: unknown): string {
  const { code, message } = error as Partial<QuestionError>;
  switch (code) {
    case 'ENOENT':
      return `There is no CRI socket at ${socketPath}: start containerd or CRI-O, or set runtimes.cri.socket to its path.`;
    case 'ECONNREFUSED':
      return `Nothing listens on the CRI socket ${socketPath}: start containerd or CRI-O.`;
    case 'EACCES':
    case 'EPERM':
      return `The agent is not permitted to open the CRI socket ${socketPath}: run it as root.`;
    case 'NO_CRI':
      return `What listens on ${socketPath} does not speak CRI v1: use containerd 1.6 or CRI-O 1.20 or newer, and take "cri" out of disabled_plugins in containerd’s configuration.`;
    default:
      return `Kubernetes’ runtime at ${socketPath} does not answer (${message ?? 'unknown reason'}).`;
  }
}

/** By id; what cannot be a container’s id is left out. */
function byId<Listed extends { readonly id: string }>(
  listed: readonly Listed[],
): ReadonlyMap<string, Listed> {
  const usable = listed.filter(({ id }) => CONTAINER_ID.test(id)).slice(0, MAX_LISTED);
  return new Map(usable.map((one) => [one.id, one]));
}

function shown(text = ''): string {
  return /^[\w.+~-]{1,64}$/.test(text) ? text : '(unknown)';
}
