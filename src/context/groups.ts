import type { ProcessNode } from './process-node.ts';

/** Limit on the relatives searched for a pid or group. */
const RELATIVES_MAX = 256;

/** After a successful setsid: the process leads its own session and group. */
export function startSession(node: ProcessNode): void {
  node.sid = node.pid;
  node.pgid = node.pid;
  node.vsid = node.vpid;
  node.vpgid = node.vpid;
}

/**
 * After a successful setpgid with the arguments of `caller`: ids of its pid namespace, 0 for itself and for the moved
 * process. Only the caller and its children can be moved, within their session. Returns the process whose group on the
 * host is not known from this, or undefined.
 */
export function changeGroup(
  caller: ProcessNode,
  pid: number,
  group: number,
): ProcessNode | undefined {
  const isCaller = pid === 0 || pid === caller.vpid;
  const moved = isCaller ? caller : among(caller, (child) => child.vpid === pid);
  if (moved === undefined) return undefined;
  const number = group === 0 ? moved.vpid : group;
  const hostNumber = numberOnHost(caller, moved, number);
  moved.vpgid = number;
  if (hostNumber === undefined) return moved;
  moved.pgid = hostNumber;
  return undefined;
}

function numberOnHost(caller: ProcessNode, moved: ProcessNode, group: number): number | undefined {
  if (group === moved.vpid) return moved.pid;
  if (moved.vpid === moved.pid) return group;
  const isOfGroup = (node: ProcessNode): boolean => node.vpid === group || node.vpgid === group;
  const found = [caller, caller.parent].find((node) => node !== undefined && isOfGroup(node));
  const member =
    found ??
    among(caller, isOfGroup) ??
    (caller.parent === undefined ? undefined : among(caller.parent, isOfGroup));
  if (member === undefined) return undefined;
  return member.vpgid === group ? member.pgid : member.pid;
}

/** Of the latest children of a process, the first that fits. */
function among(
  parent: ProcessNode,
  fits: (child: ProcessNode) => boolean,
): ProcessNode | undefined {
  let child = parent.firstChild;
  for (let seen = 0; child !== undefined && seen < RELATIVES_MAX; seen++) {
    if (fits(child)) return child;
    child = child.nextSibling;
  }
  return undefined;
}
