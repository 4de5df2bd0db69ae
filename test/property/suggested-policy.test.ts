// What `varvel suggest` prints is a policy of exactly the values that are to be in it, whatever apps name their files.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parse } from 'yaml';
import { AppProfiles } from '../../src/agent/app-profiles.ts';
import { suggestedPolicy } from '../../src/cli/suggested-policy.ts';
import { MAX_POLICY_BYTES } from '../../src/container-files/policy-text.ts';
import { checkPolicy, operatorRulesOf } from '../../src/policy/check-policy.ts';
import { readPolicy } from '../../src/policy/policy-document.ts';
import { readRuleFile } from '../../src/rules/loader/load.ts';
import { decodeText } from '../../src/shared/text.ts';
import {
  CONTAINER,
  makeConnect,
  makeEvent,
  makeExec,
  makeFile,
  makeOpen,
  makeProcess,
  makeSubject,
} from '../support/rules-subject.ts';
import { runs } from '../support/runs.ts';

const operator = operatorRulesOf([readRuleFile('manifests/rules/varvel_rules.yaml')]);

/** What is done in an app of this name, as a policy. */
function suggested(name: string, act: (profiles: AppProfiles) => void): string {
  const profiles = new AppProfiles({ nowMs: () => 0 });
  act(profiles);
  const [profile] = profiles.named(profiles.names()[0] ?? '');
  assert.ok(profile);
  const suggestion = {
    ...profile,
    hostname: name,
    seesPrograms: true,
    seesConnections: true,
    seesWrites: true,
    forgottenApps: 0,
  };
  return suggestedPolicy(suggestion);
}

const containerOf = (name: string) => ({ ...CONTAINER, app: { ...CONTAINER.app!, name } });

function ran(profiles: AppProfiles, exePath: string, name = 'shop'): void {
  const event = makeEvent('execve', { exec: makeExec({ file: makeFile(exePath) }) });
  profiles.evaluated(event, makeProcess({ image: { exePath } }), containerOf(name));
}

function reached(profiles: AppProfiles, remoteIp: string, family: number, name = 'shop'): void {
  const event = makeEvent('connect', { call: makeConnect({ remoteIp, family }) });
  profiles.evaluated(event, makeProcess(), containerOf(name));
}

function wrote(profiles: AppProfiles, path: string, name = 'shop'): void {
  const event = makeEvent('openat', { open: makeOpen(path, { forWrite: true }) });
  profiles.evaluated(event, makeProcess(), containerOf(name));
}

function detected(profiles: AppProfiles, rule: string, exePath: string, name = 'shop'): void {
  const process = makeProcess({ image: { exePath } });
  const container = containerOf(name);
  profiles.matched(rule, makeSubject(makeEvent('openat'), { process, container }));
}

/** The values of the policy, by its own reader; without any error. */
function valuesOf(text: string): Record<string, string[]> {
  const { document, errors } = readPolicy({ name: 'varvel.yml', text });
  assert.deepEqual(errors, [], text);
  assert.ok(document);
  return Object.fromEntries(
    document.variables.map(({ name, values }) => [name, values.map((value) => value.text)]),
  );
}

/** Whether a policy can have the value, asked of its reader in another notation; and whether people would see what it is. */
function canHave(path: string): boolean {
  if (Buffer.byteLength(path) > 255) return false;
  const text = JSON.stringify({ variables: { expected_executables: [path] } });
  const isPlain = !/[\p{C}\p{Zl}\p{Zp}]/u.test(path);
  return isPlain && readPolicy({ name: 'x', text }).errors.length === 0;
}

