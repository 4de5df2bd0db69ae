import { bootId } from '../host/boot-clock.ts';
import { SignOfLife } from './sign-of-life.ts';
import { Succession, SuccessionServer } from './succession.ts';
import { diskTrouble } from '../shared/disk-trouble.ts';
import type { Logger } from '../shared/logger.ts';
import { OwnFolder, TakenError } from '../host/own-folder.ts';
import { StateTroubles } from '../shared/state-troubles.ts';
import { UserError } from '../shared/user-error.ts';
import { Numbering } from '../streams/numbering/numbering.ts';

const CLAIM = 'the claim of the state folder';
const NUMBERS = 'the numbers of lines (seq)';
const ALIVE = 'the sign of life';

const MEANS = {
  [CLAIM]:
    'A second agent could start beside this one, and "varvel agent --replace" cannot find this one.',
  [NUMBERS]:
    'Numbers go on above all that were used, but the next agent will not know the last one.',
  [ALIVE]: 'The next agent cannot tell how long no agent watched.',
} as const;

/**
 * What outlives the agent, in `state_dir`: the numbers of lines, and until when it watched; spools are in a subfolder. It
 * belongs to one agent: its owner is the agent of the host. A failing disk stops no agent: what cannot be kept is listed in
 * `troubles`, and `retry` tries again.
 */
export class AgentState {
  readonly numbering: Numbering;
  readonly signOfLife: SignOfLife;
  readonly troubles: StateTroubles;
  readonly #stateDir: string;
  readonly #logger: Logger;
  #folder: OwnFolder | undefined;
  #succession: SuccessionServer | undefined;
  #onAsked: () => void = () => undefined;
  /** Resolves when a successor sees everything: this agent must end. */
  readonly asked = new Promise<void>((resolve) => (this.#onAsked = resolve));

  /** Starts to replace the running agent; undefined if none runs. Throws UserError. */
  static async succeed(stateDir: string, logger: Logger): Promise<Succession | undefined> {
    let folder: OwnFolder | undefined;
    try {
      folder = openFolder(stateDir);
      return folder === undefined ? undefined : await Succession.begin(folder, logger);
    } finally {
      folder?.close();
    }
  }

  /** Throws UserError if another agent has claimed the folder, or if it is not this agent's own. */
  static async open(
    stateDir: string,
    logger: Logger,
    troubles = new StateTroubles(logger),
  ): Promise<AgentState> {
    let folder: OwnFolder | undefined;
    let claimed: unknown;
    try {
      folder = openFolder(stateDir, (error) => (claimed = error));
      return await AgentState.#openIn(folder, claimed, { stateDir, logger, troubles });
    } catch (error) {
      folder?.close();
      throw error;
    }
  }

  static async #openIn(
    folder: OwnFolder | undefined,
    noFolder: unknown,
    options: Pick<AgentState, 'troubles'> & { readonly stateDir: string; readonly logger: Logger },
  ): Promise<AgentState> {
    let failed = noFolder;
    let secret: string | undefined;
    try {
      secret = folder?.claim();
    } catch (error) {
      if (error instanceof TakenError) throw taken(options.stateDir, error);
      if (diskTrouble(error) === undefined) throw unusable(options.stateDir, error);
      failed = error;
    }
    const state = new AgentState(secret === undefined ? undefined : folder, options);
    state.#folder = folder;
    if (secret === undefined) state.#onUnclaimed(failed);
    else if (folder !== undefined) await state.#onClaimed(folder, secret);
    return state;
  }

  /** Nothing is written to an unclaimed folder: another agent may claim it next. */
  private constructor(
    claimed: OwnFolder | undefined,
    {
      stateDir,
      logger,
      troubles,
    }: Pick<AgentState, 'troubles'> & {
      readonly stateDir: string;
      readonly logger: Logger;
    },
  ) {
    this.#stateDir = stateDir;
    this.#logger = logger;
    this.troubles = troubles;
    this.numbering = new Numbering({
      folder: claimed,
      bootId: bootId(),
      logger,
      onTrouble: (error) => this.#note(NUMBERS, error),
    });
    this.signOfLife = new SignOfLife(claimed, {
      bootId: bootId(),
      logger,
      onTrouble: (error) => this.#note(ALIVE, error),
    });
  }

  /** Undefined as long as no other agent can ask to replace this one. */
  get succession(): SuccessionServer | undefined {
    return this.#succession;
  }

  /** Retries failed disk writes. Call every few seconds. */
  async retry(): Promise<void> {
    try {
      this.#folder ??= openFolder(this.#stateDir, () => undefined);
      if (this.#folder === undefined) return;
      if (this.#succession === undefined) await this.#onClaimed(this.#folder, this.#folder.claim());
    } catch {
      // Unchanged: it is listed in the troubles. Another agent may have claimed the folder by now.
      return;
    }
    this.numbering.keepIn(this.#folder);
    this.signOfLife.keepIn(this.#folder);
  }

  /** Call it when no more lines are numbered. */
  close(): void {
    this.numbering.close();
    this.signOfLife.close();
    this.#succession?.removeSocket();
    this.#folder?.close();
    // Last: a successor takes over everything at once.
    this.#succession?.close();
  }

  #onUnclaimed(error: unknown): void {
    for (const part of [CLAIM, NUMBERS, ALIVE] as const) this.#note(part, error);
  }

  async #onClaimed(folder: OwnFolder, secret: string): Promise<void> {
    try {
      this.#succession = await SuccessionServer.open(folder, {
        secret,
        logger: this.#logger,
        onAsked: this.#onAsked,
      });
      this.#note(CLAIM, undefined);
    } catch (error) {
      this.#note(CLAIM, error);
    }
  }

  #note(part: keyof typeof MEANS, error: unknown): void {
    if (error === undefined) this.troubles.end(part);
    else this.troubles.begin(part, error, MEANS[part]);
  }
}

/** Returns undefined, and reports to `onTrouble`, if the disk fails now. Throws UserError if the folder is not the agent's own. */
function openFolder(
  stateDir: string,
  onTrouble: (error: unknown) => void = () => undefined,
): OwnFolder | undefined {
  try {
    return OwnFolder.open(stateDir);
  } catch (error) {
    if (diskTrouble(error) === undefined) throw unusable(stateDir, error);
    onTrouble(error);
    return undefined;
  }
}

function taken(stateDir: string, error: TakenError): UserError {
  return new UserError(
    `Another agent may be running: the state folder ${stateDir} is taken, ${error.message}. Stop that one first, or take its place with "varvel agent --replace"; a second agent needs a state_dir and a run_dir of its own.`,
    { cause: error },
  );
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
