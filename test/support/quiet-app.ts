import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type Docker from 'dockerode';
import type { TestDockerd } from './dockerd.ts';
import { quantile, until, type DetectionLine, type E2eAgent } from './e2e-agent.ts';
import { logLines, runContainer } from './e2e-docker.ts';

const RULE = 'Step of the quiet app';
/** The rule that its steps match. */
export const QUIET_RULES = `
- rule: ${RULE}
  desc: A test's own.
  condition: evt.type in (open, openat) and fd.name startswith /quiet/w.
  output: step %fd.name
  priority: CRITICAL
`;
/** Its steps a second: lines of one rule, which the agent's limits must leave it. */
const RATE = 20;

/** How late its lines came during some time. */
export interface Latencies {
  readonly lines: number;
  /** From the system call to the line in the agent's stdout, in ms; NaN without lines. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/**
 * An app in a container that takes some twenty steps a second, each of which is a Critical detection. It tells whether a
 * neighbour's behaviour delays or loses its lines. The agent must run with `QUIET_RULES` and `stdout: true`.
 */
export class QuietApp {
  readonly container: Docker.Container;
  readonly #engine: TestDockerd;
  readonly #folder: string;

  /**
   * @param folder of the test's own, which is shown as /quiet in the container
   * @param appMount as `buildApp` returns it
   */
  static async start(engine: TestDockerd, folder: string, appMount: string): Promise<QuietApp> {
    mkdirSync(folder);
    const container = await runContainer(engine, `/app steps ${RATE} /quiet; exec sleep 600`, {
      labels: { 'varvel.enable': 'true', 'varvel.app': 'quiet' },
      hostConfig: { Binds: [`${folder}:/quiet`, appMount] },
    });
    return new QuietApp(container, engine, folder);
  }

  private constructor(container: Docker.Container, engine: TestDockerd, folder: string) {
    this.container = container;
    this.#engine = engine;
    this.#folder = folder;
  }

  /** Ends its steps; how many it took. */
  async stop(): Promise<number> {
    writeFileSync(join(this.#folder, 'stop'), '');
    return await until('the quiet app says how many steps it took', async () => {
      const said = (await logLines(this.#engine, this.container)).find((line) =>
        /^\d+$/.test(line),
      );
      return said === undefined ? undefined : Number(said);
    });
  }
}

/** The number of the step that the line is about; undefined when it is about something else. */
export function stepOf({ rule, output_fields: fields }: DetectionLine): number | undefined {
  return rule === RULE ? Number(String(fields['fd.name']).replace('/quiet/w.', '')) : undefined;
}

/** Of the steps that were taken between two times, Unix ms: as far as their lines have come. */
export function latenciesOf(agent: E2eAgent, fromMs: number, toMs: number): Latencies {
  const values = agent.arrivals
    .filter(({ line }) => {
      const timeMs = Date.parse(line.time);
      return stepOf(line) !== undefined && timeMs >= fromMs && timeMs < toMs;
    })
    .map(({ latencyMs }) => latencyMs);
  return {
    lines: values.length,
    p50: quantile(values, 0.5),
    p99: quantile(values, 0.99),
    max: quantile(values, 1),
  };
}
