import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Logger } from '../../shared/logger.ts';
import { gardenRoots } from '../scope-patterns.ts';
import { Connection } from './connection.ts';
import { isUsableHandle, parseBulkInfo, parseHandles, type GardenInfo } from './garden-answers.ts';
import { containerFromProperties } from './garden-identity.ts';
import { askGarden } from './garden-socket.ts';
import { Inquiries, MAX_BATCH, type InquiryCounters } from './inquiries.ts';
import { QuestionError } from './question-error.ts';
import { RuntimeWarnings } from './runtime-warnings.ts';
import type { ContainerCgroup, Runtime, RuntimeSink, RuntimeStatus } from './runtime.ts';

export interface GardenOptions {
  readonly socketPath: string;
  /** Cgroups in which Garden puts its containers, besides `/garden`. */
  readonly cgroupParents?: readonly string[] | undefined;
  /** Of one question. Default 10000: a busy cell answers after seconds. */
  readonly requestTimeoutMs?: number | undefined;
  /** How long to ask for a container whose cgroup exists but which Garden does not know, or has not completed. Default 30000. */
  readonly patienceMs?: number | undefined;
}

/** Counts since the start. */
export interface GardenCounters extends InquiryCounters {
  readonly connects: number;
}

/** Garden's answer about some containers. Answers may arrive in any order; the one to the latest request counts. */
interface BulkAnswer {
  readonly question: number;
  readonly answer: unknown;
}

/**
 * Cgroups beside a container's own, of sidecars that Diego's executor gives limits of their own: the handle, a dash, and the
 * process's name. Garden does not list them.
 */
const SIDECAR = /^(.+?)-((?:envoy-)?[a-z]+-healthcheck-\d+|envoy)$/;

/** Where Garden puts a container's own processes on cgroup v2, inside the container's cgroup. */
const OWN_CGROUP = 'init';

const MAX_LIST_BYTES = 4 * 1024 * 1024;
/** MAX_BATCH containers with some 16 KiB each: several times what Garden tells of one. */
const MAX_INFO_BYTES = 1024 * 1024;

/** Whether to use Garden: it is enabled, or `auto` finds the folder of its socket. */
export function isGardenWanted(enabled: boolean | 'auto', socketPath: string): boolean {
  return enabled === true || (enabled === 'auto' && existsSync(dirname(socketPath)));
}

/**
 * Identities from Garden, Cloud Foundry's container runtime. Garden sends no events: the agent looks up each new
 * cgroup's handle at once, and compares the list on every rescan. Garden sets a container's properties after it makes
 * the cgroup, so the agent asks until they are complete.
 */
export class GardenRuntime implements Runtime {
  readonly name = 'garden';
  readonly #options: GardenOptions;
  readonly #roots: readonly string[];
  readonly #timeoutMs: number;
  readonly #patienceMs: number;
  readonly #logger: Logger;
  readonly #warnings: RuntimeWarnings;
  readonly #inquiries: Inquiries<BulkAnswer>;
  /** Containers that were reported and not destroyed, with the number of the request reported last. */
  readonly #told = new Map<string, number>();
  /** For each list request in flight: the handles that another container reused meanwhile. */
  readonly #lists = new Set<Set<string>>();
  readonly #connection: Connection;
  #sink: RuntimeSink | undefined;
  #elsewhere = false;
  /** Questions about containers so far. */
  #questions = 0;
  #listedBefore: ReadonlySet<string> = new Set();

