// Kinds of connects.

/** Where a connect goes: `failed`: nowhere, as the kernel has refused it at once. */
export type ConnectEnd = 'ipv4' | 'ipv6' | 'unix' | 'failed';
export const PROTOCOL_KINDS = ['tcp', 'udp', 'other'] as const;

/** A connect as known to the kernel but for address, port and path. */
export interface ConnectKind {
  readonly event: 'connect';
  readonly end: ConnectEnd;
  /** To an IP address; default tcp. */
  readonly protocol?: (typeof PROTOCOL_KINDS)[number];
  /** To an IP address: it goes on by itself, and the call has failed with EINPROGRESS or EINTR. */
  readonly begun?: boolean;
}

/** Its number among them, as in the probe's shared.h. */
export function connectIndex({ end, protocol = 'tcp', begun = false }: ConnectKind): number {
  const ofIp = 2 * PROTOCOL_KINDS.length;
  if (end === 'unix') return 2 * ofIp;
  if (end === 'failed') return 2 * ofIp + 1;
  return (end === 'ipv6' ? ofIp : 0) + 2 * PROTOCOL_KINDS.indexOf(protocol) + (begun ? 1 : 0);
}

/** All kinds of connects, VERDICT_CONNECT_KINDS, in the order of their bits. */
export const CONNECTS: readonly ConnectKind[] = [
  ...(['ipv4', 'ipv6'] as const).flatMap((end) =>
    PROTOCOL_KINDS.flatMap((protocol) =>
      [false, true].map((begun): ConnectKind => ({ event: 'connect', end, protocol, begun })),
    ),
  ),
  { event: 'connect', end: 'unix' },
  { event: 'connect', end: 'failed' },
];
