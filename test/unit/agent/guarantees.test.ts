// What an entry is refused for that is to deny before the effect or not at all.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkGuarantees, whyNotDenied, type WhyNotDenied } from '../../../src/agent/guarantees.ts';
import { UserError } from '../../../src/shared/user-error.ts';
import { ruleFile, ruleSetOf } from '../../support/rules-load.ts';
import { failure, load } from '../config/load-fixture.ts';

const named = (name: string, condition: string): string =>
  ruleFile(condition).replace('rule: r', `rule: ${name}`);
const { rules } = ruleSetOf(
  [
    named('Program', 'evt.type in (execve, execveat) and proc.exepath = /bad'),
    named('Connection', 'evt.type = connect and fd.sip = 192.0.2.1'),
    named('File', 'evt.type in (open, openat) and fd.name = /etc/shadow'),
    named('Mount', 'evt.type in (execve, mount) and proc.exepath = /bad'),
    named('Dup', 'evt.type in (execve, dup) and proc.exepath = /bad'),
    named('Unshared', 'evt.type = unshare and proc.exepath = /bad'),
    named('Userns', 'evt.type = unshare and evt.arg.flags contains CLONE_NEWUSER'),
    named('Device', 'evt.type = mknod and evt.rawarg.dev != 0'),
    named('Bind', 'evt.type = bind and proc.exepath = /bad'),
    named('Uncertain', 'evt.type = connect and user.name = root'),
  ].join('\n'),
);

const able: WhyNotDenied = () => undefined;
const without: WhyNotDenied = (call) => (call === 'file' ? 'this kernel is too old' : undefined);
/** What is said of an entry for this rule; '' if the host can give it. */
function said(rule: string, whyNot: WhyNotDenied, more = 'mode: enforce, else: refuse'): string {
  const { config } = load(
    `\nresponses:\n  - {match: {rule: ${rule}}, do: deny, guarantee: before the effect, ${more}}\n`,
  );
  try {
    checkGuarantees(config, rules, whyNot);
    return '';
  } catch (error) {
    assert.ok(error instanceof UserError);
    return error.toDisplay().replace(/^.*\/varvel/, 'varvel');
  }
}

test('it is refused where the host cannot deny an event of a rule in time, with the rule, the event and why', () => {
  for (const rule of ['Program', 'Connection', 'File']) assert.equal(said(rule, able), '');
  assert.equal(
    said('File', without),
    'varvel.yaml:3:5: The rule "File" is to be denied before the effect, with "else: refuse", but this host gives only a report of the event open: this kernel is too old. Set "else: report", or name other rules in the entry.',
  );
  assert.equal(said('Mount', able), '');
  const noCalls: WhyNotDenied = (call) => (call === 'call' ? 'it has no trampolines' : undefined);
  assert.match(said('Mount', noCalls), /of the event mount: it has no trampolines/);
  assert.equal(said('Device', noCalls), '', 'hooks of cgroup v2 see all of them');
  const none: WhyNotDenied = (call) => (call === 'cgroup' ? 'no v2' : noCalls(call));
  assert.match(said('Device', none), /of the event mknod: it has no trampolines/);
  assert.match(said('Bind', noCalls), /of the event bind: it has no trampolines/);
  assert.match(said('Dup', able), /the event dup: no kernel lets it be denied/);
  assert.match(
    said('Unshared', able),
    /the event unshare: no kernel .* but where its flags contain/,
  );
  assert.equal(said('Userns', able), '');
  const noUserns: WhyNotDenied = (call) => (call === 'namespace' ? 'too old' : undefined);
  assert.match(said('Userns', noUserns), /the event unshare: too old/);
  assert.match(said('Uncertain', able), /the event connect: the kernel cannot be certain/);
  assert.match(said('"*"', without), /^varvel\.yaml:3:5: The rule "File"/, 'the first of several');
  assert.equal(said('Nothing', without), '');
});

test('it is not where the entry says nothing of it, says report, or only monitors', () => {
  for (const more of ['mode: enforce', 'mode: enforce, else: report', 'else: refuse'])
    assert.equal(said('File', without, more), '');
});

test('"else" without that guarantee is a mistake', () => {
  const mistake = (entry: string): string =>
    failure(() => load(`responses: [{match: {rule: x}, ${entry}, else: refuse}]\n`));
  assert.match(mistake('do: deny'), /needs "guarantee: before the effect" where it has "else"/);
  assert.match(mistake('do: deny, guarantee: after the effect'), /where it has "else"/);
});

test('why a host cannot: by its settings, by the trial at the start, and by what could be loaded', () => {
  const refusals = {
    connection: { isAvailable: () => true, unavailable: undefined },
    unix: { isAvailable: () => false, unavailable: 'no trampolines' },
    file: { isAvailable: () => false, unavailable: 'no trampolines' },
    call: { isAvailable: () => false, unavailable: 'no trampolines' },
    cgroup: { isAvailable: () => true, unavailable: undefined },
    memory: { isAvailable: () => true, unavailable: undefined },
    namespace: { isAvailable: () => false, unavailable: 'no such hook' },
  };
  const trial = { program: 'denied', connection: 'denied', file: 'not tried', call: 'not tried' };
  const why = (kernelVerdicts: boolean, denial: typeof trial | undefined) => {
    const { config } = load(`probe: {kernel_verdicts: ${kernelVerdicts}}\n`);
    const of = whyNotDenied(config, { received: { denial }, refusals });
    return (['program', 'connection', 'file', 'memory', 'namespace'] as const).map(of);
  };
  const here = [undefined, undefined, 'no trampolines', undefined, 'no such hook'];
  assert.deepEqual(why(true, trial), here);
  assert.deepEqual(why(true, undefined), here);
  assert.deepEqual(
    why(true, { ...trial, program: 'it ran' })[0],
    'the trial at the start was not denied (it ran)',
  );
  assert.deepEqual(new Set(why(false, trial)), new Set(['probe.kernel_verdicts is false']));
});