const hostileText = fc.oneof(
  fc.uint8Array({ maxLength: 30 }).map((bytes) => decodeText(Buffer.from(bytes))),
  fc.string({ unit: 'binary', maxLength: 30 }),
  fc
    .array(
      fc.constantFrom(
        ...Array.from(' #"\'\\:-?*&!|>%@`{}[],~/=<'),
        '\n',
        '\r',
        '\t',
        '\u001b',
        '\u0085',
        '\u009b',
        '\u00a0',
        '\u2028',
        '\u202e',
        '\ufeff',
        '\ud800',
        '\udcff',
        ': ',
        ' #',
        '\n- x',
        'null',
        '../',
        'a',
        'é',
        '😀',
      ),
      { maxLength: 12 },
    )
    .map((parts) => parts.join('')),
);
const path = fc.oneof(
  hostileText.map((text) => `/${text}`),
  hostileText.map((text) => `/usr/bin/${text}`),
  hostileText,
  fc.constantFrom('/usr/bin/node', '/bin/sh', '/ ', '/a ', '/a:', '/- b', '/a: b', '/a #b'),
);
const address = fc.oneof(
  fc.ipV4().map((ip) => [ip, 2] as const),
  fc
    .array(fc.nat({ max: 0xffff }), { minLength: 8, maxLength: 8 })
    .map((groups) => [groups.map((group) => group.toString(16)).join(':'), 10] as const),
  fc.constantFrom(
    ['2001:db8::', 10] as const,
    ['::7', 10] as const,
    ['::ffff:10.0.0.1', 10] as const,
  ),
);

test('for any paths, addresses, rules and names: a policy without errors, of exactly the values', () => {
  let taken = 0;
  let refused = 0;
  fc.assert(
    fc.property(
      hostileText,
      fc.array(path, { maxLength: 20 }),
      fc.array(address, { maxLength: 5 }),
      fc.array(fc.tuple(hostileText, path), { maxLength: 5 }),
      (name, paths, addresses, detections) => {
        const app = `a${name}`;
        const text = suggested(name, (profiles) => {
          ran(profiles, '/first', app);
          for (const one of paths) {
            ran(profiles, one, app);
            wrote(profiles, `${one}/x`, app);
          }
          for (const [ip, family] of addresses) reached(profiles, ip, family, app);
          for (const [rule, exe] of detections) detected(profiles, rule, exe, app);
        });
        const values = valuesOf(text);
        const about = new Set(detections.map(([, exe]) => exe));
        const fit = [...new Set(['/first', ...paths])].filter(
          (one) => !about.has(one) && canHave(one),
        );
        assert.deepEqual(values['expected_executables']?.toSorted(), fit.toSorted());
        taken += fit.length;
        refused += paths.length - fit.length;
        const hosts = addresses.map(([ip]) => ip.replace('::ffff:', ''));
        const elsewhere = hosts.filter((ip) => !/^(?:127\.|0\.0\.0\.0$)/.test(ip));
        assert.deepEqual(values['outbound_hosts']?.toSorted(), [...new Set(elsewhere)].toSorted());
        // Another reader of YAML sees the same.
        assert.deepEqual(parse(text), { variables: values });
        assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028-\u202e]/);
        assert.ok(text.isWellFormed());
      },
    ),
    { numRuns: runs(1000) },
  );
  assert.ok(taken > runs(1000) && refused > runs(1000), `${taken} ${refused}`);
});

test('the largest is within the limits of policies, those on cost among them; what was left out is told', () => {
  for (const length of [250, 0]) {
    const text = suggested('host-7', (profiles) => {
      for (let n = 0; n < 200; n++) {
        const program = `/p${n}${'x'.repeat(length)}`;
        ran(profiles, program);
        if (n < 100) detected(profiles, 'R'.repeat(300), program);
        ran(profiles, `/${n}\n`);
        wrote(profiles, `${program}/x`);
        reached(profiles, `2001:db8:1111:2222:3333:4444:5555:${(0xf000 + n).toString(16)}`, 10);
      }
    });
    assert.ok(Buffer.byteLength(text) <= MAX_POLICY_BYTES, String(Buffer.byteLength(text)));
    const { errors, warnings } = checkPolicy({ name: 'varvel.yml', text }, operator);
    assert.deepEqual([errors, warnings], [[], []]);
    const { expected_executables: programs = [], outbound_hosts: hosts = [] } = valuesOf(text);
    assert.equal(hosts.length, 200);
    assert.equal(programs.length === 100, length === 0);
    const cut = /^# - (\d+) more programs, as a policy has at most 64 KiB$/m.exec(text)?.[1];
    assert.equal(programs.length + Number(cut ?? 0), 100);
    const told = text.match(/, as detections were about it: R/g)?.length ?? 0;
    const untold = /^# - (\d+) more programs, as detections were about them$/m.exec(text)?.[1];
    assert.equal(told + Number(untold ?? 0), 100);
  }
});
