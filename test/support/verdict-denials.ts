// What a table denies of programs that are run, beside what the rules say.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Container } from '../../src/apps/identity.ts';
import { kindIndex } from '../../src/plan/verdicts/call-kinds.ts';
import { LAYERS, PROGRAM_LAYERS } from '../../src/plan/verdicts/form-tests.ts';
import type { KnownCall } from '../../src/plan/verdicts/known-call.ts';
import { verdictOf, type Verdict } from '../../src/plan/verdicts/verdict.ts';
import { RuleEngine } from '../../src/rules/engine.ts';
import type { Subject } from '../../src/rules/subject.ts';
import type { KernelProbe } from './kernel-probe.ts';
import { ruleFiles, ruleSetOf } from './rules-load.ts';
import { CONTAINER } from './rules-subject.ts';
import { runs } from './runs.ts';
import { verdictTable } from './verdict-table.ts';

/** The condition, of programs that are run. */
export const ofExec = (text: string): string => `evt.type in (execve, execveat) and (${text})`;

type Denied = Pick<Verdict, 'failing' | 'denies'>;

/** Programs that are run, or that make a call, of any shape: as rules see them and as the kernel knows them. */
interface Programs<One> {
  /** The rule of a condition; default: ofExec. */
  readonly ruleOf?: (text: string) => string;
  readonly condition: fc.Arbitrary<string>;
  readonly program: fc.Arbitrary<One>;
  readonly subjectOf: (one: One) => Subject;
  readonly knownOf: (one: One) => KnownCall;
  /** Default: CONTAINER. */
  readonly container?: Container;
}

/** Asserts that a program or a call is denied only where the rule that denies it matches, and that both happen often. */
export function assertDeniedWhereMatching<One>(programs: Programs<One>): void {
  const { ruleOf = ofExec, condition, program, subjectOf, knownOf } = programs;
  const { container = CONTAINER } = programs;
  const counts = { denied: 0, matched: 0 };
  fc.assert(
    fc.property(
      fc.array(condition, { minLength: 1, maxLength: 3 }),
      fc.array(program, { minLength: 4, maxLength: 12 }),
      (texts, all) => {
        const ruleSet = ruleSetOf(ruleFiles(texts.map((text) => ruleOf(text))));
        const names = new Set(texts.map((_, index) => `r${index}`));
        const { bytes, denied } = verdictTable(ruleSet, container, names);
        assert.ok(bytes);
        const engine = new RuleEngine(ruleSet, { matching: 'all' });
        for (const one of all) {
          const matching = engine.evaluate(subjectOf(one)).map(({ rule }) => rule.name);
          if (matching.length > 0) counts.matched++;
          const { failing } = verdictOf(bytes, knownOf(one));
          for (const [rule, name] of denied.entries()) {
            if (((failing >>> rule) & 1) === 1) continue;
            counts.denied++;
            assert.ok(matching.includes(name), `${texts.join(' | ')}: ${JSON.stringify(one)}`);
          }
        }
      },
    ),
    { numRuns: runs(600) },
  );
  for (const [what, times] of Object.entries(counts))
    assert.ok(times > runs(50), `${what}: ${times}`);
}

/** What the kernel says of a program that is run or makes a call: which of the certain rules may fail, and which deny it. */
export function deniedInKernel({ probe }: KernelProbe, table: number, known: KnownCall): Denied {
  const { program, thread } = known;
  const { failing, denies } = probe.runVerdict(table, {
    kind: kindIndex(known),
    directory: false,
    layer: LAYERS.indexOf(known.layer),
    path: known.path ?? Buffer.alloc(0),
    program: program && { ...program, layer: PROGRAM_LAYERS.indexOf(program.layer) },
    thread,
    argv: known.argv,
    env: known.env,
    standard: known.standard,
  });
  return { failing, denies };
}

/** The same by TypeScript. */
export function deniedByTable(table: Uint8Array, known: KnownCall): Denied {
  const { failing, denies } = verdictOf(table, known);
  return { failing, denies };
}
