import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { parse, type DefaultTreeAdapterTypes } from 'parse5';
import type { LogSystem } from '../../../src/reading/read-log-line.ts';
import { MAX_INCIDENTS } from '../../../src/reading/report/incident-groups.ts';
import { renderReport } from '../../../src/reading/report/page.ts';
import { duration } from '../../../src/reading/report/parts.ts';
import { ruleGuide } from '../../../src/reading/report/rule-guide.ts';
import { DARK, LIGHT } from '../../../src/reading/report/style.ts';
import type { Palette } from '../../../src/reading/report/style.ts';
import type { RunbookEntry } from '../../../src/rules/loader/runbook.ts';
import type { Suppressed } from '../../../src/streams/limiter.ts';
import { lostNotice, suppressedNotice } from '../../../src/streams/notices.ts';
import { containerOf } from '../streams/delivery-fixture.ts';
import { cf, container, incidentOf, line } from './report-fixture.ts';

const GUIDE = ruleGuide([
  {
    name: 'Shell in an app container',
    description: 'Few apps ever do.\n  What\nto do: Restart it &\n  rotate.\n',
  },
]);
const page = (lines: readonly string[], from?: LogSystem): string =>
  renderReport(incidentOf(lines, { from }), { guide: GUIDE, version: '1.2.3', asked: '' });

/** What is read on the page, without markup. */
function textOf(html: string): string {
  const texts: string[] = [];
  const visit = (node: DefaultTreeAdapterTypes.ChildNode): void => {
    if (node.nodeName === 'style') return;
    if ('value' in node) texts.push(node.value);
    else if ('childNodes' in node) node.childNodes.forEach(visit);
  };
  parse(html).childNodes.forEach(visit);
  return texts.join('').replace(/\s+/g, ' ');
}

test('the policy of the page allows its own style sheet and nothing else', () => {
  const html = page([line(1, 0)]);
  const css = /<style>(.*)<\/style>/s.exec(html)?.[1] ?? '';
  const hash = createHash('sha256').update(css).digest('base64');
  const policy = /http-equiv="Content-Security-Policy"\s+content="([^"]*)"/.exec(html)?.[1];
  assert.equal(
    policy?.replaceAll('&#39;', "'"),
    `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`,
  );
  assert.ok(html.indexOf('Content-Security-Policy') < html.indexOf('<style>'));
  assert.doesNotMatch(css, /url\(|@import|expression/);
  assert.doesNotMatch(html, /<script|<link|<img|<iframe|<object|<form|\bstyle=|\bon[a-z]+=/);
});

test('the same log gives the same page', () => {
  assert.equal(page([line(1, 0)]), page([line(1, 0)]));
});

test('what it says of a rule that is known, and of one that is not', () => {
  const text = textOf(page([line(1, 0), line(2, 1, { rule: 'Mine' })]));
  assert.match(text, /Few apps ever do\. What to do now ?Restart it & rotate\./);
  assert.match(text, /Mine.*This rule is not among those/);
});

const ENTRY: RunbookEntry = {
  rule: 'Shell in an app container',
  means: 'Somebody has `sh` & more.',
  look: ['`command=` first.', 'Then <b>.', 'A lone ` stays.'],
  benign: 'A health check.',
  attack: 'Anything else.',
  contain: 'Isolate it.',
  rotate: undefined,
  keep: 'The line.',
  tell: 'team-now',
  except: 'programs',
};

