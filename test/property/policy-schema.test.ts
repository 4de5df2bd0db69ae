// The published JSON Schema and the validator agree about the shape of policies: of right ones, and of right ones in which
// something was changed.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { checkPolicy, operatorRulesOf } from '../../src/policy/check-policy.ts';
import { policySchema } from '../../src/policy/policy-schema.ts';
import { VALUE_SHAPES } from '../../src/policy/policy-variables.ts';
import { PRIORITIES } from '../../src/rules/detection.ts';
import { runs } from '../support/runs.ts';

const OPERATORS = `
- list: shells
  items: [sh, bash]
${[...VALUE_SHAPES.keys(), 'words'].map((name) => `- list: app_${name}\n  items: []\n`).join('')}
- list: app_outbound_hosts_networks
  items: []
- macro: started
  condition: evt.type in (execve, execveat)
- rule: Shell started
  desc: d
  condition: started and proc.name in (shells)
  exceptions: [{name: pairs, fields: [proc.name, proc.cwd]}, {name: names, fields: proc.name}]
  output: shell %proc.name
  priority: NOTICE
  tags: [shell]
`;
const operator = operatorRulesOf([{ name: 'operator.yaml', text: OPERATORS }]);
const published = JSON.parse(readFileSync('buildpack/varvel.schema.json', 'utf8')) as object;
// `examples` are for people; the validator of schemas itself stays strict.
const accepts = new Ajv2020({ allowUnionTypes: true, strictTypes: false }).compile(published);

const SHAPE_CODES: readonly string[] = ['LOAD_ERR_YAML_VALIDATE', 'LOAD_ERR_YAML_PARSE'];

/** What the validator says of a document: of its shape, and of what a schema cannot know. */
function judge(document: unknown): { shape: string[]; meaning: string[] } {
  const { errors } = checkPolicy({ name: 'varvel.yml', text: JSON.stringify(document) }, operator);
  const said = (isShape: boolean): string[] =>
    errors
      .filter(({ code }) => SHAPE_CODES.includes(code) === isShape)
      .map(({ code, message }) => `${code} ${message}`);
  return { shape: said(true), meaning: said(false) };
}

function agree(document: unknown): boolean {
  const isAccepted = accepts(document);
  const { shape, meaning } = judge(document);
  const about = `${JSON.stringify(document)}\n${JSON.stringify({ shape, meaning })}\n${JSON.stringify(accepts.errors?.slice(0, 5))}`;
  if (isAccepted)
    assert.deepEqual(shape, [], `the schema takes it, the validator does not: ${about}`);
  else
    assert.ok(
      shape.length + meaning.length > 0,
      `the validator takes it, the schema does not: ${about}`,
    );
  return isAccepted;
}

const PATH = fc.stringMatching(/^(\/[a-z.*? -]{1,6}){1,3}$/);
const host = fc.oneof(
  fc.domain(),
  fc.ipV4(),
  fc.ipV6(),
  fc.tuple(fc.ipV4(), fc.nat(40)).map(([ip, bits]) => `${ip}/${bits}`),
  fc.stringMatching(/^[a-z0-9._*:/-]{1,12}$/),
  fc.constantFrom('localhost', 'db', 'a_b', '1e5', '10', '1.5', 'x.', '-a', '::', '1.2.3.4/8/8'),
);
const word = fc.stringMatching(/^[a-zA-Z][a-zA-Z0-9 ]{0,8}$/);
const cased = fc
  .tuple(fc.constantFrom(...PRIORITIES, 'info'), fc.boolean())
  .map(([name, upper]) => (upper ? name.toUpperCase() : name));
const selection = fc
  .record({
    verb: fc.constantFrom('enable', 'disable'),
    what: fc.constantFrom(
      { rule: 'Shell *' },
      { tag: 'shell' },
      { rule: 'Shell started', tag: 'shell' },
    ),
  })
  .map(({ verb, what }) => ({ [verb]: { ...what } }));
const response = fc
  .constantFrom({ rule: 'Shell *' }, { tag: 'shell' })
  .map((what) => ({ kill: { ...what } }));
