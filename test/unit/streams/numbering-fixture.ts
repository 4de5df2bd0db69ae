import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { AgentState } from '../../../src/agent/state.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import type { Numbering } from '../../../src/streams/numbering/numbering.ts';

export const openState = (folder: string): Promise<AgentState> =>
  AgentState.open(folder, SILENT_LOGGER);

/** The number of a line that was given and has arrived. */
export const give = (numbering: Numbering, key: string): number => {
  const line = numbering.next(key);
  line.complete();
  return line.seq;
};

/** As if its process had been killed: nothing is closed in order, but what it holds open is. */
export function forgetState(state: AgentState, folder: string): void {
  state.succession?.close();
  rmSync(join(folder, 'owner'), { force: true });
}