test('what to do now is the runbook’s text; what the description says is for rules without an entry', () => {
  const guide = ruleGuide(
    [
      { name: ENTRY.rule, description: 'Why. What to do: Not this.' },
      { name: 'Mine', description: 'My why. What to do: This.' },
      { name: 'Bare', description: 'Its why.' },
    ],
    ({ name }) => (name === ENTRY.rule ? ENTRY : undefined),
  );
  const lines = ['Mine', 'Bare', ENTRY.rule].map((rule, n) => line(n + 1, n, { rule }));
  const html = renderReport(incidentOf(lines), { guide, version: '1.2.3', asked: '' });
  const text = textOf(html);
  assert.match(
    text,
    /Why\. What to do now Somebody has sh & more\. Look first at: command= first\. ?Then <b>\. ?A lone ` stays\. Keep: The line\. ?Contain: Isolate it\. ?Tell: The app’s team now; /,
  );
  assert.match(
    text,
    /Benign: A health check\. An attack: Anything else\. Silence: By the exception programs,/,
  );
  assert.match(html, /Somebody has <code>sh<\/code> &amp; more\./);
  assert.match(text, /What fired How to look into a container, .* RUNBOOK\.md beside the rules\./);
  assert.doesNotMatch(text, /Not this|Rotate:/);
  assert.match(text, /My why\. What to do now ?This\./);
  assert.match(text, /Its why\. It has no runbook, and its description does not say what to do\./);
  assert.doesNotMatch(textOf(page([line(1, 0)])), /RUNBOOK/);
});

const about = (outputFields: Readonly<Record<string, string>>, output = 'said'): string => {
  const [, cards = ''] = page([line(1, 0, { outputFields, output })]).split('<h2 id="fired">');
  return textOf(/<p class="fact">.*?<\/p>/s.exec(cards)?.[0] ?? '').trim();
};

test('each card names what its first line is about, and nothing in it steers or hides', () => {
  const command = { 'proc.cmdline': 'cat /etc/shadow' };
  assert.equal(
    about({ 'fd.name': '/etc/shadow', ...command }),
    'File /etc/shadow, command cat /etc/shadow',
  );
  assert.equal(
    about({ 'fd.name': '10.0.0.3:5->10.0.0.4:80' }),
    'Connection 10.0.0.3:5->10.0.0.4:80',
  );
  assert.equal(about({ 'fd.name': '<NA>', 'evt.arg.path': '/bin/x' }), 'File /bin/x');
  assert.equal(about(command), 'Command cat /etc/shadow');
  assert.equal(about({}, 'Shell in an app container | tty=4'), 'tty=4');
  assert.equal(
    about({ 'fd.name': '<img src=x>\n\x1b[2J\u202e' }),
    'File <img src=x>\\n\\x1b[2J\\u202e',
  );
  assert.equal(about({ 'fd.name': 'x'.repeat(201) }), `File ${'x'.repeat(200)}…`);
  const two = [
    line(1, 0, { outputFields: command }),
    line(2, 1, { outputFields: { 'fd.name': '/b' } }),
  ];
  assert.match(textOf(page(two)), /× 2 08:15:04.*Command cat \/etc\/shadow \(its first line\)/);
});

test('the story is before the cards, and in it the way in before the most severe line', () => {
  const processes = (...names: string[]) =>
    names.map((name, at) => ({ name, pid: names.length - at, start: 5 }));
  const loud = line(2, 3, {
    rule: 'Loud',
    priority: 'Critical',
    incident: 'k3x9abcd',
    outputFields: { 'fd.name': '1.1.1.1:2->3.3.3.3:4' },
    lineage: { processes: processes('nc', 'sh', 'node'), above: 'outside', origin: 'start' },
  });
  const quiet = line(1, 0, {
    rule: 'Quiet',
    priority: 'Notice',
    incident: 'k3x9abcd',
    outputFields: { 'proc.cmdline': 'sh -c x' },
    lineage: { processes: processes('sh\x1b', 'node'), above: 'outside', origin: 'start' },
  });
  // Lines may come out of order.
  const html = page([loud, quiet, line(3, 9, { rule: 'Alone', incident: 'a3x9abcd' })]);
  const ids = [...html.matchAll(/<h2 id="(\w+)"/g)].map(([, id]) => id);
  assert.deepEqual(ids, ['processes', 'incidents', 'fired', 'time', 'log', 'lines', 'reading']);
  const text = textOf(html);
  assert.match(text, /in 9 s\. It began with Quiet\. Most severe: Loud\./);
  assert.match(
    text,
    /What happened shop\/0, incident k3x9abcd The way in Notice Quiet 08:15:04\.000 Command sh -c x The most severe line Critical Loud 08:15:07\.000 \(\+3 s\) Connection 1\.1\.1\.1:2->3\.3\.3\.3:4 From: The container’s first process, started by its runtime\. node \(1\) → sh\\x1b \(2\) shop\/0, incident a3x9abcd The way in Warning Alone/,
  );
  const one = textOf(page([line(1, 0), line(2, 1)]));
  assert.match(one, /The way in, and the most severe line Warning Shell in an app container/);
  const many = Array.from({ length: 8 }, (_, n) =>
    line(n + 1, n, { incident: `i${n}`, rule: `r${n}`, priority: n < 3 ? 'Notice' : 'Error' }),
  );
  const told = textOf(page(many));
  assert.deepEqual(
    [...told.matchAll(/The way in Error (r\d)/g)].map(([, rule]) => rule),
    ['r3', 'r4', 'r5', 'r6', 'r7'],
  );
  assert.match(told, /How 3 less severe incidents began is not told here/);
});

test('the head: how much, when, where', () => {
  const text = textOf(
    page([cf(line(1, 0, { priority: 'Critical' })), cf(line(2, 75, { rule: 'Mine' }))], 'cf'),
  );
  assert.match(text, /shop/);
  assert.match(
    text,
    /2 detections of 2 rules in 1 min 15 s\. Most severe: Shell in an app container\. 2026-01-31 08:15:04 – 08:16:19 UTC/,
  );
  assert.match(text, /instance 0 · container abababababab · host cell-1 ! 1 reason to be careful/);
  assert.match(text, /App GUID ?g-1/);
});

const LIMITS = { burst: 5, perMinute: 6, appBurst: 7, appPerMinute: 8, summaryMs: 60_000 };

test('what this log can be relied on for', () => {
  const numbers = [{ from: 3, to: 4 }];
  const lost = { count: 2, firstNs: 0n, lastNs: 0n, container, numbers };
  const suppressed: Suppressed = {
    rule: 'r',
    priority: 'Warning',
    count: 31,
    firstNs: 0n,
    lastNs: 0n,
    container,
  };
  const text = textOf(
    page(
      [
        cf(line(1, 0)),
        cf(line(5, 1)),
        cf(line(9, 2), 'APP/PROC/WEB/0'),
        line(6, 3),
        cf(line(0, 4, { ...lostNotice('syslog', lost), output: 'For people.' })),
        cf(line(0, 5, { ...suppressedNotice(suppressed, LIMITS), output: 'For people.' }, 'text')),
      ],
      'cf',
    ),
  );
  assert.match(text, /4 lines of the agent by the log system’s word, which --from named/);
  assert.doesNotMatch(text, /does not say who wrote/);
  assert.match(text, /2 lines looked like a detection and came from elsewhere/);
  assert.match(text, /Of shop\/0 3 lines are missing here by their numbers \(seq\): 2–4\./);
  assert.match(text, /could not write lines with these numbers here: 3–4\./);
  assert.match(text, /31 more detections were counted instead of written/);
  assert.match(text, /2 lines were lost on the way/);
  assert.match(text, /No coverage line is here/);
  assert.match(text, /Varvel: lines lost × 1: Lines are missing in this log; the operator’s copy/);
});

test('a log of which nobody said where it is from: an app may have printed each of its lines', () => {
  const unsaid = textOf(page([cf(line(1, 0)), cf(line(2, 1))]));
  assert.match(unsaid, /does not say who wrote 2 lines here: the app may have printed some/);
  assert.match(unsaid, /It looks like one of cf logs, which an app can print too\..*--from cf\./);
  assert.doesNotMatch(unsaid, /no app can write/);
  assert.match(unsaid, /This log does not say who wrote this line\./);
  const docker = textOf(page([line(1, 0)], 'docker'));
  assert.match(docker, /does not say who wrote 1 line/);
  assert.doesNotMatch(docker, /It looks like/);
});

test('a log without a detection has a page that says so', () => {
  const text = textOf(page(['GET / 200', '', 'GET /x 404']));
  assert.match(text, /Nothing was detected in this part of the log\./);
  assert.match(text, /No rule fired\./);
  assert.match(text, /There is nothing to draw\./);
  assert.match(text, /3 lines read/);
});

test('alike processes are drawn once, with the numbers of the others', () => {
  const lines = Array.from({ length: 5 }, (_, n) =>
    line(n + 1, n, {
      lineage: {
        processes: [
          { pid: n + 20, start: n + 20, name: 'cat' },
          { pid: 1, start: 1, name: 'node' },
        ],
        above: 'outside',
      },
    }),
  );
  assert.match(textOf(page(lines)), /4 more like the one above: pid 21, 22, 23, 24/);
});

test('detections of one rule in a row are folded, and all are there', () => {
  const html = page(Array.from({ length: 6 }, (_, n) => line(n + 1, n)));
  assert.match(textOf(html), /5 more lines of Shell in an app container, until 08:15:09\.000/);
  assert.equal(html.match(/<pre>/g)?.length, 6);
});

test('durations in words', () => {
  const words = [0, 970, 9_990, 12_000, 75_000, 3_660_000, 90_000_000].map(duration);
  assert.deepEqual(words, [
    '0 s',
    '0.97 s',
    '9.99 s',
    '12 s',
    '1 min 15 s',
    '1 h 1 min',
    '1 d 1 h',
  ]);
});

describe('contrast of the colours, WCAG 2.2', () => {
  const channel = (hex: string): number => {
    const value = Number.parseInt(hex, 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  const luminance = (colour: string): number => {
    const [r = 0, g = 0, b = 0] = (colour.match(/[0-9a-f]{2}/g) ?? []).map(channel);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one: string, other: string): number => {
    const [light = 0, dark = 0] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  };
  const TEXTS: readonly (readonly [keyof Palette, keyof Palette])[] = [
    ...(['ink', 'muted', 'link', 'good', 'bad'] as const).flatMap((ink) =>
      (['page', 'card'] as const).map((ground) => [ink, ground] as const),
    ),
    ['callInk', 'callGround'],
    ...(['critical', 'error', 'warning', 'notice', 'info'] as const).map(
      (name) => [`${name}Ink`, name] as const,
    ),
  ];
  const MARKS = ['criticalMark', 'errorMark', 'warningMark', 'noticeMark', 'infoMark'] as const;

  for (const [scheme, palette] of Object.entries({ light: LIGHT, dark: DARK })) {
    test(scheme, () => {
      assert.equal(contrast('#000000', '#ffffff'), 21);
      for (const [ink, ground] of TEXTS) {
        const found = contrast(palette[ink], palette[ground]);
        assert.ok(found >= 4.5, `${ink} on ${ground}: ${found.toFixed(2)}`);
      }
      for (const mark of MARKS) {
        const found = contrast(palette[mark], palette.card);
        assert.ok(found >= 3, `${mark} on card: ${found.toFixed(2)}`);
      }
    });
  }
});

test('incidents: what has one cause, the worst first, with its rules; none where no line names one', () => {
  const text = textOf(
    page([
      line(1, 0, { incident: 'm3x9abcd', rule: 'Calm', priority: 'Notice' }),
      line(2, 1, { incident: 'k3x9abcd', rule: 'Shell started' }),
      line(3, 2, { incident: 'k3x9abcd', rule: 'Put on a connection', priority: 'Critical' }),
      line(4, 3, { incident: 'k3x9abcd', rule: 'Put on a connection', priority: 'Critical' }),
      line(5, 4, { rule: 'Of an older agent' }),
    ]),
  );
  assert.match(text, /5 detections of 4 rules in 2 incidents in 4 s/);
  assert.match(
    text,
    /Incidents Lines of one process.*Critical shop\/0 3 lines Incident k3x9abcd, 08:15:05\.000 – 08:15:07\.000 \(2 s\) first line Shell started × 1 ?Put on a connection × 2 Notice shop\/0 1 line Incident m3x9abcd/,
  );
  assert.match(text, /Incident k3x9abcd\. Line 2 of the log/);
  assert.doesNotMatch(textOf(page([line(1, 0)])), /Incidents|incident [a-z0-9]{8}/);
});

test('incidents of an app are not those of another; beyond the bound lines are counted', () => {
  const own = [line(1, 0, { incident: 'k3x9abcd' }), line(2, 1, { incident: '<b>\x1b' })];
  const other = containerOf({}, { name: 'cart' });
  const { incidents } = incidentOf([
    ...own,
    line(1, 2, { incident: 'k3x9abcd', container: other }),
  ]);
  assert.deepEqual(
    incidents.map(({ id, count }) => [id, count]),
    [
      ['k3x9abcd', 1],
      ['<b>\x1b', 1],
      ['k3x9abcd', 1],
    ],
  );
  assert.doesNotMatch(page(own), /<b>\x1b|\x1b/);
  const many = Array.from({ length: MAX_INCIDENTS + 5 }, (_, n) =>
    line(n + 1, n, { incident: `i${n}` }),
  );
  assert.equal(incidentOf(many).incidents.length, MAX_INCIDENTS);
  assert.match(textOf(page(many)), /Left out: 5 detections of more than 200 incidents/);
});
