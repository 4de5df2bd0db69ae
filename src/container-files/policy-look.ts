import type { PolicyTrust, PolicyText } from './policy-text.ts';
import type { Container } from '../apps/identity.ts';
import type { PolicyFile } from './find-policy.ts';
import type { PinnedPolicy } from './policy-pins.ts';

/**
 * How far a file's change time may lag the clock. File systems round down to the kernel's tick, at most 10 ms, and a
 * paused virtual machine delays ticks.
 */
const FILE_TIMES_NS = 20_000_000n;
/** The result of a look into a container. */
export interface Look {
  readonly file: PolicyFile;
  /** Looks since then, without a result. */
  looks: number;
  /** When the file had been read, CLOCK_BOOTTIME ns. */
  readonly readBootNs: bigint;
  readonly incarnation: string | undefined;
  /**
   * Whether the look came before any program of the app ran. Undefined until a record tells when the first one started:
   * on a busy host, a late look meets the app in the runtime's process.
   */
  early: boolean | undefined;
  /** Since when programs of the app can have run, Unix ns; undefined when that is not known. */
  startedNs: bigint | undefined;
  /** Why it is not known; the rest of a sentence. */
  missed?: string | undefined;
}

/** Why it is not known when the first program of a container of Garden's began. */
export type Missed = 'records lost' | 'first process not seen';

/** The same as the rest of a sentence; `undefined`: no record of a program has come. */
export function missedText(missed: Missed | undefined): string {
  switch (missed) {
    case 'records lost':
      return 'records of when its programs started were lost';
    case 'first process not seen':
      return 'the start of the container itself was not seen';
    case undefined:
      return 'no program of the app was seen to start';
  }
}

/** Whether the file is certainly the tenant's; if not, `why` is the rest of a sentence. */
export function trustOf(
  { file, early, startedNs, missed }: Look,
  container: Container,
): { readonly trust: PolicyTrust; readonly why?: string } {
  // A previous run may have left it; for Docker also while that is not known.
  if (container.ranBefore ?? container.runtime === 'docker')
    return doubtful('the container ran before, or may have');
  if (early) return { trust: 'verified' };
  if (startedNs === undefined) return doubtful(missed ?? 'it was not seen when the app started');
  if (file.changedNs === undefined) return doubtful('it cannot be told when the file changed');
  const aheadNs = startedNs - file.changedNs;
  if (aheadNs > FILE_TIMES_NS) return { trust: 'verified' };
  const ms = (ns: bigint): string => `${Number(ns / 1_000_000n)} ms`;
  return doubtful(
    aheadNs < 0n
      ? `the file or a directory above it changed ${ms(-aheadNs)} after the app had started`
      : `the file or a directory above it changed ${ms(aheadNs)} before the app started: ${ms(FILE_TIMES_NS)} are within what clocks are wrong`,
  );
}

const doubtful = (why: string): { readonly trust: PolicyTrust; readonly why: string } => {
  return { trust: 'unverified', why };
};

/** What a container's pin says, beside what is there now. */
export function textOfPin(pin: PinnedPolicy, now: PolicyFile | undefined): PolicyText {
  const { path, trust, text = '', refusal } = pin;
  const isSame = now?.text === pin.text && now?.path === path;
  return {
    // Refusals name positions in the tenant's varvel.yml, not in the JSON file.
    name: path.endsWith('.json') ? 'varvel.yml' : path,
    text,
    trust,
    ...(refusal === undefined ? {} : { refusal: `${path}: ${refusal}` }),
    ...(isSame
      ? {}
      : { note: `${path} is another now than when the app started, which changes nothing` }),
  };
}
