import { spawn, type ChildProcess } from 'node:child_process';
import { isBoundToManager, passMainProcess } from '../host/service-manager.ts';
import type { Logger } from '../shared/logger.ts';

/** The program that the bundle is called by: it has that of the new version once it is upgraded. */
const PROGRAM = 'VARVEL_PROGRAM';

/** How an agent was started. */
export interface Again {
  /** Node, its options and the program; empty: not known. */
  readonly program: readonly string[];
  readonly args: readonly string[];
}

export interface SuccessorOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly again: Again;
  readonly logger: Logger;
}

/**
 * Starts the agent that is installed by now as this one's successor, with the same arguments, environment and output. One at a time.
 * It takes this one's place when it sees everything; if it cannot, this one goes on.
 */
export class Successor {
  readonly #options: SuccessorOptions;
  #child: ChildProcess | undefined;

  constructor(options: SuccessorOptions) {
    this.#options = options;
  }

  start(): void {
    const { env, again, logger } = this.#options;
    const installed = env[PROGRAM];
    const [command, ...before] = installed === undefined ? again.program : [installed];
    const refused = this.#child === undefined ? whyNot(env, command) : 'one is starting already';
    if (command === undefined || refused !== undefined) {
      logger.error({}, `a new agent was asked for (SIGUSR2), and not started: ${refused}`);
      return;
    }
    const args = [...again.args.filter((word) => word !== '--replace'), '--replace'];
    logger.info({ program: [command, ...before].join(' ') }, 'starting a new agent (SIGUSR2)');
    const child = spawn(command, [...before, ...args], { stdio: 'inherit' });
    this.#child = child;
    // This one may end before it does: that is what it is for.
    child.unref();
    const onFailed = (why: object): void => {
      this.#child = undefined;
      logger.error(why, 'the new agent has not started: this one goes on');
    };
    child.once('error', (error) => onFailed({ error: error.message }));
    child.once('exit', (code, signal) => onFailed({ code, signal }));
  }

  /** An agent takes over: if it is the one that was started, it is the service's main process from now on. */
  handOver(): void {
    const { env, logger } = this.#options;
    if (this.#child?.pid === undefined) return;
    try {
      passMainProcess(this.#child.pid, env);
    } catch (error) {
      logger.error(
        { error },
        'the service manager could not be told of the new agent: it starts the service again, with a gap',
      );
    }
  }
}

function whyNot(env: SuccessorOptions['env'], command: string | undefined): string | undefined {
  if (command === undefined) return 'it is not known how this one was started';
  if (process.pid === 1)
    return 'this is the first process of its container, which would end with it';
  if (isBoundToManager(env))
    return 'the service does not accept another main process: its unit needs NotifyAccess=main, and a restart';
  return undefined;
}
