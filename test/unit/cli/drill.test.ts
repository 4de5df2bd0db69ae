import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { commandsFor, newDrillAction } from '../../../src/cli/drill/action.ts';
import { lookOf } from '../../../src/cli/drill/host.ts';
import { planOf } from '../../../src/cli/drill/plan.ts';
import { formatLine } from '../../../src/streams/format.ts';
import { runCommand } from '../../support/run-command.ts';
import { deliveryOf } from '../streams/delivery-fixture.ts';

const folder = mkdtempSync(join(tmpdir(), 'varvel-drill-'));
after(() => rmSync(folder, { recursive: true }));

test('without options: the exact commands, what to look for, and nothing is done', async () => {
  const { code, out, err } = await runCommand('drill');
  assert.deepEqual([code, err], [0, '']);
  const token = /^Drill ([0-9a-f]{20})$/m.exec(out)?.[1] ?? assert.fail(out);
  assert.match(out, new RegExp(`cf ssh APP -c 'true < /varvel-drill/${token} \\|\\| true'`));
  for (const tool of ['cf run-task APP ', 'docker exec APP ', 'kubectl exec deploy/APP '])
    assert.ok(out.includes(tool), tool);
  assert.ok(out.includes(`Then look for ${token}:`));
  const again = await runCommand('drill', '-a', "it's", '-p', 'crit', '--json');
  const action = JSON.parse(again.out) as { token: string; path: string; rule: string };
  assert.notEqual(action.token, token);
  assert.equal(action.path, `/varvel-drill/critical/${action.token}`);
  assert.equal(action.rule, 'Varvel drill critical');
});

test('where a log is from is said, or is what its command begins with', async () => {
  const from = (logs: string, system?: string): string | undefined =>
    planOf({
      run: undefined,
      expect: undefined,
      listen: undefined,
      expectText: undefined,
      headers: [],
      env: {},
      app: undefined,
      priority: undefined,
      timeout: undefined,
      logs,
      from: system,
      sourceType: undefined,
    }).from;
  assert.equal(from('cf logs shop --recent'), 'cf');
  assert.equal(from('  docker compose logs shop'), 'docker');
  assert.equal(from('kubectl -n shop logs deploy/shop'), 'kubectl');
  for (const other of [
    'cf ssh shop -c "cat log"',
    'tail -f cf logs',
    'ssh host cf logs shop',
    'cat',
  ])
    assert.equal(from(other), undefined, other);
  assert.equal(from('tail -f drain.log', 'syslog'), 'syslog');
  assert.equal(from('cf logs shop', 'docker'), 'docker');
  for (const [argv, why] of [
    [['--logs', 'cat', '--from', 'rsyslog'], /--from must be cf, syslog, docker or kubectl/],
    [['--from', 'cf'], /--from is for the log of --logs, which is not there/],
  ] as const) {
    const { code, err } = await runCommand('drill', ...argv);
    assert.equal(code, 2);
    assert.match(err, why);
  }
});

