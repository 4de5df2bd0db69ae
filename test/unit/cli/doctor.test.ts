import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { checkDocker } from '../../../src/cli/doctor/docker.ts';
import { examine } from '../../../src/cli/doctor/finding.ts';
import {
  checkBtf,
  checkFolders,
  checkKernel,
  checkLockdown,
  checkMemory,
  checkNamespace,
  checkOpenFiles,
  checkPrivileges,
  checkTracefs,
} from '../../../src/cli/doctor/host.ts';
import { checkCompatCalls, checkIoUring, checkSelfTest } from '../../../src/cli/doctor/probe.ts';
import { checkRules } from '../../../src/cli/doctor/rules.ts';
import { checkVerdicts } from '../../../src/cli/doctor/verdicts.ts';
import { checkResponses } from '../../../src/cli/doctor/responses.ts';
import { ALL_DENIED } from '../../support/denial-findings.ts';
import { ruleFile, ruleSetOf } from '../../support/rules-load.ts';
import { runDoctor } from '../../../src/cli/doctor/doctor.ts';
import { loadConfig } from '../../../src/config/load.ts';
import type { AgentConfig } from '../../../src/config/config.ts';
import { UserError } from '../../../src/shared/user-error.ts';
import { SmallDisk } from '../../support/small-disk.ts';
import { lacks } from '../../support/needs.ts';

