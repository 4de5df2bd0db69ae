import { readFileSync } from 'node:fs';
import { Succession, SuccessionServer } from './agent-succession.ts';
import type { Logger } from './shared/logger.ts';
import { OwnFolder } from './shared/own-folder.ts';
import { UserError } from './shared/user-error.ts';
import { Numbering } from './streams/numbering/numbering.ts';

/**
 * What outlives the agent, in `state_dir`: the numbers of lines; spools are in a folder of it. It is one agent's: who has it
 * is the agent of the host.
 */
export class AgentState {
  readonly numbering: Numbering;
  readonly succession: SuccessionServer;
  readonly #folder: OwnFolder;

  /** A way to take the running agent's place; undefined when none runs. Throws UserError. */
  static async succeed(stateDir: string, logger: Logger): Promise<Succession | undefined> {
    const folder = openFolder(stateDir);
    try {
      return await Succession.begin(folder, logger);
    } finally {
      folder.close();
    }
  }

  /** Throws UserError when another agent has it, or it cannot be used. */
  static async open(stateDir: string, logger: Logger): Promise<AgentState> {
    const folder = openFolder(stateDir);
    try {
      folder.claim();
    } catch (error) {
      folder.close();
      const why = error instanceof Error ? error.message : String(error);
      throw new UserError(
        `Another agent may be running: the state folder ${stateDir} is taken, ${why}. Stop that one first, or take its place with "varvel agent --replace"; a second agent needs a state_dir and a run_dir of its own.`,
        { cause: error },
      );
    }
    try {
      const succession = await SuccessionServer.open(folder, logger);
      return new AgentState(
        folder,
        new Numbering({ folder, bootId: bootId(), logger }),
        succession,
      );
    } catch (error) {
      folder.close();
      throw unusable(stateDir, error);
    }
  }

  private constructor(folder: OwnFolder, numbering: Numbering, succession: SuccessionServer) {
    this.#folder = folder;
    this.numbering = numbering;
    this.succession = succession;
  }

  /** When nothing is numbered any more. */
  close(): void {
    this.numbering.close();
    const { succession } = this;
    succession.removeSocket();
    this.#folder.close();
    // Last: a successor takes all of it at once.
    succession.close();
  }
}

function openFolder(stateDir: string): OwnFolder {
  try {
    return OwnFolder.open(stateDir);
  } catch (error) {
    throw unusable(stateDir, error);
  }
}

/** proc(5): new with each boot. */
export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

function unusable(stateDir: string, error: unknown): UserError {
  const { code } = error as NodeJS.ErrnoException;
  const why =
    code === 'EACCES' || code === 'EPERM'
      ? 'permission denied. Run varvel as root'
      : error instanceof Error
        ? error.message
        : String(error);
  return new UserError(
    `The state folder ${stateDir} cannot be used: ${why}. It keeps what outlives the agent: the numbers of lines (seq), and lines that wait. Set state_dir to a folder of the agent's own.`,
    { cause: error },
  );
}
