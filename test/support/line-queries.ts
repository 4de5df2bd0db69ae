import assert from 'node:assert/strict';
import {
  ESQL,
  KQL,
  NOW,
  Parser,
  SPL,
  text,
  type Language,
  type Row,
  type Value,
} from './query-expressions.ts';

// Runs the queries of `varvel alerts` over lines, as far as those go in their languages: KQL, SPL, ES|QL and LogQL. None of
// their engines can be had here. What is not known is refused, so that no query passes for what it does not say.

/** A line as it is kept. */
export interface KeptLine {
  /** Seconds ago. */
  readonly ago: number;
  readonly source: string;
  readonly app: string;
  readonly host: string;
  readonly instance: string | undefined;
  readonly rule: string;
  readonly text: string;
}

/** At the separator, outside of strings and parentheses. */
function split(source: string, separator: ',' | '|'): string[] {
  const parts = [''];
  let depth = 0;
  for (const [token] of source.matchAll(/"(?:[^"\\]|\\.)*"|'[^']*'|[^]/g)) {
    if (token === '(') depth++;
    if (token === ')') depth--;
    if (token === separator && depth === 0) parts.push('');
    else parts.push((parts.pop() ?? '') + token);
  }
  return parts.map((part) => part.trim());
}

/** `name = expression` or, in SPL, `function(field) as name`: what rows of a group become. */
function aggregated(rows: readonly Row[], what: string, language: Language): [string, Value] {
  const [, given, named, argument, alias] =
    /^(?:(\w+)\s*=\s*)?(\w+)(?:\(([^)]*)\))?(?: as (\w+))?$/.exec(what) ??
    assert.fail(`unknown aggregation: ${what}`);
  const name = given ?? alias ?? assert.fail(`${what} has no name`);
  const operation = named!.toLowerCase();
  if (operation === 'count') return [name, rows.length];
  const value = new Parser(argument ?? '', language).whole();
  const values = rows.map((row) => value(row)).filter((it) => it !== null);
  if (operation === 'latest') return [name, values.at(-1) ?? null];
  assert.match(operation, /^(?:min|max)$/);
  assert.ok(values.every((it) => typeof it === 'number'));
  if (values.length === 0) return [name, null];
  return [name, operation === 'min' ? Math.min(...values) : Math.max(...values)];
}

function summarized(rows: readonly Row[], stage: string, language: Language): Row[] {
  const [what = '', by = ''] = stage.split(/ by /i);
  const parts =
    language === SPL ? (what.match(/\w+(?:\(\w*\))?(?: as \w+)?/g) ?? []) : split(what, ',');
  const names = by.split(/[, ]+/);
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const key = JSON.stringify(names.map((name) => row.get(name) ?? null));
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return [...groups.values()].map(
    (of) =>
      new Map<string, Value>([
        ...names.map((name): [string, Value] => [name, of[0]?.get(name) ?? null]),
        ...parts.map((part) => aggregated(of, part, language)),
      ]),
  );
}

function run(query: string, language: Language, rows: readonly Row[]): Row[] {
  const [, ...stages] = split(query, '|');
  return stages.reduce<Row[]>(
    (kept, stage) => {
      const [, word = '', rest = ''] = /^(\w+)\s*([^]*)$/.exec(stage) ?? [];
      switch (word.toLowerCase()) {
        case 'where': {
          const condition = new Parser(rest, language).whole();
          return kept.filter((row) => condition(row) === true);
        }
        case 'extend':
        case 'eval': {
          const assignments = split(rest, ',').map((part) => {
            const [, name = '', source = ''] = /^(\w+)\s*=\s*([^]*)$/.exec(part) ?? [];
            return [name, new Parser(source, language).whole()] as const;
          });
          return kept.map((row) => {
            const more = new Map(row);
            for (const [name, value] of assignments) more.set(name, value(more));
            return more;
          });
        }
        case 'summarize':
        case 'stats':
          return summarized(kept, rest, language);
        case 'grok':
          return kept.map((row) => grokked(row, rest));
        case 'spath':
        case 'keep':
          return kept;
        default:
          return assert.fail(`unknown stage: ${stage}`);
      }
    },
    [...rows],
  );
}

const GROK: Readonly<Record<string, string>> = { DATA: '.*?', INT: '[+-]?[0-9]+' };

function grokked(row: Row, rest: string): Row {
  const [, field = '', quoted = ''] = /^(\S+) (".*")$/.exec(rest) ?? [];
  const names: string[] = [];
  const pattern = (JSON.parse(quoted) as string).replace(/%\{(\w+):(\w+)\}/g, (_, of, name) => {
    names.push(name as string);
    return `(${GROK[of as string] ?? assert.fail(`unknown pattern ${of as string}`)})`;
  });
  const found = new RegExp(pattern).exec(text(row.get(field)));
  return new Map([...row, ...names.map((name, at) => [name, found?.[at + 1] ?? null] as const)]);
}

