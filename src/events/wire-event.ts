import { RecordBytes } from './batch.ts';
import { readCall } from './call.ts';
import { readClone, readCredentials, readExec, readOpen } from './details.ts';
import type {
  CallDetails,
  CloneDetails,
  Credentials,
  ExecDetails,
  ExitDetails,
  KernelEvent,
  OpenDetails,
  ParamValue,
} from './event.ts';
import { readParam } from './params.ts';
import { CALL, CLONE, EVENT_NAMES, EXEC, EXIT, HEADER, KINDS, OPEN } from './table.gen.ts';
import { RECORD_FLAGS } from './table.gen.ts';
import type { EventName } from './table.gen.ts';

/** Unix time minus CLOCK_BOOTTIME, in ns; re-measured by its owner, read at decoding. */
export interface BootClock {
  readonly unixMinusBootNs: bigint;
}

/**
 * A KernelEvent over record bytes, decoded lazily and cached until `moveTo`. Valid until the next batch overwrites the
 * bytes; `detach()` gives a copy that stays.
 */
export class WireEvent implements KernelEvent {
  #records: RecordBytes;
  readonly #clock: BootClock;
  #at = 0;
  #num = 0;
  /** Whether it counts as made, though it was refused. */
  #isMade = false;
  #comm: string | undefined;
  #credentials: Credentials | undefined;
  #open: OpenDetails | undefined;
  #call: CallDetails | undefined;
  #exec: ExecDetails | undefined;
  #clone: CloneDetails | undefined;

  constructor(records: RecordBytes, clock: BootClock) {
    this.#records = records;
    this.#clock = clock;
  }

  /** Makes this the event at byte offset `at` of the records; `num` is its running number. */
  moveTo(at: number, num: number): void {
    this.#at = at;
    this.#num = num;
    this.#comm = undefined;
    this.#credentials = undefined;
    this.#open = undefined;
    this.#call = undefined;
    this.#exec = undefined;
    this.#clone = undefined;
  }

  get records(): RecordBytes {
    return this.#records;
  }

  get at(): number {
    return this.#at;
  }

  get kind(): number {
    return this.#records.short(this.#at + HEADER.kind);
  }

  get type(): EventName {
    return EVENT_NAMES[this.#records.short(this.#at + HEADER.event)] ?? 'execve';
  }

  get num(): number {
    return this.#num;
  }

  get bootNs(): bigint {
    return this.#records.u64(this.#at + HEADER.ts);
  }

  get timeNs(): bigint {
    return this.bootNs + this.#clock.unixMinusBootNs;
  }

  get cpu(): number {
    return this.#records.number(this.#at + HEADER.cpu);
  }

  get cgroupId(): number {
    return this.#records.id(this.#at + HEADER.cgroup);
  }

  get pid(): number {
    return this.#records.number(this.#at + HEADER.pid);
  }

  get tid(): number {
    return this.#records.number(this.#at + HEADER.tid);
  }

  get vpid(): number {
    return this.#records.number(this.#at + HEADER.vpid);
  }

  get vtid(): number {
    return this.#records.number(this.#at + HEADER.vtid);
  }

  get ppid(): number {
    return this.#records.number(this.#at + HEADER.ppid);
  }

  get startBootNs(): bigint {
    return this.#records.u64(this.#at + HEADER.start);
  }

  get parentStartBootNs(): bigint {
    return this.#records.u64(this.#at + HEADER.parent_start);
  }

  get result(): number {
    // Of a call that makes a process it is the number of that: some number.
    if (this.#isMade) return this.kind === KINDS.clone ? 1 : 0;
    return this.#records.signed(this.#at + HEADER.ret);
  }

  get comm(): string {
    return (this.#comm ??= this.#records.comm(this.#at + HEADER.comm));
  }

  get bytes(): number {
    return this.#records.number(this.#at + HEADER.len);
  }

  get ruleMatches(): boolean {
    const { kind } = this;
    // It is only denied where a rule certainly matches.
    const { RULE_MATCHES, DENIED } = RECORD_FLAGS;
    if (kind === KINDS.open) return this.#hasFlag(OPEN.flags, RULE_MATCHES | DENIED);
    if (this.denied) return true;
    return kind === KINDS.call && this.#hasFlag(CALL.flags, RECORD_FLAGS.RULE_MATCHES);
  }

  get denied(): boolean {
    const { kind } = this;
    if (kind === KINDS.exec) return this.#hasFlag(EXEC.flags, RECORD_FLAGS.DENIED);
    if (kind === KINDS.open) return this.#hasFlag(OPEN.flags, RECORD_FLAGS.DENIED);
    if (kind === KINDS.clone) return this.#hasFlag(CLONE.flags, RECORD_FLAGS.DENIED);
    return kind === KINDS.call && this.#hasFlag(CALL.flags, RECORD_FLAGS.DENIED);
  }

  get judged(): WireEvent | undefined {
    // A program has been run when it is denied.
    if (this.#isMade || this.kind === KINDS.exec || !this.denied) return undefined;
    const made = new WireEvent(this.#records, this.#clock);
    made.moveTo(this.#at, this.#num);
    made.#isMade = true;
    return made;
  }

  #hasFlag(at: number, flag: number): boolean {
    return (this.#records.number(this.#at + at) & flag) !== 0;
  }

  get tty(): number {
    return this.#records.number(this.#at + HEADER.tty);
  }

  get credentials(): Credentials {
    return (this.#credentials ??= readCredentials(this.#records, this.#at));
  }

  get open(): OpenDetails | undefined {
    if (this.kind !== KINDS.open) return undefined;
    return (this.#open ??= readOpen(this.#records, this.#at));
  }

  get call(): CallDetails | undefined {
    if (this.kind !== KINDS.call) return undefined;
    return (this.#call ??= readCall(this.#records, this.#at));
  }

  get exec(): ExecDetails | undefined {
    if (this.kind !== KINDS.exec) return undefined;
    return (this.#exec ??= readExec(this.#records, this.#at, this.result < 0));
  }

  get clone(): CloneDetails | undefined {
    if (this.kind !== KINDS.clone) return undefined;
    return (this.#clone ??= readClone(this.#records, this.#at));
  }

  get exit(): ExitDetails | undefined {
    if (this.kind !== KINDS.exit) return undefined;
    return { status: this.#records.number(this.#at + EXIT.status) };
  }

  param(name: string): ParamValue | undefined {
    return readParam(this, name);
  }

  detach(): WireEvent {
    const length = this.bytes;
    const copy = new ArrayBuffer(length);
    this.#records.bytes.copy(Buffer.from(copy), 0, this.#at, this.#at + length);
    // The offset is fixed now: a clock step between hold and release must not move the event.
    const event = new WireEvent(new RecordBytes(copy), {
      unixMinusBootNs: this.#clock.unixMinusBootNs,
    });
    event.moveTo(0, this.#num);
    return event;
  }
}
