import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import type { TestDockerd } from './dockerd.ts';
import { quantile, until, type DetectionLine, type E2eAgent } from './e2e-agent.ts';
import { runContainer } from './e2e-docker.ts';

/** The rule that its steps match. */
export const QUIET_RULE = 'Step of the quiet app';
export const QUIET_RULES = `
- rule: ${QUIET_RULE}
  desc: A test's own.
  condition: evt.type in (open, openat) and fd.name startswith /quiet/
  output: step %fd.name
  priority: CRITICAL
`;

/** How the quiet app's detections came during some time. */
export interface QuietWindow {
  readonly steps: number;
  /** Steps without a line. */
  readonly missing: readonly number[];
  /** From the system call to the line, in ms. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/**
 * An app in a container that takes a step some twenty times a second: it creates a file of the step's number, which is a
 * Critical detection. It tells whether a neighbour's behaviour delays or loses its lines. The agent must run with
 * `QUIET_RULES`, `stdout: true` and limits of more than 1,200 lines a minute.
 */
export class QuietApp {
  readonly container: Docker.Container;
  readonly #folder: string;

  /** @param folder of the test's own; it is shown as /quiet in the container. */
  static async start(engine: TestDockerd, folder: string, name = 'quiet'): Promise<QuietApp> {
    const steps = join(folder, name);
    mkdirSync(steps);
    const container = await runContainer(
      engine,
      'i=0; while :; do i=$((i+1)); : > /quiet/$i; usleep 50000; done',
      {
        name,
        labels: { 'varvel.enable': 'true', 'varvel.app': name },
        hostConfig: { Binds: [`${steps}:/quiet`] },
      },
    );
    return new QuietApp(container, steps);
  }

  private constructor(container: Docker.Container, folder: string) {
    this.container = container;
    this.#folder = folder;
  }

  /** The last step that was taken. */
  get step(): number {
    return Math.max(0, ...readdirSync(this.#folder).map(Number));
  }

  /**
   * Does something and tells how the lines of the steps came meanwhile. Waits for the line of the last step, for at most
   * `timeoutMs`: until then nothing that comes is late for good.
   */
  async during(
    agent: E2eAgent,
    action: () => Promise<unknown>,
    timeoutMs = 240_000,
  ): Promise<QuietWindow> {
    const from = this.step;
    const firstArrival = agent.arrivals.length;
    await action();
    const to = await until('a step is taken', () => this.step > from && this.step);
    const latencies = new Map<number, number>();
    let read = firstArrival;
    const take = (): boolean => {
      for (; read < agent.arrivals.length; read++) {
        const { line, latencyMs } = agent.arrivals[read]!;
        const step = stepOf(line);
        if (step !== undefined && step > from && step <= to) latencies.set(step, latencyMs);
      }
      return latencies.has(to) || !agent.running;
    };
    await until('the line of the last step', take, timeoutMs).catch(() => undefined);
    // Lines of other steps may come after it only when they were held: none is here, but a busy machine has its say.
    await delay(500);
    take();
    const steps = Array.from({ length: to - from }, (_, index) => from + 1 + index);
    const values = [...latencies.values()];
    return {
      steps: steps.length,
      missing: steps.filter((step) => !latencies.has(step)),
      p50: quantile(values, 0.5),
      p99: quantile(values, 0.99),
      max: Math.max(...values),
    };
  }
}

function stepOf(line: DetectionLine): number | undefined {
  if (line.rule !== QUIET_RULE) return undefined;
  return Number(String(line.output_fields['fd.name']).replace('/quiet/', ''));
}