/** Rows that a query of Log Analytics has over the lines. */
export function kql(query: string, lines: readonly KeptLine[]): number {
  const rows = lines.map(
    ({ ago, source, text: message }): Row =>
      new Map<string, Value>([
        ['TimeGenerated', NOW - ago],
        ['Arrived', NOW - ago],
        ['SourceType_s', source],
        ['Message_s', message],
      ]),
  );
  return run(query.replaceAll('ingestion_time()', 'Arrived'), KQL, rows).length;
}

/** Results of a saved search of Splunk’s, which has the fields of a JSON message by their paths (spath). */
export function spl(search: string, lines: readonly KeptLine[]): number {
  const rows = lines.map(
    ({ ago, source, app, text: message }): Row =>
      new Map<string, Value>([
        ['_time', NOW - ago],
        ['_indextime', NOW - ago],
        ['source_type', source],
        ['cf_app_id', app],
        ['cf_app_name', app],
        ...paths('msg', JSON.parse(message) as Value),
      ]),
  );
  return run(search, SPL, rows).length;
}

function paths(path: string, value: Value): [string, Value][] {
  if (value === null || typeof value !== 'object')
    return [[path, value === null ? 'null' : String(value)]];
  return Object.entries(value).flatMap(([key, of]) => paths(`${path}.${key}`, of));
}

/** Rows of ES|QL. */
export function esql(query: string, lines: readonly KeptLine[]): number {
  const rows = lines.map(
    ({ ago, source, app, host, instance, text: message }): Row =>
      new Map<string, Value>([
        ['@timestamp', NOW - ago],
        ['log.syslog.procid', `[${source}${instance === undefined ? '' : `/${instance}`}]`],
        ['log.syslog.appname', app],
        ['log.syslog.hostname', host],
        ['message', message],
      ]),
  );
  return run(query, ESQL, rows).length;
}

/** Elements of the vector that a rule of the ruler has: comparisons of numbers over time, and the highest of each group. */
export function logql(expression: string, lines: readonly KeptLine[]): number {
  const vectors: Map<string, number>[] = [];
  const range =
    /(max|min)_over_time\(\s*\{([^}]*)\}\[24h\](?: offset (\d+)m)? \| json ([^|]*)((?:\| [^|]*)*?)\| unwrap (\w+)\s*\) by \(([^)]*)\)/g;
  const shape = expression.replace(range, (_, ...parts: (string | undefined)[]) => {
    const [
      operation,
      selector = '',
      minutes = '0',
      paths = '',
      filters = '',
      unwrap = '',
      by = '',
    ] = parts;
    const vector = new Map<string, number>();
    for (const line of lines.filter(({ ago }) => ago >= Number(minutes) * 60)) {
      const labels = new Map<string, string>([
        ['source_type', line.source] as const,
        ['varvel_rule', line.rule] as const,
        ['host', line.host] as const,
        ['app', line.app] as const,
      ]);
      if (!fits(labels, selector)) continue;
      for (const [, name, path] of paths.matchAll(/(\w+)=("(?:[^"\\]|\\.)*")/g))
        labels.set(name!, at(JSON.parse(line.text) as Value, JSON.parse(path!) as string));
      if (!fits(labels, filters)) continue;
      const key = JSON.stringify(by.split(', ').map((name) => labels.get(name) ?? ''));
      const value = Number(labels.get(unwrap));
      const before = vector.get(key) ?? value;
      vector.set(key, operation === 'max' ? Math.max(before, value) : Math.min(before, value));
    }
    vectors.push(vector);
    return 'V';
  });
  const [, by] = /^max by \((.*)\) \( V > V > V \)$/.exec(shape.replace(/\s+/g, ' ')) ?? [];
  assert.equal(by, 'host, app', shape);
  const [left = new Map<string, number>(), ...others] = vectors;
  const kept = [...left].filter(([key, value]) =>
    others.every((other) => value > (other.get(key) ?? Infinity)),
  );
  return new Set(kept.map(([key]) => JSON.stringify((JSON.parse(key) as string[]).slice(0, 2))))
    .size;
}

function at(value: Value, path: string): string {
  const keys = [...path.matchAll(/\["([^"]+)"\]|(\w+)/g)].map(
    ([, quoted, plain]) => quoted ?? plain,
  );
  const found = keys.reduce<Value>(
    (of, key) => (of as Readonly<Record<string, Value>> | null)?.[key!] ?? null,
    value,
  );
  return text(found);
}

function fits(labels: ReadonlyMap<string, string>, matchers: string): boolean {
  return [...matchers.matchAll(/(\w+)(=~|!=|=)("(?:[^"\\]|\\.)*")/g)].every(
    ([, name, operator, quoted]) => {
      const value = labels.get(name!) ?? '';
      const wanted = JSON.parse(quoted!) as string;
      if (operator === '=~') return new RegExp(`^(?:${wanted})$`).test(value);
      return (value === wanted) === (operator === '=');
    },
  );
}
