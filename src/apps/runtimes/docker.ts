import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import type { Logger } from '../../shared/logger.ts';
import { RecentMap } from '../../shared/recent-map.ts';
import type { Container } from '../identity.ts';
import { ConnectionBackoff } from './connection-backoff.ts';
import {
  listContainers,
  MAX_ANSWER_BYTES,
  MAX_LISTED_BYTES,
  reasonOf,
  sentenceOf,
} from './docker-answers.ts';
import {
  containerFromCreate,
  containerFromId,
  containerFromInspect,
  containerFromList,
  mergeContainer,
  parseCutEvent,
  parseDockerEvent,
  renamedContainer,
  type DockerEvent,
} from './docker-container.ts';
import { followDockerEvents, MAX_EVENT_BYTES } from './docker-events.ts';
import { ImageDigests } from './docker-digests.ts';
import { DockerInspects } from './docker-inspects.ts';
import type { DockerCounters, DockerOptions } from './docker-options.ts';
import { RuntimeWarnings } from './runtime-warnings.ts';
import type { ContainerCgroup, Runtime, RuntimeSink, RuntimeStatus } from './runtime.ts';
import { dockerClient, type DockerClient } from './docker-client.ts';

const MAX_KNOWN = 16384;
/** The engine answers when the container has started, which takes a second and more on a busy host. */
const DETAILS_WAIT_MS = 4000;
const LIST_TIMEOUT_FACTOR = 5;
const SINCE_BEFORE_START_S = 10;

/**
 * Identities from a Docker engine. The `create` event, which comes before the cgroup exists, carries name and
 * labels, so a container is known however short it lives; inspect adds its first process and confirms. When the
 * engine goes away this reconnects with back-off, asks for the events since the last one it saw, and lists anew.
 */
