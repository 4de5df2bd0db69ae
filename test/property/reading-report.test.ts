import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parse, type DefaultTreeAdapterTypes } from 'parse5';
import { readTextLine } from '../../src/reading/read-text-line.ts';
import { LOG_SYSTEMS } from '../../src/reading/read-log-line.ts';
import type { LogSystem } from '../../src/reading/read-log-line.ts';
import { IncidentCollector } from '../../src/reading/report/collector.ts';
import { NumberRanges } from '../../src/reading/number-ranges.ts';
import { renderReport } from '../../src/reading/report/page.ts';
import type { RuleGuide } from '../../src/reading/report/rule-guide.ts';
import { PRIORITIES } from '../../src/rules/detection.ts';
import type { RunbookEntry } from '../../src/rules/loader/runbook.ts';
import { formatLine } from '../../src/streams/format.ts';
import { containerOf, deliveryOf } from '../unit/streams/delivery-fixture.ts';
import { runs } from '../support/runs.ts';

// Whatever a log holds, it is text on the page: compared with what a browser's parser makes of it.

const hostile = fc.constantFrom(
  '<script>alert(1)</script>',
  '</style>',
  '</title>',
  '</pre>',
  '<!--',
  '-->',
  '<![CDATA[',
  '<img src=x onerror=alert(1)>',
  '"><svg onload=1>',
  "' onmouseover='x",
  '</svg>',
  '<plaintext>',
  '&lt;b&gt;',
  '&#60;b',
  '&amp',
  '<b',
  '</',
  '<',
  '>',
  '"',
  "'",
  '`',
  '=',
  '${1}',
  '{{1}}',
  'javascript:alert(1)',
  '\x1b[2J',
  '\u202e',
  '\u2028',
  '\ud800',
  '\0',
  '\ufeff',
  '\r',
  'T1059',
  'Varvel: coverage',
  'mitre_"x',
  'T1059.004"',
  '/',
  '../',
  '#',
  '%',
  '\\u003c',
  '😀',
  'é',
);
const text = fc
  .array(fc.oneof(hostile, fc.string({ unit: 'binary', maxLength: 6 })), { maxLength: 6 })
  .map((parts) => parts.join(''));

interface Sample {
  readonly rule: string;
  readonly incident: string | undefined;
  readonly priority: (typeof PRIORITIES)[number];
  readonly tags: string[];
  readonly output: string;
  readonly fields: [string, string][];
  readonly app: string;
  readonly instance: string;
  readonly space: string;
  readonly hostname: string;
  readonly id: string;
  readonly names: string[];
  readonly own: boolean;
  readonly line: string;
  readonly seconds: number;
  readonly seq: number;
}
const sample: fc.Arbitrary<Sample> = fc.record({
  rule: text,
  output: text,
  app: text,
  instance: text,
  space: text,
  hostname: text,
  id: text,
  line: text,
  priority: fc.constantFrom(...PRIORITIES),
  tags: fc.array(text, { maxLength: 3 }),
  fields: fc.array(
    fc.tuple(
      fc.constantFrom('proc.cmdline', 'proc.exepath', 'proc.name', 'container.id', 'fd.name'),
      text,
    ),
    { maxLength: 3 },
  ),
  names: fc.array(text, { maxLength: 4 }),
  incident: fc.option(text, { nil: undefined }),
  own: fc.boolean(),
  seconds: fc.nat({ max: 100_000 }),
  seq: fc.nat({ max: 20 }),
});
type Wrap = 'cf' | 'forged' | 'docker' | 'drain' | 'compose' | 'text' | 'falco';
const WRAPS: readonly Wrap[] = ['cf', 'forged', 'docker', 'drain', 'compose', 'text', 'falco'];
const wrap = fc.constantFrom(...WRAPS);

function linesOf(what: Sample, how: Wrap): string[] {
  const { rule, priority, tags, output, fields, app, instance, space, names, own, seq } = what;
  const { incident } = what;
  const delivery = deliveryOf(
    {
      rule,
      priority,
      tags,
      output,
      source: own ? 'varvel' : 'syscall',
      timeNs: 1_769_847_304_000_000_000n + BigInt(what.seconds) * 1_000_000_000n,
      outputFields: Object.fromEntries(fields),
      ...(incident === undefined ? {} : { incident }),
      container: containerOf({}, { name: app, instance, space }),
      ...(names.length === 0
        ? {}
        : {
            lineage: {
              processes: names.map((name, index) => ({ pid: index + 1, start: 5, name })),
              above: 'outside',
            },
          }),
    },
    { id: what.id, seq, hostname: what.hostname },
  );
  const json = formatLine(delivery, { format: 'json' });
  const line = what.line.replaceAll('\n', ' ');
  const wrapped: Record<Wrap, string> = {
    cf: `   2026-01-31T08:15:04.12+0000 [VARVEL/0] ERR ${json}`,
    forged: `   2026-01-31T08:15:04.12+0000 [APP/PROC/WEB/0] OUT ${json}`,
    docker: json,
    drain: `<11>1 2026-01-31T08:15:04Z o.s.a guid [VARVEL/0] - - ${json}`,
    compose: `${line.replaceAll(/\s/g, '') || 'x'}  | ${json}`,
    text: formatLine(delivery, { format: 'text' }),
    falco: JSON.stringify({ ...(JSON.parse(json) as object), id: undefined, seq: undefined }),
  };
  return [
    line,
    wrapped[how],
    `   2026-01-31T08:15:04.12+0000 [APP/${instance.replaceAll(/\s/g, '')}] OUT ${line}`,
  ];
}

