import assert from 'node:assert/strict';
import { test } from 'node:test';

import { PLATFORMS } from '../../../src/alerts/platforms.ts';
import { runCommand } from '../../support/run-command.ts';

test('without a platform: which there are', async () => {
  const { code, out, err } = await runCommand('alerts');
  assert.deepEqual([code, err], [0, '']);
  const names = PLATFORMS.map(({ name }) => name);
  assert.deepEqual(names, [...names].sort());
  for (const name of names) assert.match(out, new RegExp(`^ {2}${name} `, 'm'));
  for (const line of out.split('\n').slice(0, -4)) assert.ok(line.length <= 80, line);
});

test('each platform prints detections, silence and loss, with where to paste it', async () => {
  for (const { name } of PLATFORMS) {
    const { code, out, err } = await runCommand('alerts', name.toUpperCase());
    assert.equal(code, 0, name);
    assert.match(`${out}${err}`, /Where: /, name);
    if (name === 'prometheus') continue;
    assert.match(out, /Varvel: coverage/, name);
    assert.match(out, /Varvel: lines lost/, name);
    assert.match(out, /Varvel: events lost/, name);
  }
});

const WRONG: readonly (readonly [argv: string[], says: RegExp])[] = [
  [
    ['splnk'],
    /no alert definitions for "splnk"\. Did you mean splunk\? There are some for: azure, /,
  ],
  [['xyzzy'], /no alert definitions for "xyzzy"\. There are some for: azure, /],
  [['__proto__'], /no alert definitions for "__proto__"/],
  [['loki', 'splunk'], /"splunk" is too much/],
  [
    ['loki', '-p', 'warnign'],
    /--priority must be one of emergency, .*"warnign"\. Did you mean warning\?/,
  ],
  [['loki', '--app', ''], /--app is empty/],
  [['loki', '--rule', 'é'.repeat(65)], /--rule is longer than 128 bytes/],
  [['loki', ...Array<string[]>(51).fill(['-r', 'x']).flat()], /--rule was given 51 times/],
  [['loki', '-w', 'hooks'], /--webhook must be a URL such as/],
  [['loki', '-w', 'javascript:alert(1)'], /--webhook must begin with https/],
  [['loki', '-w', `https://a.example/${'x'.repeat(2000)}`], /longer than 2000 characters/],
  [['loki', '--field', 'rule'], /--field must be NAME=FIELD with one of index, /],
  [['loki', '--field', 'rulle=x'], /--field must be NAME=FIELD/],
  [['loki', '--field', 'rule=a b'], /--field rule: "a b" cannot be the name of a field/],
  [
    ['loki', '--field', 'index=x'],
    /--field index has no meaning for this platform; it can name source_type, /,
  ],
  [['datadog', '--field', 'source_type=@source'], /can come from what an app prints/],
  [['rsyslog', '--field', 'rule=x'], /there is none to be named/],
  [['splunk', '--field', 'source_type=a | delete'], /cannot be the name of a field/],
];
for (const [argv, says] of WRONG) {
  test(`alerts ${argv.join(' ').slice(0, 80)} is refused`, async () => {
    const { code, out, err } = await runCommand('alerts', ...argv);
    assert.deepEqual([code, out], [2, '']);
    assert.match(err, says);
  });
}

test('who names a rule hears of it, however severe it is; a priority that is given counts', async () => {
  const loki = async (...options: string[]): Promise<string> =>
    (await runCommand('alerts', 'loki', ...options)).out;
  assert.match(await loki('-r', 'x'), /varvel_priority=~"[^"]*\|Debug"/);
  assert.match(
    await loki('-r', 'x', '-p', 'crit'),
    /varvel_priority=~"Emergency\|Alert\|Critical"/,
  );
  assert.match(await loki(), /varvel_priority=~"[^"]*\|Warning"/);
});

test('an app is meant by its GUID or by its name', async () => {
  const guid = '4CD2B3C3-9F3C-4F8A-9A3E-1F0A4D3F6B70';
  const { out } = await runCommand('alerts', 'loki', '-a', guid);
  assert.match(out, /app_id="4cd2b3c3-9f3c-4f8a-9a3e-1f0a4d3f6b70"/);
  assert.match((await runCommand('alerts', 'loki', '-a', 'shop')).out, /app_name="shop"/);
});

test('another source type is looked for everywhere', async () => {
  for (const { name } of PLATFORMS) {
    const { out } = await runCommand('alerts', name, '--source-type', 'Guard');
    if (name === 'prometheus') continue;
    assert.match(out, /guard/i, name);
    assert.doesNotMatch(out, /"VARVEL|\[VARVEL|source_type\S{1,4}varvel\b|=VARVEL/, name);
  }
});