test('a name of any characters is one word of the shell', () => {
  const commands = commandsFor(newDrillAction('Warning', 'x'), "it's; reboot");
  for (const [, command] of commands) assert.match(command, /'it'\\''s; reboot'/);
});

test('the action ends with 0 in each shell that is here', async () => {
  const action = newDrillAction('Warning');
  for (const shell of ['sh -c', 'bash -c', 'bash --posix -c', 'busybox sh -c', 'dash -ec']) {
    const { code, out, err } = await runCommand('drill', '--run', shell, '--json', '-c', config());
    const { hops } = JSON.parse(out) as { hops: { hop: string; state: string }[] };
    assert.equal(hops[0]?.state, 'ok', `${shell}: ${err}`);
    // The agent that the configuration names is not there.
    assert.equal(code, 1);
  }
  assert.doesNotMatch(action.command, /'/);
});

/** A configuration whose agent does not run. */
function config(): string {
  const file = join(folder, 'varvel.yaml');
  writeFileSync(file, `run_dir: ${folder}\nstate_dir: ${folder}\n`);
  return file;
}

describe('with commands', () => {
  const log = join(folder, 'log');
  /** Does the action as the agent would see it: writes what stands for its line. */
  function fakeRun(): string {
    const line = formatLine(
      deliveryOf({ rule: 'Varvel drill', output: 'drill | token=TOKEN', outputFields: {} }),
      { format: 'json' },
    );
    const file = join(folder, 'run');
    writeFileSync(
      file,
      `#!/bin/sh\ntoken=$(expr "$1" : '.*varvel-drill/\\([0-9a-f]*\\)')\nsed "s/TOKEN/$token/" >> ${log} <<'END'\n${line}\nEND\n`,
    );
    chmodSync(file, 0o755);
    return file;
  }

  test('a log that is printed again and again, and one that is followed', async () => {
    writeFileSync(log, 'an app’s line\n');
    for (const logs of [`cat ${log}`, `tail -n 0 -F ${log}; sleep 600`]) {
      const { code, out, err } = await runCommand(
        'drill',
        '-r',
        fakeRun(),
        '-l',
        logs,
        '-t',
        '20s',
      );
      assert.equal(code, 0, `${out}${err}`);
      assert.match(out, /^✓ action .*\n✓ agent .*\n– streams .*\n✓ log .*\n– alert /m);
      assert.match(out, /^Whole: action, agent, log\.$/m);
      assert.match(err, /^Waiting at most 20 s \(Ctrl-C ends it\)\.$/m);
    }
  });

  test('a command that fails, and a log that cannot be read', async () => {
    const run = await runCommand(
      'drill',
      '-r',
      'echo no such app >&2; false #',
      '-l',
      `cat ${log}`,
      '-t',
      '1s',
    );
    assert.equal(run.code, 1);
    assert.match(
      run.out,
      /^Broken: action\.\n- The command of --run ended with 1, saying "no such app"/m,
    );
    const logs = await runCommand(
      'drill',
      '-r',
      'true',
      '-l',
      'echo "Not logged in \x1b[2J" >&2; exit 3',
      '-t',
      '1s',
    );
    assert.equal(logs.code, 1);
    assert.match(
      logs.out,
      /^Broken: log\.\n- The command of --logs ended with 3, saying "Not\s+logged\s+in \\x1b/m,
    );
  });

  test('an agent that is said to be here, and is not', async () => {
    const { code, out } = await runCommand('drill', '-r', 'true', '-c', config(), '-t', '20s');
    assert.equal(code, 1);
    assert.match(out, /^Broken: agent\.\n- No agent answers on unix:/m);
  });

  test('an agent that was killed: its socket is left', async () => {
    const socket = join(folder, 'metrics.sock');
    const listens = `require('net').createServer().listen(${JSON.stringify(socket)}, () => console.log('here'))`;
    const child = spawn(process.execPath, ['-e', listens], { stdio: ['ignore', 'pipe', 'ignore'] });
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await once(child, 'close');
    const { code, out } = await runCommand(
      'drill',
      '-r',
      'true',
      '-s',
      `run_dir=${folder}`,
      '-t',
      '20s',
    );
    assert.equal(code, 1);
    assert.match(out, /^✗ agent /m);
    assert.match(out, /An agent was on this host and has ended unexpectedly/);
  });
});

const WRONG: readonly (readonly [argv: string[], says: RegExp])[] = [
  [['x'], /"x" is too much/],
  [['-r', ' '], /--run is empty/],
  [['-p', 'error', '-r', 'true'], /--priority must be warning or critical/],
  [['-p', 'eror', '-r', 'true'], /--priority must be one of .*Did you mean error\?/],
  [['-t', '1', '-r', 'true'], /--timeout must be from 1s to 6h, such as 90s or 10m; it is "1"/],
  [['-e', 'pages.example.org'], /--expect must be a URL/],
  [['-e', 'https://'], /--expect must be a URL/],
  [['-e', 'https://u:p@pages.example.org/'], /--expect must not hold a password/],
  [['-e', 'https://a.example/', '--listen', '1'], /give one of them/],
  [['--listen', 'x'], /--listen must be PORT or HOST:PORT/],
  [['--listen', '1:2:3'], /--listen must be PORT or HOST:PORT/],
  [['--listen', '65536'], /--listen must be PORT or HOST:PORT/],
  [['--header', 'a=env:B'], /--header is for the page of --expect/],
  [['--expect-text', 'x'], /--expect-text is for the alert/],
  [['-e', 'http://a.example/', '--expect-text', 'x'.repeat(201)], /longer than 200 characters/],
  [['-e', 'http://a.example/', '--header', 'Authorization=secret'], /must be NAME=env:VARIABLE or/],
  [['-e', 'http://a.example/', '--header', 'a b=env:X'], /must be NAME=env:VARIABLE or/],
  [['-e', 'http://a.example/', '--header', 'A=env:X'], /--header A: X is not set, or empty/],
  [
    ['-e', 'http://a.example/', '--header', 'A=file:/nonexistent/key'],
    /^varvel: \/nonexistent\/key: --header A: the file cannot be read \(ENOENT\)/,
  ],
  [['-r', 'true', '-c', '/nonexistent/varvel.yaml'], /\/nonexistent\/varvel\.yaml/],
];
for (const [argv, says] of WRONG) {
  test(`drill ${argv.join(' ').slice(0, 80)} is refused`, async () => {
    const { code, out, err } = await runCommand('drill', ...argv);
    assert.deepEqual([code === 0, out], [false, '']);
    assert.match(err, says);
  });
}

test('of an agent’s answer: the container that is meant, the rule, and what waits', () => {
  const container = (name: string, app: string, state: 'included' | 'excluded', gone = false) => ({
    id: `${name}-id`,
    fullId: `${name}-id-whole`,
    name,
    app,
    state,
    gone,
    reason: 'x',
    ...({
      runtime: 'docker',
      space: undefined,
      org: undefined,
      cgroupPath: '/',
      cgroupId: 1,
    } as const),
    isNew: false,
    unwatched: false,
    emitted: 1,
    dropped: 0,
    prefiltered: 0,
  });
  const containers = [
    container('old', 'shop', 'included', true),
    container('shop-1', 'shop', 'excluded'),
    container('shop-2', 'shop', 'included'),
    container('shop', 'blog', 'excluded'),
  ];
  const look = (...words: string[]) =>
    lookOf(
      {
        hostname: 'h',
        startedAtMs: 1,
        engine: { detections: { 'Varvel drill': 3 } },
        ceilings: { shed: ['Debug'] },
        apps: { containers },
        delivery: {
          streams: {
            file: { delivered: 1, failed: 2, dropped: 3, waiting: 9 },
            syslog: { spooled: 9, sent: 1, refused: 4, failed: 0, dropped: 0, waiting: 9 },
          },
        },
        streams: {
          file: { delivered: 1, failed: 2, dropped: 0 },
          syslog: { spool: { waiting: 4, oldestMs: 5 } },
        },
      },
      'Varvel drill',
      new Set(words),
    );
  assert.equal(
    look('docker', 'exec', 'shop').container?.app,
    'blog',
    'a container’s own name first',
  );
  assert.equal(look('shop-2-id').container?.name, 'shop-2');
  assert.equal(look('blog').container?.name, 'shop');
  assert.equal(look('old').container, undefined);
  const { container: none, ...rest } = look('nobody');
  assert.equal(none, undefined);
  assert.deepEqual(rest, {
    hostname: 'h',
    startedAtMs: 1,
    shed: ['Debug'],
    ruleOn: true,
    drills: 3,
    streams: [
      { name: 'file', waiting: 0, oldestMs: undefined, missed: 5 },
      { name: 'syslog', waiting: 4, oldestMs: 5, missed: 4 },
    ],
  });
});
