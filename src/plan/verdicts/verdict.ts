import { LIMITS } from '../../events/table.gen.ts';
import { formNumber, programFormNumber } from './form-tests.ts';
import { numbersOf, type KnownAncestor, type KnownCall } from './known-call.ts';
import { MASK_BYTES, ROW, TABLE, VARIABLE_BYTES } from './layout.ts';
import { ARGV_TEXTS, isExec, kindIndex } from './call-kinds.ts';
import { NUMBERS } from './number-tests.ts';
import { MACHINES, PATH_MACHINES, type Machine } from './path-tests.ts';
import { SETTLED, type SettledStage } from './settled.ts';
import { isWayEvent } from './ways.ts';

const SLASH = 0x2f;
const NAME = MACHINES.indexOf('name');
const ANYWHERE = MACHINES.indexOf('anywhere');
const COMM = MACHINES.indexOf('comm');
const NO_NAME = Buffer.alloc(0);
/** The first number that is no age. */
const FROM_OUTSIDE = NUMBERS.indexOf('proc.is_from_outside');
const SLACK_NS = BigInt(LIMITS.VERDICT_AGE_SLACK);
const { VERDICT_IPV4, VERDICT_IPV6 } = LIMITS;

/** What a table says of a call by one of its paths. */
export interface Verdict {
  /** Whether a rule may match. */
  readonly passes: boolean;
  /** Bit n: the table's nth certain rule may fail; so do all numbers that are no rule's. */
  readonly failing: number;
  /** Bit n: that rule denies such a call, and certainly matches it. */
  readonly denies: number;
}

/** Every rule may fail. */
export const ALL_FAILING = 0xffff_ffff;

/**
 * Reimplements the probe's verdict__passes (native/probe/verdict.h) for tests and for reports about a table. A call is reported
 * if one of its paths passes, and a rule certainly matches it if it may fail for none of them.
 */
export function verdictOf(table: Uint8Array, call: KnownCall): Verdict {
  const left = new Left(table, kindIndex(call));
  const form = isExec(call.event) ? (call.standard ?? 0) : formNumber(call);
  left.narrow(TABLE.forms + form * MASK_BYTES);
  const { path, program } = call;
  const isKnown =
    path !== undefined &&
    path.length > 1 &&
    path.length < LIMITS.VERDICT_PATH_MAX &&
    path[0] === SLASH;
  if (isKnown) left.narrowByPath(path, call.directory);
  if ('end' in call && call.address !== undefined) left.narrowByEnd(call.address, call.port ?? 0);
  if (program !== undefined && left.hasPrograms) {
    const { layer, loads = true, name = NO_NAME } = program;
    left.narrowByName(name, ROW.process);
    left.narrowByNumbers(numbersOf(program));
    left.narrow(TABLE.programForms + programFormNumber(layer, loads) * MASK_BYTES);
    if (program.path !== undefined) {
      if (isKnown) left.narrow(TABLE.sameProgram + (path.equals(program.path) ? MASK_BYTES : 0));
      left.narrowByProgram(program.path);
    }
  }
  if (call.thread !== undefined) left.narrowByName(call.thread, ROW.thread);
  // The hooks that deny look at these: the ancestors of a program that is run, or of what makes a call on a file.
  if (
    call.event !== 'connect' &&
    program !== undefined &&
    left.hasPrograms &&
    left.mayDenyAfter('program')
  ) {
    const isRun = isExec(call.event);
    const asksAfter = (stage: SettledStage): boolean => !isRun || left.mayDenyAfter(stage);
    if (call.argv !== undefined) left.narrowByArgv(call.argv, program.name ?? NO_NAME);
    if (call.env !== undefined && asksAfter('words')) left.narrowByVariables(call.env);
    if (left.hasAncestors && asksAfter('environment')) {
      const above = (program.ancestors ?? []).slice(0, LIMITS.VERDICT_ANCESTORS);
      left.narrowByAncestors(above);
      left.narrowByNumbers(numbersOf(program, above));
    }
  }
  // A program that is run has no path but its own, and a connect has none unless to a unix socket. Of a call that is judged by who
  // makes it, none is looked at.
  const isComplete =
    isKnown ||
    isExec(call.event) ||
    isWayEvent(call.event) ||
    ('end' in call && call.end !== 'unix');
  const failing = isComplete ? left.failing : ALL_FAILING;
  return { passes: left.passes, failing, denies: (~failing & left.denying) >>> 0 };
}

