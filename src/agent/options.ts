import type { Writable } from 'node:stream';
import type { FirstProbe } from './first-probe.ts';
import type { ConfigSource } from './live-rules.ts';
import type { AgentConfig } from '../config/config.ts';
import type { LoadedConfig } from '../config/load.ts';
import type { Logger } from '../shared/logger.ts';
import type { Delivery } from '../streams/stream.ts';

/** The agent's dependencies besides its configuration. */
export interface AgentOptions {
  readonly config: AgentConfig;
  /** For reloads: the source of `config`, and what was loaded from it. Without it, settings stay as they are. */
  readonly source?: { readonly from: ConfigSource; readonly loaded: LoadedConfig };
  readonly logger: Logger;
  /** The probe already being loaded for this configuration; default: load it now. */
  readonly probe?: FirstProbe;
  /** Where the stdout stream writes. */
  readonly output: Writable & { readonly isTTY?: boolean };
  readonly version: string;
  /** Replaces the running agent, if there is one. Without this option, the start is then refused. */
  readonly replace?: boolean;
  /** Checked before the takeover becomes final. */
  readonly isStopping?: () => boolean;
  /** Number of the agent's own log lines that were dropped. */
  readonly logLinesDropped?: () => number;
  /** Called when a stream has accepted a detection, with the time since its system call. */
  readonly onDelivered?: (delivery: Delivery, stream: string, latencyMs: number) => void;
}
