import assert from 'node:assert/strict';
import { test } from 'node:test';
import { namedPathsOf, type NamedPart } from '../../../src/plan/named-paths.ts';
import { ruleFiles, ruleSetOf } from '../../support/rules-load.ts';

/** Of a part that tests names: those of NAMES that it takes. */
const NAMES = ['a', 'id_rsa', 'profile', 'profile.d', '*'];
const shown = (part: NamedPart): unknown =>
  typeof part === 'string' ? part : NAMES.filter((name) => part(name));

const namedBy = (...conditions: string[]): unknown =>
  namedPathsOf(ruleSetOf(ruleFiles(conditions.map((one) => `evt.type = openat and ${one}`))).rules)
    .map(({ parts, below }) => [parts.map(shown), below])
    .sort();

test('the files that rules name', () => {
  assert.deepEqual(namedBy('fd.name = /etc/shadow'), [[['etc', 'shadow'], false]]);
  assert.deepEqual(namedBy('fd.name in (/etc/shadow, //etc//gshadow/)'), [
    [['etc', 'gshadow'], false],
    [['etc', 'shadow'], false],
  ]);
  assert.deepEqual(namedBy('fd.name startswith /etc/profile'), [
    [['etc', ['profile', 'profile.d']], true],
  ]);
  assert.deepEqual(namedBy('fd.name startswith anyof (/run/secrets/)'), [
    [['run', 'secrets'], true],
  ]);
  assert.deepEqual(namedBy('fd.name pmatch (/app/config, "/home/*/.ssh")'), [
    [['app', 'config'], true],
    [['home', NAMES, '.ssh'], true],
  ]);
  assert.deepEqual(namedBy('fd.name glob "/home/*/.ssh/id_*"'), [
    [['home', NAMES, '.ssh', ['id_rsa']], true],
  ]);
  assert.deepEqual(namedBy('fd.directory = /etc/sudoers.d'), [
    [['etc', 'sudoers.d', NAMES], false],
  ]);
  assert.deepEqual(namedBy('fd.directory startswith /etc/pam.d/'), [[['etc', 'pam.d'], true]]);
});

test('of several rules, each path once', () => {
  assert.deepEqual(namedBy('fd.name = /a', 'fd.name = /a', 'fd.name = /b'), [
    [['a'], false],
    [['b'], false],
  ]);
});

test('what is no name of a file that could be looked for', () => {
  for (const condition of [
    'not fd.name startswith /proc/',
    'fd.name != /etc/shadow',
    'fd.name endswith .key',
    'fd.name contains /.aws/',
    'fd.filename = id_rsa',
    'fd.name = relative/path',
    'fd.name startswith /',
    'fd.name = /a/../b',
    'fd.name pmatch (/a/./b)',
    'fd.directory = /',
    'proc.exepath = /bin/sh',
  ])
    assert.deepEqual(namedBy(condition), [], condition);
});

test('a path in a condition that must fail is not meant, and one in a double negation is', () => {
  assert.deepEqual(namedBy('not (fd.name = /a or not fd.name = /b)'), [[['b'], false]]);
});