  /** Throws UserError for a cgroup parent that cannot be one. */
  constructor(options: GardenOptions, logger: Logger) {
    this.#options = options;
    this.#timeoutMs = options.requestTimeoutMs ?? 10_000;
    this.#patienceMs = options.patienceMs ?? 30_000;
    this.#logger = logger;
    this.#warnings = new RuntimeWarnings(logger, 'Garden', options.socketPath);
    this.#connection = new Connection({
      runtime: 'Garden',
      socket: options.socketPath,
      connect: () => this.#list(),
      explain: (error) => this.#sentenceOf(error),
      logger,
    });
    this.#roots = gardenRoots(options);
    this.#inquiries = new Inquiries({
      ask: (handles) => this.#bulkInfo(handles),
      onAnswer: (handle, answer, sinceMs) => this.#onAnswer(handle, answer, sinceMs),
      onFailure: (error) => this.#onFailure(error),
      isWanted: (handle) => this.#sink?.hasCgroup(this.name, handle) === true,
      nowMs: () => performance.now(),
    });
  }

  /** The handle: one container has several cgroups, at once (`good`, `bad`, sidecars') and over time. */
  keyOf({ handle }: ContainerCgroup): string {
    return SIDECAR.exec(handle)?.[1] ?? handle;
  }

  sidecarOf({ handle }: ContainerCgroup): string | undefined {
    return SIDECAR.exec(handle)?.[2];
  }

  /**
   * For sidecars without limits of their own, such as Envoy. The cgroup's name is handle and process, or the starter's
   * choice.
   */
  nestedSidecarOf(handle: string, path: string): string | undefined {
    const at = path.indexOf(`/${handle}/`);
    if (at < 0) return undefined;
    const [leaf = ''] = path.slice(at + handle.length + 2).split('/', 1);
    const name = leaf.startsWith(`${handle}-`) ? leaf.slice(handle.length + 1) : leaf;
    // Health checks have cgroups beside the app's. A nested cgroup may imitate the name, and rules may trust it.
    return name === '' || name === OWN_CGROUP || name.includes('-healthcheck') ? undefined : name;
  }

  start(sink: RuntimeSink): Promise<void> {
    this.#sink = sink;
    return this.#connection.start();
  }

  renew(key: string): void {
    for (const renewed of this.#lists) renewed.add(key);
    this.#told.delete(key);
    this.#inquiries.renew(key);
  }

  lookup(cgroup: ContainerCgroup): void {
    const handle = this.keyOf(cgroup);
    if (isUsableHandle(handle)) this.#inquiries.ask(handle);
    else
      this.#sink?.refused(
        this.name,
        handle,
        'Its cgroup’s name cannot be a handle of Garden (allowed: letters, digits and "_.:@-").',
      );
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
    const message = [
      this.#connection.message,
      ...(failures > 0 ? [`${failures} of ${questions} questions had no usable answer.`] : []),
      ...(refused > 0 ? [`${refused} times too many containers waited to be asked for.`] : []),
    ].join(' ');
    return { name: this.name, connected: this.#connection.connected, message, counters };
  }

  counters(): GardenCounters {
    return { connects: this.#connection.connects, ...this.#inquiries.counters() };
  }

  async stop(): Promise<void> {
    this.#sink = undefined;
    await Promise.all([this.#connection.stop(), this.#inquiries.stop()]);
  }

  /** Lists all containers and reports each to the sink; those that are gone as destroyed. */
  async #list(): Promise<void> {
    const before = new Set(this.#told.keys());
    const renewed = new Set<string>();
    this.#lists.add(renewed);
    try {
      const handles = parseHandles(await this.#ask('/containers', MAX_LIST_BYTES));
      if (handles === undefined) throw new QuestionError('answer', 'a list that is none');
      const describe = (handle: string, info: GardenInfo, question: number): void => {
        if (!renewed.has(handle) && info.state === 'known')
          this.#describe(handle, info.properties, question);
      };
      await this.#inBatches(handles, describe, (batch) => {
        for (const handle of batch) this.#inquiries.ask(handle);
      });
      const listed = new Set(handles);
      // The list has complete containers only; lookups may have reported others before.
      const unlisted = [...before].filter((handle) => !listed.has(handle));
      const leave = (handle: string, { state }: GardenInfo): void => {
        if (renewed.has(handle) || state !== 'unknown') return;
        this.#told.delete(handle);
        this.#sink?.destroyed(this.name, handle);
      };
      // Inquiries are about containers with a cgroup, which these may not have any more.
      await this.#inBatches(unlisted, leave, (batch) =>
        this.#inBatches(batch, leave, () => undefined, 1),
      );
      this.#warnings.forgetOthers(listed);
      if (this.#connection.connected) this.#lookWhere(handles);
    } finally {
      this.#lists.delete(renewed);
    }
  }

  /** Requests the handles in batches and passes each entry on. One handle may fail its batch: see `onSpoilt`. */
  async #inBatches(
    handles: readonly string[],
    onInfo: (handle: string, info: GardenInfo, question: number) => void,
    onSpoilt: (batch: readonly string[]) => Promise<void> | void,
    size = MAX_BATCH,
  ): Promise<void> {
    for (let at = 0; at < handles.length; at += size) {
      const batch = handles.slice(at, at + size);
      const bulk = await this.#bulkInfo(batch).catch((error: unknown) => {
        if (!(error instanceof QuestionError) || error.kind !== 'answer') throw error;
        this.#warnings.failed(error.message);
        return undefined;
      });
      if (bulk === undefined) {
        await onSpoilt(batch);
        continue;
      }
      for (const handle of batch) {
        const info = parseBulkInfo(bulk.answer, handle);
        if (info !== undefined) onInfo(handle, info, bulk.question);
      }
    }
  }

  /**
   * Warns when no container has a cgroup below a pattern: Garden's root is then elsewhere. A container in one list only
   * may be gone by now, or its cgroup not seen yet.
   */
  #lookWhere(handles: readonly string[]): void {
    const sink = this.#sink;
    const lasting = handles.filter((handle) => this.#listedBefore.has(handle));
    this.#listedBefore = new Set(handles);
    const elsewhere =
      sink !== undefined &&
      lasting.length > 0 &&
      !handles.some((handle) => sink.hasCgroup(this.name, handle));
    const connected = this.#connection.description;
    const message = elsewhere
      ? `${connected}, but none of its ${handles.length} containers is below ${this.#roots.join(' or ')}, so none is watched: set runtimes.garden.cgroup_parents to the cgroup that they are in (/proc/PID/cgroup of a process in one tells it) and restart the agent.`
      : `${connected}.`;
    if (elsewhere && !this.#elsewhere) this.#logger.warn({}, message);
    this.#elsewhere = elsewhere;
    this.#connection.message = message;
  }

  /** True when the container is described, by this answer or an earlier one to a later request. */
  #describe(
    handle: string,
    properties: Readonly<Record<string, unknown>>,
    question: number,
    late = false,
  ): boolean {
    if (question < (this.#told.get(handle) ?? 0)) return true;
    const { container, unfinished, isOfApp } = containerFromProperties(handle, properties);
    if (unfinished && !late) return false;
    if (container.doubt === undefined || !isOfApp) this.#warnings.certain(handle);
    else this.#warnings.doubtful(handle, container.doubt);
    this.#told.set(handle, question);
    this.#sink?.described(this.name, handle, container);
    this.#inquiries.settle(handle);
    return true;
  }

  /** True when this answers the question. */
  #onAnswer(handle: string, { answer, question }: BulkAnswer, sinceMs: number): boolean {
    const info = parseBulkInfo(answer, handle);
    const late = performance.now() - sinceMs >= this.#patienceMs;
    if (info?.state === 'known') return this.#describe(handle, info.properties, question, late);
    if (info?.state === 'unknown') {
      if (late) this.#sink?.notFound(this.name, handle);
      return late;
    }
    this.#warnings.failed('an answer without one of the containers that it was asked for');
    return false;
  }

  async #bulkInfo(handles: readonly string[]): Promise<BulkAnswer> {
    const question = ++this.#questions;
    const path = `/containers/bulk_info?handles=${encodeURIComponent(handles.join(','))}`;
    return { question, answer: await this.#ask(path) };
  }

  #ask(path: string, maxBytes = MAX_INFO_BYTES): Promise<unknown> {
    const { socketPath } = this.#options;
    const { signal } = this.#connection;
    return askGarden({ socketPath, path, timeoutMs: this.#timeoutMs, maxBytes, signal });
  }

  /** True when the request itself may be the cause. */
  #onFailure(error: unknown): boolean {
    if (this.#isStopped()) return false;
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

  #isStopped(): boolean {
    return this.#connection.signal.aborted;
  }

  #sentenceOf(error: unknown): string {
    const { code, message } = error as Partial<NodeJS.ErrnoException>;
    const path = this.#options.socketPath;
    const tail = 'Garden’s containers cannot be identified until then; trying again.';
    switch (code) {
      case 'ENOENT':
        return `There is no Garden socket at ${path}: start Garden, or set runtimes.garden.socket to its path. ${tail}`;
      case 'ECONNREFUSED':
        return `Nothing listens on the Garden socket ${path}: start Garden. ${tail}`;
      case 'EACCES':
        return `The agent is not permitted to open the Garden socket ${path}: run it as root. ${tail}`;
      default:
        return `Garden at ${path} does not answer (${message ?? 'unknown reason'}). ${tail}`;
    }
  }
}