const value = fc.oneof(word, fc.integer(), fc.boolean());
const ownRule = fc.record(
  {
    rule: word.map((name) => `Mine ${name}`),
    desc: word,
    condition: fc.constantFrom('started', 'started and not proc.name in (shells)'),
    output: fc.constantFrom('x', 'x %proc.name'),
    priority: cased,
    enabled: fc.constantFrom(true, false, 'yes', 'No', 'OFF'),
    tags: fc.array(value, { maxLength: 2 }),
    source: fc.constant('syscall'),
    warn_evttypes: fc.boolean(),
    'skip-if-unknown-filter': fc.boolean(),
    exceptions: fc.constantFrom(
      [],
      [{ name: 'a', fields: 'proc.name', values: ['x', 5] }],
      [
        {
          name: 'a',
          fields: ['proc.name', 'proc.cwd'],
          comps: ['=', 'startswith'],
          values: [
            ['x', '/y'],
            ['z', '/'],
          ],
        },
      ],
      [{ name: 'a', fields: ['proc.name'], comps: ['in'], values: [[['x', 'y']]] }],
    ),
  },
  { requiredKeys: ['rule', 'desc', 'condition', 'output', 'priority'] },
);
const customRule = fc.oneof(
  ownRule,
  fc.record({ list: word.map((name) => `l${name}`), items: fc.array(value, { maxLength: 3 }) }),
  fc.nat(1000).map((n) => ({ macro: `m${n}`, condition: 'proc.name = x' })),
  fc.constantFrom(
    {
      rule: 'Shell started',
      exceptions: [{ name: 'names', values: ['x'] }],
      override: { exceptions: 'append' },
    },
    {
      rule: 'Shell started',
      exceptions: [{ name: 'pairs', values: [['x', '/y']] }],
      override: { exceptions: 'append' },
    },
    {
      rule: 'Shell started',
      exceptions: [{ name: 'new', fields: 'proc.cwd', comps: 'pmatch', values: ['/y'] }],
      override: { exceptions: 'append' },
    },
    null,
  ),
);
const orNull = <T>(of: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(of, { freq: 8 });
const policy = fc.record(
  {
    minimum_priority: cased,
    rules: orNull(fc.array(selection, { maxLength: 3 })),
    responses: orNull(fc.array(response, { maxLength: 2 })),
    variables: orNull(
      fc.record(
        {
          expected_executables: orNull(fc.array(PATH, { maxLength: 3 })),
          secret_paths: orNull(fc.array(PATH, { maxLength: 3 })),
          code_paths: orNull(fc.array(PATH, { maxLength: 2 })),
          outbound_hosts: orNull(fc.array(host, { maxLength: 3 })),
          words: orNull(
            fc.array(fc.oneof(value, fc.string({ unit: 'grapheme', maxLength: 6 })), {
              maxLength: 2,
            }),
          ),
        },
        { requiredKeys: [] },
      ),
    ),
    custom_rules: orNull(
      fc.uniqueArray(customRule, { maxLength: 3, selector: (item) => JSON.stringify(item) }),
    ),
  },
  { requiredKeys: [] },
);

const junk = fc.constantFrom<unknown[]>(
  null,
  '',
  'x',
  5,
  -1.5,
  1e30,
  true,
  [],
  {},
  [[]],
  [null],
  [''],
  { x: 1 },
  { rule: 'x' },
  'append',
  'a"b',
  'a\nb',
  '/x',
);
type Change = {
  readonly at: number;
  readonly to: unknown;
  readonly how: 'replace' | 'remove' | 'rename' | 'add';
};
const change: fc.Arbitrary<Change> = fc.record({
  at: fc.nat(),
  to: junk,
  how: fc.constantFrom('replace', 'replace', 'remove', 'rename', 'add'),
});

/** Every place of a document: who holds it, and by which key. */
function places(node: unknown, found: [holder: Record<string, unknown>, key: string][] = []) {
  if (typeof node !== 'object' || node === null) return found;
  for (const key of Object.keys(node)) {
    found.push([node as Record<string, unknown>, key]);
    places((node as Record<string, unknown>)[key], found);
  }
  return found;
}

function changed(document: unknown, { at, to, how }: Change): unknown {
  const copy = structuredClone(document);
  const all = places(copy);
  const [holder, key] = all[at % Math.max(1, all.length)] ?? [];
  if (holder === undefined || key === undefined) return how === 'replace' ? to : copy;
  if (Array.isArray(holder)) {
    if (how === 'remove') holder.splice(Number(key), 1);
    else holder[Number(key)] = to;
  } else if (how === 'replace') holder[key] = to;
  else if (how === 'add') holder['enabled' in holder ? 'extra' : 'enabled'] = to;
  else {
    const value = holder[key];
    Reflect.deleteProperty(holder, key);
    if (how === 'rename') holder[`${key}s`] = value;
  }
  return copy;
}

test('what is published is what the validator’s shapes come to', () => {
  const text = `${JSON.stringify(policySchema(), undefined, 2)}\n`;
  assert.equal(
    readFileSync('buildpack/varvel.schema.json', 'utf8'),
    text,
    'run: node --import tsx src/main.ts policy --schema > buildpack/varvel.schema.json',
  );
});

test('policies that are right, but for values: both take what the other takes', () => {
  let taken = 0;
  let refused = 0;
  fc.assert(
    fc.property(policy, (document) => {
      if (agree(document)) taken++;
      else refused++;
    }),
    { numRuns: runs(800) },
  );
  assert.ok(taken > runs(200) && refused > runs(50), `${taken} taken, ${refused} refused`);
});

test('policies in which something was changed', () => {
  let taken = 0;
  let refused = 0;
  fc.assert(
    fc.property(policy, fc.array(change, { minLength: 1, maxLength: 2 }), (document, changes) => {
      if (agree(changes.reduce(changed, document))) taken++;
      else refused++;
    }),
    { numRuns: runs(3000) },
  );
  assert.ok(taken > runs(200) && refused > runs(500), `${taken} taken, ${refused} refused`);
});

describe('examples in the schema are taken by the validator, of each kind', () => {
  const { examples, properties } = published as {
    examples: unknown[];
    properties: Record<
      string,
      { examples?: unknown[]; properties?: Record<string, { examples: unknown[] }> }
    >;
  };
  const defaults = operatorRulesOf([
    { name: 'rules', text: readFileSync('manifests/rules/varvel_rules.yaml', 'utf8') },
  ]);
  const documents = [
    ...examples,
    ...Object.entries(properties).flatMap(([key, one]) => [
      ...(one.examples ?? []).map((example) => ({ [key]: example })),
      ...Object.entries(one.properties ?? {}).map(([name, inner]) => ({
        [key]: { [name]: inner.examples[0] },
      })),
    ]),
  ];
  for (const document of documents) {
    test(JSON.stringify(document).slice(0, 80), () => {
      assert.ok(accepts(document), JSON.stringify(accepts.errors));
      const { errors, warnings } = checkPolicy(
        { name: 'varvel.yml', text: JSON.stringify(document) },
        defaults,
      );
      assert.deepEqual([...errors, ...warnings], []);
    });
  }
  assert.ok(documents.length > 5);
});

describe('what a schema cannot say', () => {
  const beyond: Readonly<Record<string, unknown>> = {
    'names of rules': { rules: [{ disable: { rule: 'None of this name' } }] },
    'names of variables': { variables: { unknown_to_all: ['x'] } },
    'addresses that there can be none of': { variables: { outbound_hosts: ['300.0.0.1'] } },
    conditions: {
      custom_rules: [
        { rule: 'M', desc: 'd', condition: 'evt.type =', output: 'x', priority: 'error' },
      ],
    },
    'values of all variables together': {
      variables: Object.fromEntries(
        ['secret_paths', 'code_paths'].map((name) => [name, Array(300).fill('/x')]),
      ),
    },
    'items of each kind': {
      custom_rules: Array.from({ length: 101 }, (_, n) => ({ list: `l${n}`, items: [] })),
    },
  };
  for (const [what, document] of Object.entries(beyond)) {
    test(what, () => {
      assert.ok(accepts(document), JSON.stringify(accepts.errors));
      const { shape, meaning } = judge(document);
      assert.deepEqual([shape, meaning.length > 0], [[], true]);
    });
  }
});
