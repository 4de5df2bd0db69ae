import { beginProbe } from '../agent/first-probe.ts';
import { Successor, type Again } from './successor.ts';
import { DEFAULT_CONFIG_FILE, loadConfig } from '../config/load.ts';
import type { LoadedConfig } from '../config/load.ts';
import { createLogger } from '../metrics/logger.ts';
import { openFilesVerdict } from '../shared/open-files.ts';

/** Arguments of `varvel agent`, as `main.ts` parsed them. */
export interface AgentArgs {
  readonly config: string | undefined;
  /** `KEY=VALUE` each. */
  readonly settings: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly version: string;
  /** Takes the running agent's place. */
  readonly replace: boolean;
  /** How to start it once more. */
  readonly again: Again;
}

/**
 * `varvel agent`: watches until SIGTERM or SIGINT, or until an agent with `--replace` has taken over. The first signal stops it
 * in order (what has been read is delivered), a second one at once. SIGHUP reloads the rules and their settings, and reopens
 * log files. SIGUSR2 starts the agent that is installed by now, to take over. Resolves to the exit code: 0 when stopped in order, 1 when at once. Throws UserError when it cannot start.
 */
export async function runAgent(args: AgentArgs): Promise<number> {
  const read = (): LoadedConfig =>
    loadConfig({ file: args.config, settings: args.settings, env: args.env });
  const loaded = read();
  const logger = createLogger({ level: loaded.config.logLevel });
  try {
    for (const warning of loaded.warnings) logger.warn({ file: loaded.file }, warning);
    const files = openFilesVerdict();
    if (files.state !== 'ok') logger.warn({}, `${files.says} ${files.advice}`);
    // Before anything is attached: a signal during the start must not be lost.
    const signals = new StopSignals();
    const hungUp = { already: false };
    let onHangUp = (): void => void (hungUp.already = true);
    const hangUp = (): void => onHangUp();
    process.on('SIGHUP', hangUp);
    const successor = new Successor({ env: args.env, again: args.again, logger });
    const succeed = (): void => successor.start();
    process.on('SIGUSR2', succeed);
    const probe = beginProbe(loaded.config);
    // Meanwhile: it takes as long as a third of the probe.
    const { Agent } = await import('../agent/agent.ts');
    const agent = await Agent.start({
      config: loaded.config,
      probe,
      source: { from: { file: loaded.file ?? DEFAULT_CONFIG_FILE, read }, loaded },
      logger,
      output: process.stdout,
      version: args.version,
      replace: args.replace,
      isStopping: () => signals.received,
      logLinesDropped: () => logger.dropped(),
    });
    onHangUp = () => void agent.reload();
    if (hungUp.already) onHangUp();
    try {
      await Promise.race([signals.first, agent.replaced.then(() => successor.handOver())]);
      const stopped = agent.stop().then(() => 0);
      return await Promise.race([stopped, signals.second.then(() => 1)]);
    } finally {
      process.off('SIGHUP', hangUp);
      process.off('SIGUSR2', succeed);
      signals.release();
    }
  } finally {
    await logger.flush();
  }
}

/** The first and the second SIGTERM or SIGINT, as promises. */
class StopSignals {
  readonly first: Promise<void>;
  readonly second: Promise<void>;
  received = false;
  readonly #listener: () => void;

  constructor() {
    let count = 0;
    let resolveFirst = (): void => undefined;
    let resolveSecond = (): void => undefined;
    this.first = new Promise((resolve) => (resolveFirst = resolve));
    this.second = new Promise((resolve) => (resolveSecond = resolve));
    this.#listener = (): void => {
      count++;
      this.received = true;
      if (count === 1) resolveFirst();
      else resolveSecond();
    };
    process.on('SIGTERM', this.#listener);
    process.on('SIGINT', this.#listener);
  }

  release(): void {
    process.off('SIGTERM', this.#listener);
    process.off('SIGINT', this.#listener);
  }
}