function pageOf(lines: readonly string[], guide: RuleGuide, from: LogSystem | undefined): string {
  const collector = new IncidentCollector({
    sinceMs: undefined,
    untilMs: undefined,
    app: undefined,
    id: undefined,
    from,
    sourceType: 'VARVEL',
    knownRules: new Set(guide.keys()),
  });
  for (const line of lines) collector.line(line);
  const incident = collector.end();
  assert.ok(incident !== undefined);
  return renderReport(incident, { guide, version: '1.2.3', asked: lines[0] ?? '' });
}

/** What each attribute's value may be: nothing that a log chose fits, or it does no harm. */
const ATTRIBUTES: Readonly<Record<string, RegExp>> = {
  lang: /^en$/,
  charset: /^utf-8$/,
  'http-equiv': /^Content-Security-Policy$/,
  content:
    /^(?:width=device-width, initial-scale=1|light dark|no-referrer|default-src 'none'; style-src 'sha256-[\w+/]+=*'; base-uri 'none'; form-action 'none')$/,
  name: /^(?:viewport|color-scheme|referrer)$/,
  class: /^[a-z ]+$/,
  id: /^(?:[a-z]+|[lr]\d+)$/,
  href: /^(?:#(?:[a-z]+|[lr]\d+)|https:\/\/attack\.mitre\.org\/techniques\/T\d{4}\/(?:\d{3}\/)?)$/,
  rel: /^noreferrer$/,
  'aria-label': /^[\d,]+ detections? at \d\d:\d\d:\d\d\.\d{3}$/,
  'aria-hidden': /^true$/,
  'text-anchor': /^(?:start|middle|end)$/,
  height: /^\d+$/,
  ...Object.fromEntries(
    ['x', 'y', 'x1', 'x2', 'y1', 'y2', 'cx', 'cy', 'r'].map((name) => [name, /^\d+(?:\.\d+)?%?$/]),
  ),
};
const ELEMENTS = new Set(
  'html head meta title style body main header section p h1 h2 h3 div span b a nav dl dt dd ul ol li em figure figcaption svg line circle text time code pre article details summary footer'.split(
    ' ',
  ),
);

/** The elements with their attributes, in order, without the texts. Fails for what the page cannot have of its own. */
function outline(page: string): string[] {
  const errors: string[] = [];
  const document = parse(page, { onParseError: ({ code }) => errors.push(code) });
  assert.deepEqual(errors, []);
  const seen: string[] = [];
  const visit = (node: DefaultTreeAdapterTypes.ChildNode): void => {
    assert.notEqual(node.nodeName, '#comment');
    if (!('tagName' in node)) return;
    assert.ok(ELEMENTS.has(node.tagName), node.tagName);
    for (const { name, value } of node.attrs) {
      assert.match(value, ATTRIBUTES[name] ?? /^(?!)/, `${node.tagName} ${name}`);
    }
    seen.push(
      `${node.tagName} ${node.attrs.map(({ name, value }) => `${name}=${value}`).join(' ')}`,
    );
    node.childNodes.forEach(visit);
  };
  document.childNodes.forEach(visit);
  return seen;
}

/** Hidden characters are visible, so that none is left but what the page itself is laid out with. */
function assertVisible(page: string): void {
  const hidden = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u;
  assert.doesNotMatch(page.replaceAll('\n', ''), hidden);
}

const runbook: fc.Arbitrary<RunbookEntry> = fc.record({
  rule: text,
  means: text,
  look: fc.tuple(text, text, text),
  benign: text,
  attack: text,
  contain: text,
  rotate: fc.option(text, { nil: undefined }),
  keep: text,
  tell: fc.constantFrom('team', 'nobody'),
  except: text,
});

test('no input puts an element or an attribute of its own into the page', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(sample, wrap), { maxLength: 8 }),
      fc.tuple(text, text, fc.option(runbook, { nil: undefined })),
      fc.constantFrom(undefined, ...LOG_SYSTEMS),
      (samples, [why, todo, entry], from) => {
        const advice = { why, todo, runbook: entry };
        const guide = new Map(samples.slice(0, 2).map(([{ rule }]) => [rule, advice]));
        const page = pageOf(
          samples.flatMap(([what, how]) => linesOf(what, how)),
          guide,
          from,
        );
        assertVisible(page);
        outline(page);
      },
    ),
    { numRuns: runs(250) },
  );
});