export class DockerRuntime implements Runtime {
  readonly name = 'docker';
  readonly #socketPath: string;
  readonly #requestTimeoutMs: number;
  readonly #detailsWaitMs: number;
  readonly #docker: DockerClient;
  readonly #logger: Logger;
  readonly #inspects: DockerInspects;
  /** Containers of the engine, running or not; least recently told first. */
  readonly #known = new RecentMap<string, Container>(MAX_KNOWN);
  readonly #digests: ImageDigests;
  /** Containers known by their create event only and not reported, with the timer that ends the wait. */
  readonly #untold = new Map<string, NodeJS.Timeout>();
  readonly #stopped = new AbortController();
  readonly #counts = {
    connects: 0,
    events: 0,
    oversized: 0,
  };
  readonly #warnings: RuntimeWarnings;
  /** For each list request in flight: the containers that had an event meanwhile. */
  readonly #lists = new Set<Set<string>>();
  #sink: RuntimeSink | undefined;
  #waitsForDetails = false;
  /** The engine keeps its last events (256 here): those from just before the start are wanted too. */
  #since = String(Math.floor(Date.now() / 1000) - SINCE_BEFORE_START_S);
  #connected = false;
  #problem = 'Docker was not asked yet.';
  #loop: Promise<void> = Promise.resolve();

  /** Throws UserError for a cgroup parent that cannot be a pattern. */
  constructor(options: DockerOptions, logger: Logger) {
    this.#socketPath = options.socketPath ?? '/var/run/docker.sock';
    this.#requestTimeoutMs = options.requestTimeoutMs ?? 2000;
    this.#detailsWaitMs = options.detailsWaitMs ?? DETAILS_WAIT_MS;
    this.#logger = logger;
    this.#warnings = new RuntimeWarnings(logger, 'Docker', this.#socketPath);
    this.#docker = dockerClient(this.#socketPath);
    this.#digests = new ImageDigests(this.#docker);
    this.#inspects = new DockerInspects({
      docker: this.#docker,
      concurrency: options.inspectConcurrency ?? 8,
      timeout: () => this.#within(Math.max(this.#requestTimeoutMs, this.#detailsWaitMs)),
      stopped: this.#stopped.signal,
      onAnswer: (id, info) => this.#onInspected(id, info),
      onOversized: (id) => this.#onOversizedAnswer(id),
      onNotFound: (id) => this.#onNotFound(id),
    });
  }

  /**
   * Whether to report a new container only with its privileges and mounts, because rules use them. Otherwise its create
   * event is enough, which comes sooner.
   */
  waitForDetails(wanted: boolean): void {
    this.#waitsForDetails = wanted;
  }

  keyOf(cgroup: ContainerCgroup): string {
    return cgroup.handle;
  }

  async start(sink: RuntimeSink): Promise<void> {
    this.#sink = sink;
    await new Promise<void>((resolve) => {
      this.#loop = this.#run(resolve);
    });
  }

  lookup(cgroup: ContainerCgroup): void {
    if (this.#untold.has(cgroup.handle)) return;
    const known = this.#known.get(cgroup.handle);
    if (known !== undefined) {
      this.#sink?.described(this.name, cgroup.handle, known);
      return;
    }
    this.#inspects.ask(cgroup.handle);
  }

  async reconcile(): Promise<void> {
    if (!this.#connected) return;
    try {
      await this.#list();
    } catch (error) {
      this.#logger.warn(
        { socket: this.#socketPath, reason: reasonOf(error) },
        'Docker did not list its containers.',
      );
    }
  }

  status(): RuntimeStatus {
    const { connects, inspects, inspectFailures, inspectsRefused, oversized } = this.counters();
    return {
      name: this.name,
      connected: this.#connected,
      message: this.#problem,
      counters: {
        connects,
        questions: inspects,
        failures: inspectFailures,
        refused: inspectsRefused,
        oversized,
      },
    };
  }

  counters(): DockerCounters {
    return { ...this.#counts, ...this.#inspects.counters() };
  }

  async stop(): Promise<void> {
    this.#sink = undefined;
    this.#stopped.abort();
    for (const timer of this.#untold.values()) clearTimeout(timer);
    await this.#loop;
    await this.#inspects.stop();
  }

  /** Connects and follows the events, again and again until stopped. Calls `firstTry` when the first attempt is over. */
  async #run(firstTry: () => void): Promise<void> {
    const backoff = new ConnectionBackoff();
    while (!this.#isStopped()) {
      try {
        await this.#follow(() => {
          backoff.connected();
          firstTry();
        });
        this.#setProblem(
          `The Docker engine at ${this.#socketPath} ended the connection; trying again.`,
        );
      } catch (error) {
        if (!this.#isStopped()) this.#setProblem(sentenceOf(error, this.#socketPath));
      }
      firstTry();
      const waitMs = backoff.nextMs();
      await delay(waitMs, undefined, { signal: this.#stopped.signal }).catch(() => undefined);
    }
  }

  /** One connection: resolves when the engine ends it, rejects when it cannot be had or breaks. */
  async #follow(onReady: () => void): Promise<void> {
    const connection = new AbortController();
    const abort = (): void => connection.abort();
    this.#stopped.signal.addEventListener('abort', abort);
    // An engine that accepts and never answers must not hold this for good.
    const timer = setTimeout(abort, this.#requestTimeoutMs * LIST_TIMEOUT_FACTOR);
    try {
      const { ended } = await followDockerEvents(this.#docker, {
        since: this.#since,
        signal: connection.signal,
        onLine: (line) => this.#onLine(line),
        onCutLine: (head) => this.#onCutEvent(head),
      });
      // Events first, then the list: what happens in between is in one of them.
      await this.#list();
      clearTimeout(timer);
      this.#connected = true;
      this.#counts.connects++;
      this.#problem = `Connected to the Docker engine at ${this.#socketPath}.`;
      this.#logger.info({ socket: this.#socketPath }, 'Connected to the Docker engine.');
      onReady();
      await ended;
    } finally {
      clearTimeout(timer);
      this.#connected = false;
      this.#stopped.signal.removeEventListener('abort', abort);
      connection.abort();
    }
  }

  #onLine(line: string): void {
    const event = parseDockerEvent(line);
    if (event === undefined) return;
    this.#counts.events++;
    this.#since = event.since;
    this.#onEvent(event);
  }

  /** Only the head of the event is known: the agent requests the container instead. */
  #onCutEvent(head: string): void {
    const event = parseCutEvent(head);
    this.#noteOversized(event?.id ?? '?', MAX_EVENT_BYTES, 'it is asked for by its id instead.');
    if (event === undefined) return;
    this.#counts.events++;
    const { action, id } = event;
    // For the end of a container the id is enough.
    if (action === 'die' || action === 'destroy')
      this.#onEvent({ action, id, attributes: {}, since: this.#since, timeMs: 0 });
    else {
      for (const touched of this.#lists) touched.add(id);
      this.#inspects.ask(id);
    }
  }

  #noteOversized(id: string, maxBytes: number, then: string): void {
    this.#counts.oversized++;
    this.#warnings.oversized(id, maxBytes, then);
  }

  #onEvent(event: DockerEvent): void {
    for (const touched of this.#lists) touched.add(event.id);
    const known = this.#known.get(event.id);
    switch (event.action) {
      case 'create':
        // A container that was listed already: the event has nothing new.
        if (known !== undefined) break;
        if (this.#waitsForDetails) this.#tellWhenInspected(containerFromCreate(event));
        else this.#tell(containerFromCreate(event));
        break;
      case 'start':
        // Known from its create event or the list, unless both were lost: these attributes are as good.
        if (known === undefined) this.#tell(containerFromCreate(event));
        this.#inspects.ask(event.id);
        break;
      case 'rename': {
        const { name } = event.attributes;
        if (known && typeof name === 'string') this.#update(renamedContainer(known, name));
        break;
      }
      case 'die':
        // Events from some seconds before the agent are replayed: a container created then may have run twice since.
        if (known !== undefined) this.#update({ ...known, initPid: 0, ranBefore: true });
        break;
      case 'destroy':
        this.#tellAsKnown(event.id);
        this.#known.delete(event.id);
        this.#sink?.destroyed(this.name, event.id);
        break;
    }
  }

  /**
   * Reports a created container after an inspect: its event lacks privileges and mounts. The container's events wait
   * for that. The report comes when the wait is over, even if the inspect fails.
   */
  #tellWhenInspected(container: Container): void {
    const { fullId } = container;
    this.#known.set(container.fullId, container);
    const timer = setTimeout(() => this.#tellAsKnown(fullId), this.#detailsWaitMs).unref();
    this.#untold.set(fullId, timer);
    this.#inspects.ask(fullId);
  }

  /** Reports a container that still waits for its inspect. */
  #tellAsKnown(id: string): void {
    const known = this.#known.get(id);
    if (known !== undefined && this.#untold.has(id)) this.#tell(known);
  }

  /** Reports what else is known of a container, unless it still waits for its inspect: its privileges are not known yet. */
  #update(container: Container): void {
    if (this.#untold.has(container.fullId)) this.#known.set(container.fullId, container);
    else this.#tell(container);
  }

  #tell(container: Container): void {
    clearTimeout(this.#untold.get(container.fullId));
    this.#untold.delete(container.fullId);
    this.#known.set(container.fullId, container);
    this.#sink?.described(this.name, container.fullId, container);
  }

  async #list(): Promise<void> {
    const gone = new Set(this.#known.keys());
    const touched = new Set<string>();
    this.#lists.add(touched);
    try {
      for await (const one of listContainers(this.#docker, this.#timeout(LIST_TIMEOUT_FACTOR))) {
        const listed = 'info' in one ? containerFromList(one.info) : undefined;
        const id = 'info' in one ? listed?.fullId : one.oversizedId;
        if (id === undefined) continue;
        gone.delete(id);
        // The event is newer than the list, or at worst as old.
        if (touched.has(id)) continue;
        if ('info' in one && listed !== undefined) this.#onListed(listed, one.info.State);
        else this.#onOversizedListed(id);
      }
    } finally {
      this.#lists.delete(touched);
    }
    // Destroyed while we did not listen; what was created during the request is not among them.
    for (const id of gone) {
      this.#known.delete(id);
      this.#sink?.destroyed(this.name, id);
    }
  }

  #onListed(listed: Container, state: string): void {
    const known = this.#known.get(listed.fullId);
    this.#update(mergeContainer(known, listed));
    if (state !== 'running' && state !== 'paused') return;
    const lacksProcess = known === undefined || known.initPid === 0;
    if (lacksProcess || this.#sink?.hasCgroup(this.name, listed.fullId) === false) {
      this.#inspects.ask(listed.fullId);
    }
  }

  /** Neither its labels nor whether it runs is known from the list. */
  #onOversizedListed(id: string): void {
    this.#noteOversized(id, MAX_LISTED_BYTES, 'it is asked for by its id instead.');
    const known = this.#known.get(id);
    const isComplete = known !== undefined && known.initPid > 0;
    if (!isComplete || this.#sink?.hasCgroup(this.name, id) === false) this.#inspects.ask(id);
  }

  /** The engine forgets a container only after its end: what its create event said stays true. */
  #onNotFound(id: string): void {
    if (!this.#known.has(id)) this.#sink?.notFound(this.name, id);
    this.#tellAsKnown(id);
  }

  /** Its labels stay unknown, so whether it is watched depends on the mode. Logs a warning either way. */
  #onOversizedAnswer(id: string): void {
    this.#noteOversized(
      id,
      MAX_ANSWER_BYTES,
      'its name and labels stay unknown. Start it with fewer labels, or it is treated as one that has none.',
    );
    this.#tell(this.#known.get(id) ?? containerFromId(id));
  }

  #onInspected(id: string, info: Docker.ContainerInspectInfo): void {
    const container = containerFromInspect(info);
    if (container?.fullId !== id) return;
    const known = this.#known.get(id);
    if (container.imageDigest === undefined) void this.#findDigest(id, container);
    // A stopped container has no first process any more.
    this.#tell({ ...mergeContainer(known, container), initPid: container.initPid });
    if (container.initPid > 0) this.#sink?.running(this.name, id, container.initPid);
  }

  /** Gets the digest from the image, once for all its containers, and reports the container again. */
  async #findDigest(id: string, container: Container): Promise<void> {
    const imageDigest = await this.#digests.of(container, this.#timeout(1));
    const known = this.#known.get(id);
    if (imageDigest !== undefined && known !== undefined && !this.#isStopped())
      this.#tell({ ...known, imageDigest });
  }

  #timeout(factor: number): AbortSignal {
    return this.#within(this.#requestTimeoutMs * factor);
  }

  #within(timeoutMs: number): AbortSignal {
    return AbortSignal.any([AbortSignal.timeout(timeoutMs), this.#stopped.signal]);
  }

  #isStopped(): boolean {
    return this.#stopped.signal.aborted;
  }

  #setProblem(sentence: string): void {
    if (this.#problem !== sentence) this.#logger.warn({ socket: this.#socketPath }, sentence);
    this.#problem = sentence;
  }
}
