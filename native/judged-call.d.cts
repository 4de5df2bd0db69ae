// What the probe is asked and told about calls and processes: see Probe in index.d.ts.

/** A file call by one of its paths; `kind` and `layer` are numbers (src/plan/verdicts). */
export interface LoaderJudgedCall {
  readonly kind: number;
  readonly directory: boolean;
  /** The path as passed may contain `..`; default false. */
  readonly dots?: boolean;
  readonly layer: number;
  readonly path: Uint8Array;
  /** What makes the call; undefined: it is not known. */
  readonly program?:
    | {
        readonly path: Uint8Array | undefined;
        readonly layer: number;
        /** Its environment may have a variable `LD_*`; default true. */
        readonly loads?: boolean;
        /** Of the process since its exec, at most 15 bytes; default empty. */
        readonly name?: Uint8Array;
        /** Of the process and of its parent, ns; default: not known. */
        readonly age?: bigint | undefined;
        readonly parentAge?: bigint | undefined;
        /** `false`: its parent is in scope; default: not known. */
        readonly fromOutside?: false | undefined;
        /** Of the older one of the two, as far as it is in scope; default: not known. */
        readonly insideAge?: bigint | undefined;
        /** Its number in its own pid namespace, and that of its parent; default: not known. */
        readonly vpid?: bigint | undefined;
        readonly parentVpid?: bigint | undefined;
        /** From the parent up, at most 4, each with a path of up to 255 bytes; 'none': there is no further one. Default: not known. */
        readonly ancestors?:
          | readonly (
              | {
                  readonly path: Uint8Array;
                  readonly name: Uint8Array;
                  /** As of the program. */
                  readonly loads?: boolean;
                  /** ns; default: not known. */
                  readonly age?: bigint | undefined;
                }
              | 'none'
            )[]
          | undefined;
      }
    | undefined;
  /** The words of a program that is run, of up to 255 bytes with their ends, or more than the probe looks at; default not known. */
  readonly argv?: readonly Uint8Array[] | undefined;
  /** Its environment, of up to 255 bytes with the ends of its variables; default not known. */
  readonly env?: readonly Uint8Array[] | undefined;
  /** Of a program that is run: bit n: descriptor n is a connection; default 0. */
  readonly standard?: number | undefined;
  /** Name of the thread, at most 15 bytes; default empty. */
  readonly thread?: Uint8Array | undefined;
  /** Of a connect to an IP address: 4 or 16 bytes, and the port. */
  readonly address?: Uint8Array | undefined;
  readonly port?: number | undefined;
}

/** A process that was there before the probe. Starts are CLOCK_BOOTTIME ns, or the last tick (1/100 s) before them. */
export interface LoaderKnownProcess {
  readonly pid: number;
  readonly startNs: bigint;
  /** At most 15 bytes. */
  readonly name: Uint8Array;
  /** Of its program; one of 256 bytes or more is not kept. */
  readonly path: Uint8Array;
  /** Undefined: not known. */
  readonly parent: { readonly pid: number; readonly startNs: bigint } | 'out of scope' | undefined;
}