/** The same text with letters in the place of all that means something in HTML. */
const tame = (value: string): string =>
  value.replace(/[&<>"'`=/]/g, (one) => String.fromCharCode(0x100 + one.charCodeAt(0)));
const tamed = (what: Sample): Sample =>
  JSON.parse(JSON.stringify(what), (key, value: unknown) =>
    typeof value === 'string' && key !== 'priority' ? tame(value) : value,
  ) as Sample;

test('the page has the same elements as if the log had letters where it has markup', () => {
  const json = fc.constantFrom<Wrap>('cf', 'forged', 'docker', 'drain', 'falco');
  fc.assert(
    fc.property(fc.array(fc.tuple(sample, json), { maxLength: 6 }), (samples) => {
      const plain = samples.map(([what, how]): [Sample, Wrap] => {
        return [{ ...what, tags: [], fields: [] }, how];
      });
      const page = (of: (what: Sample) => Sample): string =>
        pageOf(
          plain.flatMap(([what, how]) => linesOf(of(what), how)),
          new Map(),
          undefined,
        );
      assert.deepEqual(outline(page((what) => what)), outline(page(tamed)));
    }),
    { numRuns: runs(150) },
  );
});

test('what is a text line is read as it was written', () => {
  fc.assert(
    fc.property(sample, (what) => {
      const { rule, priority, app, instance, id, seq, names } = what;
      const incident = 'k3x9abcd';
      const lineage = {
        processes: ['sh', ...names].map((name, index) => ({
          pid: index + 1,
          start: 5,
          name: name.replace(/[^a-z]/g, ''),
        })),
        above: 'more',
      } as const;
      const delivery = deliveryOf(
        { rule, priority, lineage, incident, container: containerOf({}, { name: app, instance }) },
        { id, seq },
      );
      const line = formatLine(delivery, { format: 'text' });
      fc.pre(!line.includes(' truncated=true] '));
      const read = readTextLine(line);
      assert.ok(read !== undefined);
      assert.deepEqual(
        [read.rule, read.priority, read.app, read.instance, read.id, read.seq, read.incident],
        [rule, priority, app, instance, id, seq, incident],
      );
      const told = lineage.processes.map(({ pid, name }) => ({ pid, name, start: undefined }));
      assert.deepEqual(read.lineage, { processes: told, above: 'more' });
      assert.equal(read.output, 'A shell was started (command=sh)');
    }),
    { numRuns: runs(300) },
  );
});

test('numbers that are missing are those between the first and the last that were not there', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1 }), (numbers) => {
      const ranges = new NumberRanges();
      for (const number of numbers) ranges.add(number);
      const [first, last] = [Math.min(...numbers), Math.max(...numbers)];
      assert.deepEqual([ranges.first, ranges.last], [first, last]);
      const missing = ranges
        .missing()
        .flatMap(({ from, to }) => Array.from({ length: to - from + 1 }, (_, at) => from + at));
      const between = Array.from({ length: last - first + 1 }, (_, at) => first + at);
      assert.deepEqual(
        missing,
        between.filter((number) => !numbers.includes(number)),
      );
    }),
  );
});

test('numbers that the agent says it has given are missing, but for those before this log may begin', () => {
  const word = fc.record({ seen: fc.boolean(), number: fc.integer({ min: 1, max: 60 }) });
  fc.assert(
    fc.property(fc.array(word), (words) => {
      const ranges = new NumberRanges();
      for (const { seen, number } of words) {
        if (seen) ranges.add(number);
        else ranges.tell(number);
      }
      const numbers = words.filter(({ seen }) => seen).map(({ number }) => number);
      const toldBefore = words[0]?.seen === false ? words[0].number : Infinity;
      const from = Math.min(toldBefore + 1, ...numbers);
      const expected: number[] = [];
      for (let at = from; at <= Math.max(...words.map(({ number }) => number)); at++) {
        const mayBeOlder = at > Math.max(...numbers) && at <= toldBefore && toldBefore < Infinity;
        if (!numbers.includes(at) && !mayBeOlder) expected.push(at);
      }
      const missing = ranges
        .missing()
        .flatMap((hole) =>
          Array.from({ length: hole.to - hole.from + 1 }, (_, n) => hole.from + n),
        );
      assert.deepEqual(missing, expected);
    }),
  );
});
