import { OwnFolder } from '../host/own-folder.ts';
import { diskTrouble } from '../shared/disk-trouble.ts';
import type { Logger } from '../shared/logger.ts';
import type { StateTroubles } from '../shared/state-troubles.ts';
import { UserError } from '../shared/user-error.ts';
import { PolicyPins } from './policy-pins.ts';

/** Where policies outlive the agent. */
export interface KeptPins {
  readonly pins: PolicyPins;
  /** Retries failed writes. Call it every few seconds. */
  retry(): void;
  close(): void;
}

const PINNED = "apps' policies as they were first read";

/**
 * Opens the pins' folder. A disk that cannot be written is reported to `troubles`. Anything there but the agent's own folder
 * is moved aside, with a warning. Throws UserError when the agent may not use the folder.
 */
export function openPins(stateDir: string, logger: Logger, troubles: StateTroubles): KeptPins {
  const path = `${stateDir}/policies`;
  let folder: OwnFolder | undefined;
  const onProblem = (error: unknown): void => {
    if (diskTrouble(error) === undefined)
      logger.warn(
        { folder: path, error },
        'A policy could not be kept on disk, or read from it: after a restart of the agent it may count as unverified.',
      );
    else
      troubles.begin(PINNED, error, 'After a restart of the agent they may count as unverified.');
  };
  const open = (): OwnFolder | undefined => {
    try {
      const { folder, setAside } = OwnFolder.openOrSetAside(path);
      if (setAside)
        logger.warn(
          { folder: path },
          `${path} was moved to ${path}.damaged: it was no folder of the agent's own. Apps' policies may count as unverified now. Find out who made it.`,
        );
      return folder;
    } catch (error) {
      if (diskTrouble(error) === undefined) throw unusable(path, error);
      onProblem(error);
      return undefined;
    }
  };
  folder = open();
  const pins = new PolicyPins(folder, onProblem);
  return {
    pins,
    retry: () => {
      if (pins.isKept) {
        troubles.end(PINNED);
        return;
      }
      try {
        folder ??= open();
      } catch (error) {
        onProblem(error);
      }
      if (folder !== undefined && pins.keepIn(folder)) troubles.end(PINNED);
    },
    close: () => folder?.close(),
  };
}

function unusable(path: string, error: unknown): UserError {
  const why = error instanceof Error ? error.message : String(error);
  return new UserError(
    `The folder ${path} cannot be used: ${why}. It keeps what apps' policies said when the apps started. Set state_dir to a folder of the agent's own.`,
    { cause: error },
  );
}
