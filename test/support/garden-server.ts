import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

/** A container as Garden has it. */
export interface GardenContainer {
  readonly properties: Record<string, string>;
}

/** What a Garden that does not behave answers, instead of what it knows. */
export type Misbehaviour =
  | 'no JSON'
  | 'huge'
  | 'wrong types'
  | 'other handles'
  | 'status 500'
  | 'hangs up'
  | 'never answers';

/** What the properties of an app's container are made of; Diego's names. */
export interface AppProperties {
  readonly guid: string;
  readonly index?: number;
  readonly workload?: 'app' | 'task' | 'staging';
  readonly spaceGuid?: string;
  readonly orgGuid?: string;
  readonly sourceName?: string;
  readonly tags?: Readonly<Record<string, string>>;
}

/** The properties that Diego's executor gives a container of this app. */
export function propertiesOf(app: AppProperties): Record<string, string> {
  const spaceGuid = app.spaceGuid ?? 'space-guid';
  const orgGuid = app.orgGuid ?? 'org-guid';
  const workload = app.workload ?? 'app';
  return {
    'executor:owner': 'executor',
    log_config: JSON.stringify({
      guid: app.guid,
      index: app.index ?? 0,
      source_name: app.sourceName ?? 'APP/PROC/WEB',
      tags: {
        app_id: app.guid,
        app_name: `name-of-${app.guid}`,
        space_id: spaceGuid,
        space_name: 'dev',
        organization_id: orgGuid,
        organization_name: 'acme',
        ...(workload === 'app' ? { process_type: 'web', process_id: app.guid } : {}),
        ...app.tags,
      },
    }),
    'network.app_id': app.guid,
    'network.space_id': spaceGuid,
    'network.org_id': orgGuid,
    'network.policy_group_id': app.guid,
    'network.ports': '8080',
    'network.container_workload': workload,
  };
}

/**
 * Garden's API as far as the agent asks for it, over a unix socket, made from its documentation: a container is in the
 * list when it is completely made (`garden.state`), bulk_info answers for any handle, with an error for one that it does
 * not know. The knobs are for tests. Dispose it: the socket is closed and removed.
 */
export class GardenServer {
  readonly socketPath: string;
  readonly containers = new Map<string, GardenContainer>();
  /** Before each answer. */
  delayMs = 0;
  misbehaviour: Misbehaviour | undefined;
  /** Handles of completely made containers that were told to whoever asked, since they were made. */
  readonly told = new Set<string>();
  /** Handles whose being asked for spoils the whole answer. */
  readonly spoilers = new Set<string>();
  /** Questions so far, as `/containers` or the handles of a bulk_info. */
  readonly questions: (readonly string[] | '/containers')[] = [];
  #server: Server | undefined;

  constructor(socketPath: string) {
    this.socketPath = socketPath;
  }

  async start(): Promise<void> {
    const server = createServer((request, response) => {
      void this.#answer(request.url ?? '', response);
    });
    server.listen(this.socketPath);
    await once(server, 'listening');
    this.#server = server;
  }

  /** What a restart looks like from outside: nobody listens, and what is under way breaks. */
  async stop(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
    rmSync(this.socketPath, { force: true });
  }

  /** A container that is completely made. */
  create(handle: string, properties: Readonly<Record<string, string>>): void {
    this.containers.set(handle, { properties: { ...properties, 'garden.state': 'created' } });
  }

  /** A container that is being made: it is there, its properties are set later. */
  begin(handle: string): void {
    this.told.delete(handle);
    this.containers.set(handle, { properties: {} });
  }

  set(handle: string, name: string, value: string): void {
    const container = this.containers.get(handle);
    if (container === undefined) throw new Error(`no container ${handle}`);
    container.properties[name] = value;
  }

  destroy(handle: string): void {
    this.containers.delete(handle);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #answer(url: string, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(url, 'http://garden');
    const handles = (searchParams.get('handles') ?? '').split(',');
    const isBulk = pathname === '/containers/bulk_info';
    this.questions.push(isBulk ? handles : '/containers');
    // What it knows now; the answer comes when it comes.
    const body = isBulk ? this.#bulkInfo(handles) : this.#list();
    const spoilt = isBulk && handles.some((handle) => this.spoilers.has(handle));
    const misbehaviour = this.misbehaviour ?? (spoilt ? 'huge' : undefined);
    if (this.delayMs > 0) await delay(this.delayMs);
    if (misbehaviour !== undefined) misbehave(misbehaviour, response, isBulk);
    else if (pathname === '/ping') answer(response, {});
    else {
      answer(response, body);
      for (const handle of isBulk ? handles : []) {
        if (this.containers.get(handle)?.properties['garden.state'] === 'created')
          this.told.add(handle);
      }
    }
  }

  #list(): unknown {
    const created = [...this.containers].filter(
      ([, { properties }]) => properties['garden.state'] === 'created',
    );
    return { Handles: created.map(([handle]) => handle) };
  }

  #bulkInfo(handles: readonly string[]): unknown {
    const entries = handles.map((handle): [string, unknown] => {
      const container = this.containers.get(handle);
      const Info = {
        State: container === undefined ? '' : 'active',
        Events: null,
        HostIP: container === undefined ? '' : '169.254.0.1',
        ContainerIP: container === undefined ? '' : '10.255.0.2',
        ExternalIP: '',
        ContainerPath: container === undefined ? '' : `/var/vcap/data/garden/depot/${handle}`,
        ProcessIDs: null,
        Properties: container === undefined ? null : { ...container.properties },
        MappedPorts: null,
      };
      const Err =
        container === undefined
          ? { Type: '', Message: `unknown handle: ${handle}`, Handle: '', ProcessID: '' }
          : null;
      return [handle, { Info, Err }];
    });
    return Object.fromEntries(entries);
  }
}

function answer(response: ServerResponse, body: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

function misbehave(how: Misbehaviour, response: ServerResponse, isBulk: boolean): void {
  switch (how) {
    case 'no JSON':
      response.end('<html>');
      return;
    case 'huge':
      response.end(`{"Handles":[${'"x",'.repeat(4_000_000)}"x"]}`);
      return;
    case 'wrong types':
      answer(response, isBulk ? { h: 7, i: { Info: [], Err: null } } : { Handles: { a: 1 } });
      return;
    case 'other handles':
      answer(
        response,
        isBulk
          ? { other: { Info: { Properties: propertiesOf({ guid: 'other-guid' }) }, Err: null } }
          : { Handles: ['other'] },
      );
      return;
    case 'status 500':
      answer(response, { Type: '', Message: 'out of order' }, 500);
      return;
    case 'hangs up':
      response.destroy();
      return;
    case 'never answers':
      return;
  }
}
