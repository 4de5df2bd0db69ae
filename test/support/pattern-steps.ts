// How often code of the pattern matcher runs, for values of growing length: pattern-steps.ts LENGTH…
// A process of its own, which counts before it loads anything: V8 counts blocks only in functions that it compiles after that.
import assert from 'node:assert/strict';
import { Session, type Profiler } from 'node:inspector';

const POLICY = String.raw`custom_rules:
  - {rule: A, desc: d, output: x, priority: NOTICE, condition: evt.type = execve and proc.name regex "(a+)+$"}
  - {rule: B, desc: d, output: x, priority: NOTICE, condition: evt.type = execve and proc.name regex "(a|aa)*(a|a)*(a*)*b"}
`;

const session = new Session();
session.connect();
session.post('Profiler.enable');
session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });

const { compilePolicy } = await import('../../src/policy/app-policy.ts');
const { operatorRulesOf } = await import('../../src/policy/check-policy.ts');
const { readPolicy } = await import('../../src/policy/policy-document.ts');
const { makeEvent, makeProcess, makeSubject } = await import('./rules-subject.ts');

const { document } = readPolicy({ name: 'varvel.yml', text: POLICY });
assert.ok(document);
const { policy } = compilePolicy(document, operatorRulesOf([]), 'verified');
assert.ok(policy);
const lengths = process.argv.slice(2).map(Number);
// What is made once for a pattern is not counted.
steps(100);
process.stdout.write(JSON.stringify(lengths.map(steps)));

/** How often any block of the matcher's code ran for a value of this length. */
function steps(length: number): number {
  const subject = makeSubject(makeEvent('execve'), {
    process: makeProcess({ image: { name: `${'a'.repeat(length)}!` } }),
  });
  taken();
  assert.deepEqual(policy!.refine([], subject), []);
  return taken()
    .filter(({ url }) => url.includes('regex-dfa'))
    .flatMap(({ functions }) => functions.flatMap(({ ranges }) => ranges))
    .reduce((sum, { count }) => sum + count, 0);
}

/** The counts since the last call. Answers at once: no other code runs meanwhile. */
function taken(): readonly Profiler.ScriptCoverage[] {
  let scripts: readonly Profiler.ScriptCoverage[] = [];
  session.post('Profiler.takePreciseCoverage', (error, { result }) => {
    assert.equal(error, null);
    scripts = result;
  });
  return scripts;
}
