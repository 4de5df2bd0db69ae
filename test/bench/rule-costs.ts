// Measures what the estimate of a rule's cost goes by: node --import tsx test/bench/rule-costs.ts. For each step the input that
// is worst for it; beside it what src/rules/cost says. The figures there are these with half as much again, on a machine that
// does nothing else.
import { compileGlob } from '../../src/rules/compile/glob.ts';
import { lowerAscii } from '../../src/rules/compile/letters.ts';
import { compilePathMatch } from '../../src/rules/compile/path-match.ts';
import { compileRegex } from '../../src/rules/compile/regex.ts';
import { includesText } from '../../src/rules/compile/search.ts';
import { COST } from '../../src/rules/cost/constants.ts';
import { conditionCost } from '../../src/rules/cost/rule-cost.ts';
import { boundOf } from '../../src/rules/cost/value-bounds.ts';
import { RuleEngine } from '../../src/rules/engine.ts';
import { FIELD_NAMES, findField } from '../../src/rules/fields/registry.ts';
import { loadRules } from '../../src/rules/loader/load.ts';
import { worstViews } from '../support/worst-views.ts';

const LENGTH = 16_384;
const text = (unit: string, length = LENGTH): string =>
  Buffer.from(unit.repeat(Math.ceil(length / unit.length)).slice(0, length)).toString();

/** Nanoseconds, the least of several runs. */
function nanos(run: () => unknown, runs = 30): number {
  let least = Infinity;
  for (let at = 0; at < runs; at++) {
    const before = process.hrtime.bigint();
    run();
    least = Math.min(least, Number(process.hrtime.bigint() - before));
  }
  return least;
}

function print(what: string, measured: number, estimate: number): void {
  const over = measured > estimate ? '  MORE THAN ESTIMATED' : '';
  console.log(
    `${what.padEnd(44)} ${measured.toFixed(1).padStart(12)} ${estimate.toFixed(1).padStart(12)}${over}`,
  );
}

console.log(
  'per unit of a value of 16,384, in ns'.padEnd(44),
  'measured'.padStart(12),
  'estimate'.padStart(12),
);
const values = ['a', '\ufffd', 'ab', 'A\ufffd', '-'].map((unit) => text(unit));
const worst = (run: (value: string) => unknown): number =>
  Math.max(...values.map((value) => nanos(() => run(value)))) / LENGTH;
for (const wanted of [
  `${'a'.repeat(249)}b`,
  'aaaaab',
  `bb${'ab'.repeat(140)}b`,
  `${'a'.repeat(4000)}b`,
]) {
  const perWanted = (wanted.length * COST.searchUnit) / LENGTH;
  print(
    `search for ${wanted.length}`,
    worst((value) => includesText(value, wanted)),
    COST.searchUnit + perWanted,
  );
}
print('lower case', worst(lowerAscii), COST.caseUnit);
for (const pattern of [
  '.*(wget|curl).*(http|https)://.*',
  '.*[^a-z]{1,40}x.*',
  '[^\ufffdĀ-ȀԀ؀܀]*x',
  '(a|b|c|-|.)*x',
]) {
  const compiled = compileRegex(pattern);
  if (typeof compiled === 'string') throw new Error(compiled);
  const steps = Math.ceil(Math.log2(compiled.table?.classes ?? 1));
  print(`regex ${pattern}`, worst(compiled.test), COST.patternUnit + COST.classStep * steps);
}
for (const pattern of [
  `*${'?'.repeat(250)}b`,
  `*a?${'*a'.repeat(100)}b`,
  `*[!b]${'?'.repeat(25)}b`,
  `*${'[!ĀȀԀ؀܀]'.repeat(15)}b`,
]) {
  const { test, words, classes } = compileGlob(pattern);
  const unit = COST.patternUnit + COST.classStep * Math.ceil(Math.log2(classes));
  print(`glob ${pattern.slice(0, 20)} (${words} words)`, worst(test), unit + words * COST.globWord);
}
const path = text('/a', 4096);
print(
  'pmatch, a unit of a path',
  nanos(() => compilePathMatch(['/x'])(path)) / path.length,
  COST.splitUnit,
);

/** Has the engine put a text together that was only made of parts so far. */
const touch = (value: unknown): number => (typeof value === 'string' ? value.charCodeAt(9) : 0);

console.log('\nreading a field of the worst events, in us');
const views = ['a', '\ufffd', 'a/', 'é', '😀', 'proc/self/root/'].flatMap((unit) =>
  worstViews(unit),
);
for (const name of FIELD_NAMES) {
  const field = findField(name)?.field;
  if (field?.status !== 'available') continue;
  for (const argument of field.argument === 'none'
    ? [undefined]
    : [undefined, '1', 'args', 'name', 'AB', '/a/*']) {
    if (argument === undefined && field.argument === 'required') continue;
    const reader = field.reader(argument);
    if ('problem' in reader) continue;
    const measured = Math.max(...views.map((view) => nanos(() => touch(reader.read(view)), 3)));
    const { nanos: estimate } = boundOf(field, argument);
    if (measured > 3000 || measured > estimate) {
      print(
        `${name}${argument === undefined ? '' : `[${argument}]`}`,
        measured / 1000,
        estimate / 1000,
      );
    }
  }
}

console.log('\nconditions for the worst events, in us');
for (const condition of [
  'proc.cmdline contains abc',
  'proc.cmdline icontains anyof (id_rsa, id_dsa, id_ed25519, authorized_keys, aaaaab)',
  'proc.acmdline contains abc',
  'proc.aargs glob "*a?b*"',
  'proc.cmdline regex ".*(curl|wget) .*(http|https)://.*"',
  `proc.cmdline glob anyof (${Array.from({ length: 8 }, (_, at) => `"*a?a?b${at}*"`).join(', ')})`,
  'proc.env contains val(proc.exepath)',
  'tolower(toupper(tolower(proc.cmdline))) contains abc',
  'join(proc.args, (proc.args, proc.args, proc.args, proc.args)) contains b',
]) {
  const rule = {
    rule: 'r',
    desc: 'd',
    output: 'x',
    priority: 'ERROR',
    condition: `evt.type in (execve, openat) and ${condition}`,
  };
  const { ruleSet } = loadRules([{ name: 'r.yaml', text: JSON.stringify([rule]) }]);
  if (ruleSet?.rules[0] === undefined) throw new Error(condition);
  const engine = new RuleEngine(ruleSet);
  const measured = Math.max(...views.map((view) => nanos(() => engine.evaluate(view), 8)));
  print(
    condition.slice(0, 44),
    measured / 1000,
    conditionCost([ruleSet.rules[0].condition]).nanos / 1000,
  );
}