/** Whether a rule can match the call by this path. */
export const passes = (table: Uint8Array, call: KnownCall): boolean =>
  verdictOf(table, call).passes;

/** The clauses that can still hold. */
class Left {
  readonly #table: Uint8Array;
  readonly #view: DataView;
  readonly #words: number[];

  /** The rules that deny, as bits, that can be certain of such a call. */
  readonly denying: number;

  constructor(table: Uint8Array, kind: number) {
    this.#table = table;
    this.#view = new DataView(table.buffer, table.byteOffset, table.byteLength);
    this.#words = [...this.#setAt(TABLE.kinds + kind * MASK_BYTES)];
    this.denying = this.#view.getUint32(TABLE.denying + 4 * kind, true);
  }

  /** Whether a rule may match. */
  get passes(): boolean {
    return this.#hasAny(TABLE.may);
  }

  /** The certain rules that may fail. */
  get failing(): number {
    const count = this.#view.getUint32(TABLE.certain, true);
    let bits = ALL_FAILING;
    for (let rule = 0; rule < count; rule++)
      if (!this.#hasAny(TABLE.failures + rule * MASK_BYTES)) bits &= ~(1 << rule);
    return bits >>> 0;
  }

  /** Whether a rule that denies can still be certain, whatever is looked at after this stage. */
  mayDenyAfter(stage: SettledStage): boolean {
    const settled = this.#setAt(TABLE.settled + SETTLED.indexOf(stage) * MASK_BYTES);
    for (let rule = 0; rule < LIMITS.VERDICT_CERTAIN; rule++) {
      const failures = this.#setAt(TABLE.failures + rule * MASK_BYTES);
      const fails = this.#words.some(
        (bits, byte) => (bits & (failures[byte] ?? 0) & (settled[byte] ?? 0)) !== 0,
      );
      if (((this.denying >> rule) & 1) === 1 && !fails) return true;
    }
    return false;
  }

  /** Whether a clause is about programs. */
  get hasPrograms(): boolean {
    return this.#view.getUint32(TABLE.programs, true) !== 0;
  }

  /** Whether a clause is about ancestors. */
  get hasAncestors(): boolean {
    return this.#view.getUint32(TABLE.ancestors, true) !== 0;
  }

  narrow(at: number): void {
    for (let byte = 0; byte < MASK_BYTES; byte++)
      this.#words[byte] = (this.#words[byte] ?? 0) & (this.#table[at + byte] ?? 0);
  }

