import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { detectHierarchy } from '../../apps/cgroup-hierarchy.ts';
import { findGardenRoots } from '../../apps/garden-roots.ts';
import { GARDEN_ROOT } from '../../apps/patterns.ts';
import { parseHandles } from '../../apps/runtimes/garden-answers.ts';
import { askGarden } from '../../apps/runtimes/garden-socket.ts';
import { isGardenWanted } from '../../apps/runtimes/garden.ts';
import { QuestionError } from '../../apps/runtimes/question-error.ts';
import type { AgentConfig } from '../../config/config.ts';
import { UserError } from '../../shared/user-error.ts';
import type { Verdict } from './finding.ts';

const OTHERWISE =
  'set runtimes.garden.socket, or turn Garden off with runtimes.garden.enabled: false.';

/** Asks Garden for its containers, as the agent will. `findRoots` throws a UserError where the host's cgroups are not visible. */
export async function checkGarden(
  config: AgentConfig,
  findRoots = (): readonly string[] => findGardenRoots(detectHierarchy(config.cgroupHierarchy)),
): Promise<Verdict> {
  const { enabled, socket, cgroupParents } = config.runtimes.garden;
  if (enabled === false)
    return { state: 'note', says: 'Garden is turned off in the configuration.' };
  if (!isGardenWanted(enabled, socket)) {
    return {
      state: 'note',
      says: `No Garden: there is no folder ${dirname(socket)}. It is looked for when the agent starts.`,
    };
  }
  const bad = enabled === true ? 'fail' : 'warn';
  if (!existsSync(socket)) {
    return {
      state: bad,
      says: `There is no Garden socket at ${socket}: Garden's containers cannot be identified.`,
      advice: `Start Garden (monit start garden), ${OTHERWISE}`,
    };
  }
  try {
    const question = { socketPath: socket, path: '/containers', timeoutMs: 10_000 };
    const handles = parseHandles(await askGarden({ ...question, maxBytes: 4 * 1024 * 1024 }));
    if (handles === undefined) throw new QuestionError('answer', 'not an answer of Garden');
    const answers = `Garden answers on ${socket}: ${handles.length} containers.`;
    return {
      state: 'ok',
      says: `${answers} ${whereContainersAre(cgroupParents, findRoots)}`,
    };
  } catch (error) {
    const { code, message } = error as QuestionError;
    const denied = code === 'EACCES' || code === 'EPERM';
    return {
      state: bad,
      says: denied
        ? `Not allowed to use the Garden socket ${socket}.`
        : `No usable answer from Garden on ${socket} (${code ?? message}).`,
      advice: denied ? 'Run varvel as root.' : `Start Garden (monit start garden), ${OTHERWISE}`,
    };
  }
}

function whereContainersAre(
  parents: readonly string[],
  findRoots: () => readonly string[],
): string {
  try {
    const roots = [GARDEN_ROOT, ...(parents.length > 0 ? parents : findRoots())];
    return `They are looked for in the cgroups ${roots.join(' and ')}.`;
  } catch (error) {
    // Another check says what is to be done.
    if (!(error instanceof UserError)) throw error;
    return 'Their cgroups are not visible from here.';
  }
}