const folder = mkdtempSync(join(tmpdir(), 'varvel-doctor-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const configOf = (...settings: string[]): AgentConfig =>
  loadConfig({ env: {}, settings, defaultFile: '/nonexistent' }).config;

test('kernels', () => {
  assert.equal(checkKernel('6.12.48+deb13-amd64', 'x64').state, 'ok');
  assert.equal(checkKernel('5.15.0-1', 'x64').state, 'ok');
  assert.equal(checkKernel('5.10.0-30-amd64', 'x64').state, 'fail');
  assert.equal(checkKernel('4.19.0', 'x64').state, 'fail');
  assert.equal(checkKernel('nonsense', 'x64').state, 'fail');
  assert.equal(checkKernel('6.12.0', 'arm64').state, 'fail');
});

test('BTF', () => {
  assert.equal(checkBtf(join(folder, 'none')).state, 'fail');
  assert.equal(checkBtf('/proc/version').state, 'ok');
});

test('privileges by capability', () => {
  const of = (...bits: number[]): string =>
    `Name:\tx\nCapEff:\t${bits.reduce((mask, bit) => mask | (1n << BigInt(bit)), 0n).toString(16)}\n`;
  assert.equal(checkPrivileges(of(19, 21)).state, 'ok');
  assert.equal(checkPrivileges(of(19, 38, 39)).state, 'ok');
  assert.equal(checkPrivileges(of(38, 39)).state, 'warn');
  assert.equal(checkPrivileges(of(19, 39)).state, 'fail');
  assert.equal(checkPrivileges(of()).state, 'fail');
  assert.equal(checkPrivileges('').state, 'fail');
  const inside = checkPrivileges(of(19), 'pid:[4026532201]');
  assert.match(inside.says, /^This is a container without the right to load BPF programs: /);
  assert.match(inside.advice ?? '', /^Run it like this: docker run --privileged --pid=host /);
});

test('namespaces, lockdown, tracefs', () => {
  assert.equal(checkNamespace('pid:[4026531836]').state, 'ok');
  assert.equal(checkNamespace('pid:[4026532201]').state, 'fail');
  writeFileSync(join(folder, 'lockdown'), 'none integrity [confidentiality]\n');
  assert.equal(checkLockdown(join(folder, 'lockdown')).state, 'fail');
  writeFileSync(join(folder, 'lockdown'), 'none [integrity] confidentiality\n');
  assert.equal(checkLockdown(join(folder, 'lockdown')).state, 'ok');
  assert.equal(checkLockdown(join(folder, 'none')).state, 'ok');
  const line = '31 20 0:11 / /sys/kernel/tracing rw - tracefs tracefs rw\n';
  assert.equal(checkTracefs(line).state, 'ok');
  assert.equal(checkTracefs('').state, 'note');
});

test('Docker: absent, refusing, something else, and one that answers', async () => {
  const socket = join(folder, 'docker.sock');
  const at = (enabled: string): Promise<string> =>
    checkDocker(
      configOf(`runtimes.docker.socket=${socket}`, `runtimes.docker.enabled=${enabled}`),
    ).then(({ state }) => state);
  assert.equal(await at('auto'), 'note');
  assert.equal(await at('true'), 'fail');
  assert.equal(await at('false'), 'note');
  writeFileSync(socket, '');
  assert.equal(await at('auto'), 'warn');
  rmSync(socket);

  let body = 'hello';
  const server = createServer((_request, response) => response.end(body)).listen(socket);
  await once(server, 'listening');
  try {
    assert.equal(await at('true'), 'fail', 'not JSON');
    body = JSON.stringify({ Version: '26.1.5\u001b[2J' });
    assert.equal(await at('auto'), 'warn', 'not a version');
    body = JSON.stringify({ Version: '26.1.5+dfsg1' });
    assert.equal(await at('true'), 'ok');
    body = 'x'.repeat(100_000);
    assert.equal(await at('true'), 'fail', 'too much');
  } finally {
    server.close();
  }
});

test('rules: shipped ones load, broken ones say where', () => {
  assert.match(checkRules(configOf()).says, /^\d+ rules from .*varvel_rules\.yaml/);
  const broken = join(folder, 'broken.yaml');
  writeFileSync(
    broken,
    '- rule: A\n  desc: d\n  condition: proc.nam = x\n  output: o\n  priority: INFO\n',
  );
  const { state, says, advice } = checkRules(configOf(`rules_files=${broken}`));
  assert.equal(state, 'fail');
  assert.match(says, /broken\.yaml/);
  assert.equal(advice, `See them all: varvel check ${broken}`);
});

test('memory and folders', () => {
  assert.equal(checkMemory(configOf(), 'MemAvailable:  8000000 kB\n').state, 'ok');
  assert.equal(checkMemory(configOf(), 'MemAvailable:  100000 kB\n').state, 'warn');
  const inside = [`run_dir=${folder}/a/b`, `state_dir=${folder}/state`];
  assert.equal(checkFolders(configOf(...inside)).state, 'ok');
  writeFileSync(join(folder, 'file'), '');
  const { state, says } = checkFolders(configOf(...inside, `streams.file.path=${folder}/file/log`));
  assert.equal(state, 'fail');
  assert.match(says, /is not a folder/);
});

test('a state folder on a full or a read-only disk is a warning: the agent starts', async (t) => {
  if (lacks(t, 'mount')) return;
  using disk = new SmallDisk(8192);
  const config = configOf(`run_dir=${folder}/a`, `state_dir=${disk.path}/state`);
  assert.equal(checkFolders(config).state, 'ok');
  disk.fill();
  const full = checkFolders(config);
  assert.deepEqual([full.state, /has 0 MiB left/.test(full.says)], ['warn', true], full.says);
  await disk.remount('ro');
  const readOnly = checkFolders(config);
  assert.equal(readOnly.state, 'warn');
  assert.match(readOnly.says, /the file system is read-only \(EROFS\)/);
});

test('open files: too few for the agent, for many apps, and enough', () => {
  const limits = (soft: string): string =>
    `Limit                     Soft Limit           Hard Limit           Units\nMax open files            ${soft.padEnd(21)}${soft.padEnd(21)}files\n`;
  for (const [soft, state, says] of [
    ['256', 'fail', /open 256 files here \(ulimit -n\): too few for the agent, which needs 512/],
    ['512', 'warn', /not for 256 apps that have a log file each, which needs 1024/],
    ['1024', 'ok', /the agent needs 1024 at most/],
    ['unlimited', 'ok', /any number of files/],
  ] as const) {
    const verdict = checkOpenFiles(limits(soft));
    assert.equal(verdict.state, state);
    assert.match(verdict.says, says);
    if (state !== 'ok') assert.match(verdict.advice ?? '', /LimitNOFILE=1024/);
  }
});

test('rule files without an enabled rule: the agent would not start', () => {
  const file = join(folder, 'none.yaml');
  writeFileSync(file, '# none\n');
  const settings = [`rules_files=${file}`];
  assert.equal(checkRules(configOf(...settings)).state, 'fail');
  assert.equal(checkRules(configOf(...settings, 'rules_allow_none=true')).state, 'warn');
});

test('a check that throws is a finding', async () => {
  const sentence = await examine('x', () => {
    throw new UserError('Do this.', { position: { file: '/f', line: 3 } });
  });
  assert.deepEqual(sentence, { check: 'x', state: 'fail', says: '/f:3: Do this.' });
  const odd = await examine('x', () => Promise.reject(new TypeError('odd\n  at y')));
  assert.equal(odd.says, 'The check failed: odd');
});

test('the self-test names what was not seen', async () => {
  assert.equal((await checkSelfTest(() => Promise.resolve([]))).state, 'ok');
  const { state, says } = await checkSelfTest(() => Promise.resolve(['open', 'exit']));
  assert.equal(state, 'fail');
  assert.match(says, /open, exit/);
});

test('32-bit and x32 calls: seen, turned off, or not to be had', () => {
  const seen = checkCompatCalls(configOf(), ['sched_exec', 'compat_exit']);
  assert.equal(seen.state, 'ok');
  assert.match(seen.says, /32-bit \(ia32\) and x32 programs are seen/);
  const off = checkCompatCalls(configOf('probe.compat_calls=false'), ['compat_exit']);
  assert.equal(off.state, 'warn');
  assert.match(off.says, /are not seen.*probe\.compat_calls is off/);
  assert.match(off.advice ?? '', /probe\.compat_calls: true/);
  const none = checkCompatCalls(configOf(), ['sched_exec']);
  assert.equal(none.state, 'warn');
  assert.match(none.says, /are not seen: this kernel has no tracepoint sys_exit/);
  assert.equal(checkCompatCalls(configOf(), undefined).state, 'note');
});

test('io_uring: seen, not to be had, or forbidden to all', () => {
  assert.equal(checkIoUring(['io_uring'], '0\n').state, 'ok');
  assert.match(checkIoUring(['io_uring'], '0\n').says, /by io_uring are seen/);
  const none = checkIoUring(['sched_exec', 'compat_exit'], '1\n');
  assert.equal(none.state, 'warn');
  assert.match(none.says, /Opens and connects by io_uring are not seen on this host/);
  assert.match(none.advice ?? '', /io_uring_disabled=2/);
  assert.equal(checkIoUring(['sched_exec'], '').state, 'warn');
  const forbidden = checkIoUring(['sched_exec'], '2\n');
  assert.equal(forbidden.state, 'ok');
  assert.match(forbidden.says, /Nobody can use io_uring/);
  assert.equal(checkIoUring(undefined, '0\n').state, 'note');
});

test('responses: what their entries match, and what of it can be denied before the effect', () => {
  const text = (name: string, condition: string): string =>
    ruleFile(condition).replace('rule: r', `rule: ${name}`);
  const rules = ruleSetOf(
    [
      text('path', 'evt.type = execve and proc.exepath = /x'),
      text('user', 'evt.type = execve and user.name = x'),
      text('open', 'evt.type = open and fd.name = /x'),
    ].join(''),
  );
  const found = (entries: string) => checkResponses(configOf(`responses=${entries}`), rules);
  const entry = (rule: string, does: string, more = ''): string =>
    `{"match": {"rule": "${rule}"}, "do": "${does}"${more}}`;
  assert.equal(checkResponses(configOf(), rules).state, 'note');
  assert.deepEqual(
    found(`[${entry('path', 'kill', ', "mode": "enforce"')}, ${entry('open', 'isolate')}]`),
    {
      state: 'ok',
      says: 'Entries of responses: 1 enforced, 1 in monitor mode. All come after the effect.',
    },
  );
  const idle = found(`[${entry('path', 'kill')}, ${entry('pth', 'kill')}]`);
  assert.equal(idle.state, 'warn');
  assert.match(idle.advice ?? '', /REFERENCE\.md or "varvel explain --all"/);
  assert.equal(idle.says, 'responses[1] matches no enabled rule: nothing is done by it.');
  const all = found(`[${entry('*', 'deny')}]`);
  assert.equal(all.state, 'ok');
  assert.match(
    all.says,
    / 2 of 3 deny rules can act before the effect\. For files this also needs the check "files" to be ok\. For rule "user" the process is killed after the event instead /,
  );
  const late = found(`[${entry('user', 'deny')}]`);
  assert.equal(late.state, 'warn');
  assert.match(late.says, / 0 of 1 deny rules can act .*For rule "user" the process is killed/);
  const early = found(`[${entry('path', 'deny')}]`);
  assert.match(early.says, / 1 of 1 deny rules can act before the effect\.$/);
  assert.equal(
    checkResponses(configOf(`responses=[${entry('path', 'deny')}]`), undefined).state,
    'note',
  );
});

interface Report {
  ok: boolean;
  findings: { check: string; state: string; says: string }[];
  settings: { key: string; source: string }[];
}

async function doctor(options: {
  settings?: string[];
  config?: string;
  json?: boolean;
  unseen?: string[];
  columns?: number;
  showConfig?: boolean;
}): Promise<{ code: number; out: string }> {
  let out = '';
  const code = await runDoctor(
    {
      config: options.config,
      settings: [`run_dir=${folder}/run`, ...(options.settings ?? [])],
      env: {},
      json: options.json ?? false,
      showConfig: options.showConfig ?? false,
      selfTest: () =>
        Promise.resolve({
          unseen: options.unseen ?? [],
          hooks: ['compat_exit'],
          denial: ALL_DENIED,
        }),
      isolation: () => {
        throw new UserError('no cgroup v2');
      },
    },
    {
      stdout: (text) => void (out += text),
      stderr: () => assert.fail('nothing on stderr'),
      isTty: false,
      columns: options.columns ?? 100,
    },
  );
  return { code, out };
}

test('the whole report, for machines', async () => {
  const { code, out } = await doctor({ json: true });
  const report = JSON.parse(out) as Report;
  assert.equal(code, report.ok ? 0 : 1);
  assert.equal(
    report.ok,
    report.findings.every(({ state }) => state !== 'fail'),
  );
  const checks = report.findings.map(({ check }) => check);
  for (const check of [
    'kernel',
    'types',
    'privileges',
    'cgroups',
    '32-bit calls',
    'io_uring',
    'loader',
    'docker',
    'rules',
    'memory',
  ])
    assert.ok(checks.includes(check), check);
  assert.ok(report.settings.some(({ key }) => key === 'streams.file.path'));
});

test('a failing check makes the exit code 1 and is counted', async () => {
  const socket = `runtimes.docker.socket=${folder}/nothing`;
  const { code, out } = await doctor({ settings: ['runtimes.docker.enabled=true', socket] });
  assert.equal(code, 1);
  assert.match(out, /^fail {2}docker .*\n.*→ Start dockerd/m);
  assert.match(out.trimEnd().split('\n').at(-1)!, /^The agent cannot work here yet: .*\.$/);
  for (const line of out.split('\n\n')[0]!.split('\n')) assert.ok(line.length <= 100 + 80, line);
});

test('a configuration that does not load is a finding, and ends the rest', async () => {
  const config = join(folder, 'bad.yaml');
  writeFileSync(config, 'moed: always\n');
  const { code, out } = await doctor({ config, json: true });
  assert.equal(code, 1);
  const { findings } = JSON.parse(out) as Report;
  assert.match(
    findings.at(-1)!.says,
    /bad\.yaml:1:1: There is no key "moed"\. Did you mean "mode"\?/,
  );
});

test('file calls and connects that end in the kernel', () => {
  const rules = (...conditions: readonly string[]): ReturnType<typeof ruleSetOf> =>
    ruleSetOf(
      conditions
        .map(
          (condition, at) =>
            `- rule: r${at}\n  desc: d\n  condition: ${condition}\n  output: o\n  priority: INFO\n`,
        )
        .join(''),
    );
  const config = configOf();
  const shadow = rules('evt.type = openat and fd.name = /etc/shadow', 'evt.type = listen');
  const some = checkVerdicts(config, shadow);
  assert.equal(some.state, 'ok');
  assert.match(
    some.says,
    /kernel discards file calls and connects that none of 1 rules can match \(\d+ of 384 conditions, /,
  );
  assert.match(
    checkVerdicts(config, rules('evt.type = listen')).says,
    /No rule is about file calls or connects/,
  );
  const off = configOf('probe.kernel_verdicts=false');
  assert.deepEqual(
    [checkVerdicts(off, shadow).state, checkVerdicts(config, undefined).state],
    ['note', 'note'],
  );
  const many = Array.from({ length: 400 }, (_, n) => `evt.type = openat and fd.name = /etc/${n}`);
  const widened = checkVerdicts(config, rules(...many));
  assert.match(
    widened.says,
    /Too many conditions, so all calls of their kind are reported for: r\d+, .*, …\./,
  );
});

test('the configuration in effect is printed when it is asked for, before the verdict', async () => {
  const socket = `runtimes.docker.socket=${folder}/nothing`;
  const shown = new RegExp(`runtimes\\.docker\\.socket: "${folder}/nothing" {2}\\(--set runtimes`);
  assert.doesNotMatch((await doctor({ settings: [socket] })).out, shown);
  const { out } = await doctor({ settings: [socket], showConfig: true });
  assert.match(out, shown);
  assert.match(out.trimEnd().split('\n').at(-1)!, /^The agent can/);
});