  #hasAny(at: number): boolean {
    return this.#words.some((byte, index) => (byte & (this.#table[at + index] ?? 0)) !== 0);
  }

  narrowByPath(path: Buffer, directory: boolean): void {
    const lastSlash = path.lastIndexOf(SLASH);
    for (let machine = 0; machine < PATH_MACHINES.length; machine++) {
      const { row, seen, rowAtSlash, seenBeforeSlash } = this.#walk(machine, path, lastSlash);
      if (machine === ANYWHERE) {
        this.#narrowBySeen(TABLE.seenEnd, seen);
        if (directory || lastSlash > 0)
          this.#narrowBySeen(TABLE.seenSlash, directory ? seen : seenBeforeSlash);
        continue;
      }
      if (machine === NAME && directory) this.narrow(TABLE.noName);
      else this.#narrowBy(this.#cell(row, ROW.end));
      if (directory) this.#narrowBy(this.#cell(this.#step(machine, row, SLASH), ROW.slash));
      else if (lastSlash > 0) this.#narrowBy(this.#cell(rowAtSlash, ROW.slash));
    }
    if (!directory && lastSlash === 0) this.narrow(TABLE.root);
  }

  narrowByProgram(path: Buffer): void {
    for (let machine = 0; machine < PATH_MACHINES.length; machine++) {
      const { row, seen } = this.#walk(machine, path, -1);
      if (machine === ANYWHERE) this.#narrowBySeen(TABLE.seenProgram, seen);
      else this.#narrowBy(this.#cell(row, ROW.program));
    }
  }

  narrowByAncestors(ancestors: readonly (KnownAncestor | 'none')[]): void {
    const { VERDICT_LEVELS } = LIMITS;
    const met = this.#setAt(TABLE.metByNone);
    for (const [at, one] of ancestors.entries()) {
      if (one === 'none') {
        this.#and(met);
        for (let level = at; level < VERDICT_LEVELS; level++)
          this.narrow(TABLE.noAncestor + level * MASK_BYTES);
        return;
      }
      const byThis = new Left(this.#table, 0);
      byThis.#words.fill(0xff);
      if (one.loads === false) byThis.narrow(TABLE.metWithoutLoads);
      for (const [place, set] of this.#ancestorSets(one)) {
        if (place === at && at < VERDICT_LEVELS) this.#and(set);
        if (place === VERDICT_LEVELS) byThis.#and(set);
      }
      for (const [byte, bits] of byThis.#words.entries()) met[byte] = (met[byte] ?? 0) | bits;
    }
  }

  /** What its path and name say of it, by place: its number less one, or, last, any. */
  *#ancestorSets({ path, name }: KnownAncestor): Generator<readonly [number, Uint8Array]> {
    for (let place = 0; place <= LIMITS.VERDICT_LEVELS; place++) {
      const seenAt = TABLE.seenAncestor + place * 2 * (1 << LIMITS.VERDICT_SEEN);
      for (let machine = 0; machine <= PATH_MACHINES.length; machine++) {
        const isName = machine === PATH_MACHINES.length;
        const { row, seen } = this.#walk(isName ? COMM : machine, isName ? name : path, -1);
        const mask =
          machine === ANYWHERE
            ? this.#view.getUint16(seenAt + 2 * seen, true)
            : this.#cell(row, ROW.ancestors + place);
        yield [place, this.#setAt(TABLE.masks + mask * MASK_BYTES)];
      }
    }
  }

  #setAt(at: number): Uint8Array {
    return this.#table.slice(at, at + MASK_BYTES);
  }

  #and(set: Uint8Array): void {
    for (const [byte, bits] of set.entries()) this.#words[byte] = (this.#words[byte] ?? 0) & bits;
  }

  /** `place`: where its clauses stand. */
  narrowByName(name: Buffer, place: number): void {
    this.#narrowBy(this.#cell(this.#walk(MACHINES.indexOf('comm'), name, -1).row, place));
  }

  /** In the order of NUMBERS; undefined: not known. */
  narrowByNumbers(numbers: readonly (bigint | undefined)[]): void {
    const count = this.#view.getUint32(TABLE.numbers, true);
    for (let index = 0; index < count; index++) {
      const field = this.#view.getUint32(TABLE.numberOf + 4 * index, true);
      const bound = this.#view.getBigUint64(TABLE.bounds + 8 * index, true);
      const number = numbers[field];
      const slack = field < FROM_OUTSIDE ? SLACK_NS : 0n;
      if (number === undefined) continue;
      if (number + slack < bound) this.narrow(TABLE.below + index * MASK_BYTES);
      else if (number >= bound + slack) this.narrow(TABLE.above + index * MASK_BYTES);
    }
  }

  /** `name`: of the process. Words of more than VERDICT_ARGV_MAX bytes are not known, nor if there is none. */
  narrowByArgv(argv: readonly Buffer[], name: Buffer): void {
    const bytes = argv.reduce((sum, word) => sum + word.length + 1, 0);
    const [first, ...others] = argv;
    if (first === undefined || bytes > LIMITS.VERDICT_ARGV_MAX) return;
    const space = Buffer.from(' ');
    const args = Buffer.concat(others.flatMap((word, at) => (at === 0 ? [word] : [space, word])));
    const line = Buffer.concat(others.length === 0 ? [name] : [name, space, args]);
    const wanted = this.#view.getUint32(TABLE.argv, true);
    for (const [index, text] of [args, line, first].entries()) {
      if (((wanted >> index) & 1) === 0) continue;
      this.#narrowByText(text, index);
    }
  }

  /** Environments of more than ENV_MAX bytes are not known, nor are values of more than VERDICT_ARGV_MAX. */
  narrowByVariables(env: readonly Buffer[]): void {
    const { ENV_MAX, VERDICT_ARGV_MAX, VERDICT_VARIABLES } = LIMITS;
    // The agent does not know of an empty one that it is.
    if (env.length === 0 || env.reduce((sum, word) => sum + word.length + 1, 0) > ENV_MAX) return;
    const wanted = this.#view.getUint32(TABLE.argv, true) >> ARGV_TEXTS.length;
    for (let index = 0; index < VERDICT_VARIABLES; index++) {
      if (((wanted >> index) & 1) === 0) continue;
      const at = TABLE.variables + index * VARIABLE_BYTES;
      const name = this.#table.subarray(at + 4, at + 4 + this.#view.getUint32(at, true));
      const word = env.find((one) => one.subarray(0, name.length).equals(name));
      const value = word?.subarray(name.length) ?? NO_NAME;
      if (value.length < VERDICT_ARGV_MAX) this.#narrowByText(value, ARGV_TEXTS.length + index);
    }
  }

  /** `index`: of the text, in the order of a row of the automaton of words. */
  #narrowByText(text: Buffer, index: number): void {
    this.#narrowBy(this.#cell(this.#walk(MACHINES.indexOf('argv'), text, -1).row, index));
    const { seen } = this.#walk(MACHINES.indexOf('within'), text, -1);
    for (let bit = 0; bit < LIMITS.VERDICT_WITHIN; bit++) {
      const at = (index * LIMITS.VERDICT_WITHIN + bit) * 2 + ((seen >> bit) & 1);
      this.narrow(TABLE.within + at * MASK_BYTES);
    }
  }

  narrowByEnd(address: Buffer, port: number): void {
    this.#narrowByHalves('address', [address.length === 4 ? VERDICT_IPV4 : VERDICT_IPV6], address);
    this.#narrowByHalves('port', [], Buffer.of(port >> 8, port & 0xff));
  }

  #narrowByHalves(name: Machine, before: readonly number[], bytes: Buffer): void {
    const machine = MACHINES.indexOf(name);
    let row = this.#view.getUint32(TABLE.starts + 4 * machine, true);
    for (const symbol of [...before, ...[...bytes].flatMap((byte) => [byte >> 4, byte & 15])])
      row = this.#step(machine, row, symbol);
    this.#narrowBy(this.#cell(row, ROW.end));
  }

  /** The state and the texts found at the path's end, after its last slash and before it. */
  #walk(
    machine: number,
    path: Buffer,
    lastSlash: number,
  ): Record<'row' | 'seen' | 'rowAtSlash' | 'seenBeforeSlash', number> {
    let row = this.#view.getUint32(TABLE.starts + 4 * machine, true);
    let rowAtSlash = row;
    let seen = this.#cell(row, ROW.end);
    let seenBeforeSlash = 0;
    for (const [at, byte] of path.entries()) {
      if (at === lastSlash) seenBeforeSlash = seen;
      row = this.#step(machine, row, byte);
      if (at === lastSlash) rowAtSlash = row;
      seen |= this.#cell(row, ROW.end);
    }
    return { row, seen, rowAtSlash, seenBeforeSlash };
  }

  #step(machine: number, row: number, byte: number): number {
    return this.#cell(row, this.#table[TABLE.classes + machine * 256 + byte] ?? 0);
  }

  #cell(row: number, place: number): number {
    return this.#view.getUint32(TABLE.next + 4 * (row + place), true);
  }

  #narrowBy(mask: number): void {
    this.narrow(TABLE.masks + mask * MASK_BYTES);
  }

  #narrowBySeen(sets: number, seen: number): void {
    this.#narrowBy(this.#view.getUint16(sets + 2 * seen, true));
  }
}
