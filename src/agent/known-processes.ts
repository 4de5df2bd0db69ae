import type { Process } from '../context/process.ts';
import type { LiveProbe } from '../probe/live.ts';
import type { Logger } from '../shared/logger.ts';
import { encodeText } from '../shared/text.ts';
import { UserError } from '../shared/user-error.ts';

/**
 * Tells the probe what the agent knows of processes that were there before: rules that ask for the ancestors of a program can then be
 * certain in their containers too. Both go by the same: an exec that the probe sees replaces it in both. Logs if the kernel refuses
 * it: these rules then deny nothing there.
 */
export function tellKnownProcesses(
  probe: Pick<LiveProbe, 'adoptProcess'>,
  processes: Iterable<Process>,
  logger: Logger,
): void {
  try {
    for (const process of processes) {
      const known = knownProcess(process);
      if (known !== undefined) probe.adoptProcess(known);
    }
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    logger.warn(
      { why: error.message },
      'the kernel does not know what ran before the agent: rules that ask for ancestors deny nothing in containers that are older. Restart these, or the agent',
    );
  }
}

/** Undefined for one that the probe has told of, and where its program is not known. */
function knownProcess({
  origin,
  inScope,
  pid,
  startBootNs,
  image,
  parent,
}: Process): Parameters<LiveProbe['adoptProcess']>[0] | undefined {
  if (origin !== 'proc' || !inScope || !image.exePath.startsWith('/')) return undefined;
  return {
    pid,
    startNs: startBootNs,
    name: encodeText(image.name),
    path: encodeText(image.exePath),
    parent:
      parent === undefined
        ? undefined
        : parent.inScope
          ? { pid: parent.pid, startNs: parent.startBootNs }
          : 'out of scope',
  };
}
