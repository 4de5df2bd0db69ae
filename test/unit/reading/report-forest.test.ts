import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_PROCESSES, processForest } from '../../../src/reading/report/process-forest.ts';
import type { ProcessForest, ProcessNode } from '../../../src/reading/report/process-forest.ts';
import { ORIGINS } from '../../../src/rules/lineage.ts';
import type { Lineage, Origin } from '../../../src/rules/lineage.ts';
import { incidentOf, line } from './report-fixture.ts';

const P = (pid: number, name: string, start = 1000 + pid) => ({ pid, start, name });
const lineage = (
  processes: Lineage['processes'],
  above: Lineage['above'] = 'outside',
): { lineage: Lineage } => ({ lineage: { processes, above } });

function forestOf(lines: readonly string[]): ProcessForest {
  return processForest(incidentOf(lines).groups.flatMap(({ shown }) => shown));
}
/** `sh(2)[1]`: name, number, how many detections; children indented. */
function drawn(nodes: readonly ProcessNode[], depth = 0): string[] {
  return nodes.flatMap(({ names, pid, found, children }) => [
    `${' '.repeat(depth)}${names.join('→')}(${pid ?? ''})${found.length > 0 ? `[${found.length}]` : ''}`,
    ...drawn(children, depth + 1),
  ]);
}
const rootsOf = ({ trees }: ProcessForest): string[] => trees.flatMap(({ roots }) => drawn(roots));

test('lineages are joined where they share a process', () => {
  const node = P(1, 'node');
  const sh = P(20, 'sh');
  const forest = forestOf([
    line(1, 1, lineage([sh, node])),
    line(2, 2, lineage([P(21, 'cat'), sh, node])),
    line(3, 3, lineage([P(22, 'nc'), sh, node])),
    line(4, 4, lineage([P(30, 'sh')])),
  ]);
  assert.deepEqual(rootsOf(forest), [
    'node(1)',
    ' sh(20)[1]',
    '  cat(21)[1]',
    '  nc(22)[1]',
    'sh(30)[1]',
  ]);
  assert.equal(forest.byName, false);
});

test('a number that is used again is another process; one that runs something else is the same', () => {
  const node = P(1, 'node');
  const forest = forestOf([
    line(1, 1, lineage([P(20, 'sh', 5000), node])),
    line(2, 2, lineage([P(20, 'cat', 5000), node])),
    line(3, 3, lineage([P(20, 'sh', 9000), node])),
  ]);
  assert.deepEqual(rootsOf(forest), ['node(1)', ' sh→cat(20)[2]', ' sh(20)[1]']);
});

test('text lines have no start: processes are told apart by their ancestors too', () => {
  const forest = forestOf([
    line(1, 1, lineage([P(20, 'sh'), P(1, 'node')]), 'text'),
    line(2, 2, lineage([P(20, 'sh'), P(1, 'node')]), 'text'),
    line(3, 3, lineage([P(20, 'sh'), P(7, 'ruby'), P(1, 'node')]), 'text'),
  ]);
  assert.deepEqual(rootsOf(forest), ['node(1)', ' sh(20)[2]', ' ruby(7)', '  sh(20)[1]']);
});

test('what is above the last one is told, not guessed', () => {
  const above = (what: Lineage['above']): unknown =>
    forestOf([line(1, 1, lineage([P(2, 'sh')], what))]).trees[0]?.roots[0]?.above;
  for (const what of ['outside', 'more', 'unknown'] as const) assert.equal(above(what), what);
});

test('how the oldest process came in is told from both forms of a line', () => {
  for (const form of ['json', 'text'] as const)
    for (const origin of [...ORIGINS, undefined]) {
      const { lineage: told } = lineage([P(2, 'sh'), P(1, 'exec')], 'more');
      const own = { lineage: { ...told, ...(origin === undefined ? {} : { origin }) } };
      const [root] = forestOf([line(1, 1, own, form)]).trees[0]!.roots;
      assert.deepEqual(
        [root?.names, root?.above, [...(root?.origins ?? [])]],
        [['exec'], 'more', origin === undefined ? [] : [origin]],
      );
    }
});

test('lines of one tree that tell different origins: both are kept', () => {
  const of = (seq: number, pid: number, origin: Origin) =>
    line(seq, seq, { lineage: { ...lineage([P(pid, 'sh'), P(1, 'sshd')]).lineage, origin } });
  const [root] = forestOf([of(1, 2, 'start'), of(2, 3, 'ssh')]).trees[0]!.roots;
  assert.deepEqual([...(root?.origins ?? [])], ['start', 'ssh']);
});

test('the command and the file of the process are from the detection', () => {
  const outputFields = { 'proc.cmdline': 'sh -c id', 'proc.exepath': '/bin/sh' };
  const [root] = forestOf([line(1, 1, { ...lineage([P(2, 'sh')]), outputFields })]).trees[0]!.roots;
  assert.deepEqual([root?.commands, root?.exe], [['sh -c id'], '/bin/sh']);
});

test('without a lineage: by names, as far as there are any; and it is said', () => {
  const named = (seq: number, fields: Record<string, string>): string =>
    line(seq, seq, { outputFields: fields });
  const forest = forestOf([
    named(1, { 'proc.name': 'sh', 'proc.pname': 'node', 'proc.aname[2]': 'npm' }),
    named(2, { 'proc.name': 'sh', 'proc.pname': 'node', 'proc.aname[2]': 'npm' }),
    named(3, { 'proc.name': 'cat', 'proc.cmdline': 'cat /x' }),
    named(4, { 'fd.name': '/etc/shadow' }),
    named(5, { 'proc.name': '<NA>' }),
  ]);
  assert.deepEqual(rootsOf(forest), ['npm()', ' node()', '  sh()[2]', 'cat()[1]']);
  assert.equal(forest.byName, true);
  assert.equal(forest.untold.length, 2);
});

test('a log that claims a circle gets none', () => {
  const [a, b] = [P(1, 'a'), P(2, 'b')];
  const forest = forestOf([
    line(1, 1, lineage([a, b])),
    line(2, 2, lineage([b, a])),
    line(3, 3, lineage([a, a])),
  ]);
  assert.deepEqual(rootsOf(forest), ['b(2)[1]', ' a(1)[2]']);
});

test('at most so many processes; detections of further ones are counted', () => {
  const lines = Array.from({ length: MAX_PROCESSES + 7 }, (_, n) =>
    line(n + 1, n, { rule: `rule ${n % 20}`, ...lineage([P(n + 2, 'sh')]) }),
  );
  const forest = forestOf(lines);
  assert.equal(rootsOf(forest).length, MAX_PROCESSES);
  assert.equal(forest.leftOut, 7);
});
