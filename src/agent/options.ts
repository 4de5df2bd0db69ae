import type { Writable } from 'node:stream';
import type { FirstProbe } from './first-probe.ts';
import type { ConfigSource } from './live-rules.ts';
import type { AgentConfig } from '../config/config.ts';
import type { LoadedConfig } from '../config/load.ts';
import type { Logger } from '../shared/logger.ts';
import type { Delivery } from '../streams/stream.ts';

/** What the agent is made of besides its configuration. */
export interface AgentOptions {
  readonly config: AgentConfig;
  /** For reloads: where `config` is from, and as what it was read. Without it, the settings stay as they are. */
  readonly source?: { readonly from: ConfigSource; readonly loaded: LoadedConfig };
  readonly logger: Logger;
  /** The probe that is being loaded for this configuration; default: it is loaded now. */
  readonly probe?: FirstProbe;
  /** Where the stdout stream writes. */
  readonly output: Writable & { readonly isTTY?: boolean };
  readonly version: string;
  /** Takes the place of the agent that runs, if there is one, instead of being refused. */
  readonly replace?: boolean;
  /** Asked before that is final. */
  readonly isStopping?: () => boolean;
  /** Own log lines that nobody read. */
  readonly logLinesDropped?: () => number;
  /** Called when a stream has taken a detection, with the time since its system call. */
  readonly onDelivered?: (delivery: Delivery, stream: string, latencyMs: number) => void;
}
