// The default rules, and what they say of an event in an app's container: for tests of these rules.
import assert from 'node:assert/strict';
import type { Container } from '../../src/apps/identity.ts';
import type { Process } from '../../src/context/process.ts';
import type { KernelEvent } from '../../src/events/event.ts';
import { RuleEngine } from '../../src/rules/engine.ts';
import { loadRules, readRuleFile } from '../../src/rules/loader/load.ts';
import {
  BOOT_NS,
  CONTAINER,
  makeEvent,
  makeExec,
  makeProcess,
  makeSubject,
  RUNTIME,
  TIME_NS,
} from './rules-subject.ts';

export const result = loadRules([readRuleFile('manifests/rules/varvel_rules.yaml')]);
assert.ok(result.ruleSet);
export const engine = new RuleEngine(result.ruleSet);

export const SECOND = 1_000_000_000n;
export const APP = makeProcess({ pid: 4200, vpid: 1, parent: RUNTIME });
export const GARDEN: Container = { ...CONTAINER, runtime: 'garden' };
export const YOUNG: Container = { ...CONTAINER, startedAtMs: Number(TIME_NS / 1_000_000n) - 1000 };

export const names = (
  event: KernelEvent,
  process?: Process,
  container: Container | undefined = CONTAINER,
): string[] =>
  engine
    .evaluate(makeSubject(event, { ...(process === undefined ? {} : { process }), container }))
    .map(({ rule }) => rule.name);

/** A program that was started, as a process whose parent is the app unless said otherwise. */
export function started(
  exePath: string,
  args: readonly string[] = [],
  more: Omit<Parameters<typeof makeProcess>[0] & object, 'image'> & {
    image?: Partial<Process['image']>;
  } = {},
): Process {
  const name = exePath.slice(exePath.lastIndexOf('/') + 1);
  const { image, ...rest } = more;
  return makeProcess({
    parent: APP,
    startBootNs: BOOT_NS,
    ...rest,
    image: { name, exe: name, exePath, args, ...image },
  });
}

export const exec = (filename = '/x') =>
  makeEvent('execve', { exec: makeExec(), params: { filename } });
