import { keptText } from '../agent/pinned-denial.ts';
import type { AgentSnapshot } from '../agent/snapshot.ts';

/** What cannot be refused here, and what is done instead. */
const UNREFUSED = [
  ['connection', 'CONNECTIONS ARE', 'their processes are killed after they have connected'],
  [
    'unix',
    'CONNECTIONS TO UNIX SOCKETS ARE',
    'their processes are killed after they have connected',
  ],
  ['file', 'OPENS AND CHANGES OF FILES ARE', 'their processes are killed afterwards'],
  ['call', 'MOUNTS, MODULES AND OTHER CALLS ARE', 'their processes are killed afterwards'],
  ['cgroup', 'BINDS AND DEVICE NODES ARE', 'processes that make them are killed afterwards'],
  ['memory', 'EXECUTABLE MEMORY IS', 'processes that make it are killed afterwards'],
  ['namespace', 'USER NAMESPACES ARE', 'processes that make one are killed afterwards'],
] as const;

/** What rules deny in the kernel, and what of it this host cannot. */
export function deniedLines({
  verdicts,
  deniedDropped,
  denialEnded,
  denialTest,
  refusalsUnavailable = {},
  pinned,
  knownFiles,
}: AgentSnapshot['kernel']): string[] {
  // An agent of before has none.
  const {
    files = 0,
    partial = 0,
    leftOut = [],
  } = (knownFiles as Partial<typeof knownFiles> | undefined) ?? {};
  const { containers, rules, afterEffect, givenUp, inVain, tooYoung } = verdicts.denying;
  const named = (names: readonly string[]): string =>
    names.map((name) => JSON.stringify(name)).join(', ');
  const lines: string[] = [];
  if (containers > 0)
    lines.push(
      `denied before the effect, in ${containers} containers: what matches ${named(rules)}`,
    );
  if (denialTest !== undefined && denialTest.program !== 'denied')
    lines.push(
      `DENIAL NOT PROVEN on this host, programs may only be killed after the effect (${denialTest.program}): run varvel doctor`,
    );
  for (const [call, what] of [
    ['connection', 'connections'],
    ['file', 'opens and changes of files'],
    ['call', 'mounts, modules and other calls'],
  ] as const)
    if (denialTest?.[call] === 'not tried')
      lines.push(`it was not tried whether ${what} are refused on this host: run varvel doctor`);
  for (const [call, what, otherwise] of UNREFUSED) {
    const why = refusalsUnavailable[call];
    if (why !== undefined)
      lines.push(`${what} NOT REFUSED on this host, ${otherwise} (${why}): run varvel doctor`);
  }
  if (files > 0)
    lines.push(
      `known by their inodes, whatever name they are opened by: ${files} files that these rules name`,
    );
  if (partial > 0)
    lines.push(
      `known by path alone in ${partial} containers, as there are too many files or they cannot be looked for: ${named(leftOut)}. Another name gets around the rule`,
    );
  if (afterEffect.length > 0)
    lines.push(
      `NOT DENIED, but killed after the effect (or only reported, by "guarantee"): what matches ${named(afterEffect)}. See the agent's log, and varvel explain RULE`,
    );
  if (tooYoung > 0)
    lines.push(
      `only killed after the effect in ${tooYoung} containers: what rules match that ask for an age. These have not reached it, or it is not known`,
    );
  if (inVain > 0) {
    const now =
      givenUp.length > 0
        ? `. Until rules are loaded again nothing is denied by ${named(givenUp)}`
        : '';
    lines.push(
      `DENIED WRONGLY: ${inVain} programs, connections or calls on files that no rule matches, please report it${now}`,
    );
  }
  for (const { app, why } of denialEnded)
    lines.push(
      `DENIAL IS OFF for ${app === undefined ? 'containers without an app' : `app ${app}`}: ${why}. Reload the rules (SIGHUP) to turn it on again`,
    );
  if (pinned !== undefined)
    lines.push(
      pinned.unavailable === undefined
        ? `what is denied stays denied without the agent, ${keptText(pinned.keepMs)} (probe.deny_without_agent)`
        : `DENIAL ENDS IF THE AGENT ENDS (${pinned.unavailable})`,
      ...(pinned.notRecorded === undefined
        ? []
        : [`WITHOUT THE AGENT ONLY ALL OF IT CAN BE LIFTED (state_dir: ${pinned.notRecorded})`]),
    );
  if (deniedDropped > 0)
    lines.push(
      `DENIED WITHOUT A LINE: ${deniedDropped} programs, connections or calls on files, whose records were lost`,
    );
  return lines;
}
