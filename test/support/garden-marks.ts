// A cell whose containers read files that say in whose container it was, and an agent that is to tell of each.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { E2eAgent, settled, until, type DetectionLine } from './e2e-agent.ts';
import { Authority } from './certificates.ts';
import { LoggregatorServer } from './loggregator-server.ts';
import { GardenCell } from './garden-cell.ts';
import { propertiesOf, type AppProperties } from './garden-server.ts';

/** Opens of one attack. */
export const OPENS = 5;
const ON = { varvel: 'on' };
const RULE = 'Mark read';

/** Reading a file below MARKS is what these tests look for; the file's name says in whose container it was. */
const rules = (folder: string): string => `
- rule: ${RULE}
  desc: A file of the test was read.
  condition: evt.type in (open, openat) and evt.is_open_read = true and evt.failed = false and fd.name startswith ${folder}/marks/
  output: mark (file=%fd.name container=%container.id type=%container.type)
  priority: WARNING
`;

/** Garden's, of an app that asks to be watched. */
export const properties = (app: AppProperties): Record<string, string> =>
  propertiesOf({ ...app, tags: { ...ON, ...app.tags } });

/** The name of the file that was read. */
export const fileOf = (line: DetectionLine): string =>
  String(line.output_fields['fd.name']).replace(/^.*\/marks\//, '');

/** A cell with an agent on it that watches what `mark` leaves, and with the platform's log system for the tenants. */
class Stage {
  readonly cell: GardenCell;
  readonly agent: E2eAgent;
  readonly #tenants: LoggregatorServer;

  readonly #lines = new Map<string, DetectionLine[]>();
  #readTo = 0;

  constructor(cell: GardenCell, agent: E2eAgent, tenants: LoggregatorServer) {
    this.cell = cell;
    this.agent = agent;
    this.#tenants = tenants;
  }

  /** Reads OPENS files in the container's cgroup; resolves when it has. */
  async mark(path: string, name: string): Promise<void> {
    await this.cell.run(path, this.command(name)).ended;
  }

  command(name: string): string[] {
    const files = Array.from({ length: OPENS }, (_, at) =>
      join(this.cell.folder, 'marks', `${name}.${at}`),
    );
    for (const file of files) writeFileSync(file, '');
    return ['cat', ...files];
  }

  /**
   * The lines of marks by this name. Reads only what is new, and no line that is half written: polled by many, it must
   * not take the time of the agent that it waits for.
   */
  lines(name: string): DetectionLine[] {
    const { operatorFile } = this.agent;
    const text = existsSync(operatorFile) ? readFileSync(operatorFile) : Buffer.alloc(0);
    const end = text.lastIndexOf('\n') + 1;
    const fresh = text.toString('utf8', this.#readTo, end);
    this.#readTo = end;
    for (const line of fresh.split('\n').slice(0, -1)) {
      const detection = JSON.parse(line) as DetectionLine;
      const by = fileOf(detection).replace(/\.\d+$/, '');
      this.#lines.set(by, [...(this.#lines.get(by) ?? []), detection]);
    }
    return this.#lines.get(name) ?? [];
  }

  /** What tenants were sent: whose log, which instance, which file. */
  async tenantLines(count: number): Promise<readonly (readonly [string, string, string])[]> {
    const { envelopes } = this.#tenants;
    await until(`${count} lines are with tenants`, () => envelopes.length >= count, 60_000);
    await settled(this.agent, 60_000);
    assert.equal(envelopes.length, count, 'lines that tenants have');
    return envelopes.map(({ source_id, instance_id, log }) => {
      const line = JSON.parse(log?.payload.toString() ?? '') as DetectionLine;
      return [source_id, instance_id, fileOf(line)];
    });
  }

  /** Exactly the marks by this name, each once, and whose they are. */
  assertMarked(name: string, guid: string | undefined, handle: string): void {
    const lines = this.lines(name);
    assert.deepEqual(
      lines.map(fileOf).sort(),
      Array.from({ length: OPENS }, (_, at) => `${name}.${at}`),
      name,
    );
    for (const line of lines) {
      assert.equal(line.app?.['guid'], guid, name);
      assert.equal(line.app === undefined, guid === undefined);
      assert.equal(line.output_fields['container.id'], handle);
      assert.equal(line.output_fields['container.type'], 'garden');
    }
  }
}

/** Ends with the test. `prepare` is done before the agent starts. */
export async function stage(
  t: { after(end: () => Promise<void>): void },
  hierarchy: 'v1' | 'v2',
  config: readonly string[] = [],
  prepare: (cell: GardenCell) => Promise<void> = (cell) => cell.server.start(),
): Promise<Stage> {
  const cell = new GardenCell(hierarchy);
  t.after(() => cell[Symbol.asyncDispose]());
  mkdirSync(join(cell.folder, 'marks'));
  await prepare(cell);
  const authority = new Authority(cell.folder);
  const tenants = new LoggregatorServer(authority.ca, authority.issue('metron'));
  await tenants.start();
  t.after(() => {
    tenants.stop();
    return Promise.resolve();
  });
  const { cert, key } = authority.issue('varvel');
  const agent = await E2eAgent.start({
    garden: { socketPath: cell.server.socketPath, cgroupParents: [cell.root] },
    // What these tests count is each detection.
    config: [`cgroup_hierarchy: ${hierarchy}`, 'limits: {enabled: false}', ...config],
    streams: [
      `loggregator: {enabled: true, address: '${tenants.address}', ca: ${authority.ca}, cert: ${cert}, key: ${key}}`,
    ],
    rules: { 'marks.yaml': rules(cell.folder) },
    noDefaultRules: true,
  });
  t.after(() => agent[Symbol.asyncDispose]());
  return new Stage(cell, agent, tenants);
}
