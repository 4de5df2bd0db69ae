// The packaged buildpack stages apps as the platform does: its arguments and folders, an ordinary user, no network.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type Docker from 'dockerode';
import { startDockerd } from '../support/dockerd.ts';
import { E2eAgent, settled, until } from '../support/e2e-agent.ts';
import { execInContainer, imageMadeBy, logLines, runContainer } from '../support/e2e-docker.ts';

/** Cloud Foundry's `vcap`. */
const USER = 2000;
const GOOD = `minimum_priority: notice
rules: [{disable: {rule: Transfer tool run by an app}}]
custom_rules:
  - rule: Converter started
    desc: The shop converts nothing.
    condition: evt.type in (execve, execveat) and proc.name = convert
    output: Converter started | command=%proc.cmdline
    priority: WARNING
`;

let folder: string;
let packed: string;
let buildpack: string;
let count = 0;

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'varvel-buildpack-'));
  chmodSync(folder, 0o755);
  packed = join(folder, 'packed');
  execFileSync(process.execPath, ['buildpack/package.mjs', '--out', packed], { stdio: 'ignore' });
  buildpack = join(folder, 'unpacked');
  execFileSync('unzip', ['-q', zipIn(packed), '-d', buildpack]);
});

after(() => rmSync(folder, { recursive: true, force: true }));

function zipIn(out: string): string {
  return join(out, readdirSync(out).find((name) => name.endsWith('.zip')) ?? 'no zip');
}

interface Staged {
  readonly code: number | null;
  readonly out: string;
  readonly deps: string;
  readonly ms: number;
}

/** As the ordinary user, in a network namespace of its own that has nothing in it. */
function run(
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: Record<string, string> } = {},
): { code: number | null; out: string } {
  const asUser = [
    '--reuid',
    String(USER),
    '--regid',
    String(USER),
    '--clear-groups',
    '--no-new-privs',
  ];
  const { status, stdout, stderr } = spawnSync(
    'unshare',
    ['--net', 'setpriv', ...asUser, '--', command, ...args],
    {
      encoding: 'utf8',
      timeout: 60_000,
      cwd: options.cwd ?? folder,
      env: { PATH: '/usr/bin:/bin', HOME: '/nonexistent', ...options.env },
    },
  );
  assert.equal(stderr, '');
  return { code: status, out: stdout };
}

function owned(path: string): string {
  mkdirSync(path, { recursive: true });
  chownSync(path, USER, USER);
  return path;
}

/** A file of the app's, or what `make` puts there. */
function stage(make: string | undefined | ((path: string) => void)): Staged {
  const at = owned(join(folder, `staging-${++count}`));
  const [app, cache, deps] = ['app', 'cache', 'deps'].map((name) => owned(join(at, name))) as [
    string,
    string,
    string,
  ];
  owned(join(deps, '0'));
  writeFileSync(join(deps, '0', 'config.yml'), 'name: other\n');
  owned(join(deps, '1'));
  writeFileSync(join(app, 'index.js'), '');
  if (typeof make === 'string') writeFileSync(join(app, 'varvel.yml'), make);
  else make?.(join(app, 'varvel.yml'));
  const before = listing(at);
  const startedMs = performance.now();
  const { code, out } = run(join(buildpack, 'bin', 'supply'), [app, cache, deps, '1']);
  const ms = performance.now() - startedMs;
  const changed = listing(at).filter((line) => !before.includes(line));
  for (const line of changed)
    assert.match(line, /^deps\/1(?:\/|$| )/, 'it writes only into its own folder');
  return { code, out, deps: join(deps, '1'), ms };
}

/** Every path with what would tell a change. */
function listing(at: string): string[] {
  return readdirSync(at, { recursive: true, encoding: 'utf8' })
    .map((path) => {
      const stat = statSync(join(at, path), { throwIfNoEntry: false });
      return `${path} ${stat?.isFile() === true ? `${stat.size} ${stat.mtimeMs}` : ''}`;
    })
    .sort();
}

interface Policy {
  readonly format: number;
  readonly varvel: string;
  readonly policy: string;
}
const policyIn = (deps: string): Policy =>
  JSON.parse(readFileSync(join(deps, 'varvel', 'policy.json'), 'utf8')) as Policy;

test('the archive has what its manifest says, and the same bytes when it is made again', () => {
  const manifest = readFileSync(join(buildpack, 'manifest.yml'), 'utf8');
  const [, sha256] = /sha256: (\S+)/.exec(manifest) ?? [];
  const node = readFileSync(join(buildpack, 'vendor', 'node'));
  assert.equal(createHash('sha256').update(node).digest('hex'), sha256);
  const [, include = ''] = manifest.split('include_files:\n');
  assert.deepEqual(
    include
      .trim()
      .split('\n')
      .map((line) => line.replace(/^ *- /, '')),
    readdirSync(buildpack, { recursive: true, encoding: 'utf8' })
      .filter((path) => statSync(join(buildpack, path)).isFile())
      .sort(),
  );
  for (const name of readdirSync(join(buildpack, 'bin')))
    assert.equal(statSync(join(buildpack, 'bin', name)).mode & 0o777, 0o755, name);
  const again = join(folder, 'again');
  execFileSync(process.execPath, ['buildpack/package.mjs', '--out', again], {
    stdio: 'ignore',
    env: { ...process.env, TZ: 'Asia/Kolkata' },
  });
  for (const name of readdirSync(again).filter((file) => /\.(?:zip|tgz)$/.test(file))) {
    const bytes = readFileSync(join(again, name));
    assert.ok(bytes.equals(readFileSync(join(packed, name))), name);
    const digest = createHash('sha256').update(bytes).digest('hex');
    assert.equal(readFileSync(join(packed, `${name}.sha256`), 'utf8'), `${digest}  ${name}\n`);
  }
});

test('its Node.js asks for no newer glibc than cflinuxfs4 has', () => {
  const node = readFileSync(join(buildpack, 'vendor', 'node')).toString('latin1');
  const versions = [...node.matchAll(/GLIBC_2\.(\d+)/g)].map(([, minor]) => Number(minor));
  assert.ok(versions.length > 0);
  assert.ok(Math.max(...versions) <= 35, `GLIBC_2.${Math.max(...versions)}`);
});

test('an app without a policy: the operator’s rules watch it', () => {
  const { code, out, deps } = stage(undefined);
  assert.equal(code, 0, out);
  assert.match(
    out,
    /^-----> Varvel \d+\.\d+\.\d+\n {7}The app has no varvel\.yml: the operator’s rules watch it\.\n/,
  );
  assert.match(out, /varvel\.yml: \d+ rules watch the app, from Debug up\./);
  assert.equal(policyIn(deps).policy, '');
  assert.match(readFileSync(join(deps, 'config.yml'), 'utf8'), /^name: varvel$/m);
});

test('a good policy: what will be watched is printed, and the droplet has it', () => {
  const { code, out, deps } = stage(GOOD);
  assert.equal(code, 0, out);
  assert.match(out, /Its own:\n {9}Converter started\n/);
  assert.match(
    out,
    /Switched off, or below the least priority:\n[\s\S]*Transfer tool run by an app\n/,
  );
  const staged = policyIn(deps);
  assert.deepEqual([staged.format, staged.policy], [1, GOOD]);
  assert.deepEqual(readdirSync(deps).sort(), ['config.yml', 'varvel']);
  assert.deepEqual(
    readdirSync(join(deps, 'varvel')),
    ['policy.json'],
    'no process, no profile script',
  );
});

test('the staged droplet runs in a container, and the agent watches it by that policy', async () => {
  const { deps } = stage(GOOD.replace('Transfer tool run by an app', 'Sensitive file read'));
  await using engine = await startDockerd();
  await using agent = await E2eAgent.start({ dockerd: engine });
  const image = await imageMadeBy(engine, 'droplet', 'cp /bin/busybox /bin/convert');
  const container = await engine.docker.createContainer({
    Image: image,
    Cmd: ['sh', '-c', 'exec sleep 600'],
    HostConfig: { NetworkMode: 'none' },
  });
  // As the platform lays it out: the buildpack's folder by its number, owned by the app's user.
  const droplet = spawnSync('tar', [
    '-C',
    join(deps, '..'),
    '--transform',
    's,^,home/vcap/deps/,',
    '-c',
    '1',
  ]);
  await container.putArchive(droplet.stdout, { path: '/' });
  await container.start();
  const plain = await runContainer(engine, 'exec sleep 600', {
    image,
    labels: { 'varvel.enable': 'true' },
  });
  const says = async (app: Docker.Container, what: RegExp): Promise<boolean> =>
    (await logLines(engine, app)).some((line) => what.test(line));
  await until('its policy is told', () =>
    says(container, /policy \(varvel\.yml, verified\).* is in force/),
  );
  await until('the other is watched', async () => {
    return (await agent.containerStatus(plain.id))?.state === 'included';
  });
  const fired = (app: Docker.Container): Promise<boolean[]> =>
    Promise.all([/Converter started/, /Sensitive file read/].map((what) => says(app, what)));
  for (const app of [container, plain]) {
    await execInContainer(app, 'read -r a < /etc/shadow; convert true');
    await until('it is told', async () => (await fired(app)).includes(true));
  }
  await settled(agent);
  assert.deepEqual(await fired(container), [true, false], 'its own rule, and one switched off');
  assert.deepEqual(await fired(plain), [false, true]);
  const edit = await execInContainer(container, 'echo > /home/vcap/deps/1/varvel/policy.json');
  assert.equal(edit, 0);
  await until('the edit is told', () => says(container, /Policy of the app changed/));
});

test('a wrong policy fails the staging, with file, line, column and a caret', () => {
  const { code, out, deps } = stage(GOOD.replace('proc.name', 'proc.nmae'));
  assert.equal(code, 1);
  assert.match(
    out,
    /varvel\.yml:6:51: error: .*proc\.nmae: did you mean proc\.name\?.*\n.*proc\.nmae.*\n +\^{9}\n/,
  );
  assert.match(out, /Mend varvel\.yml, or take it out/);
  assert.deepEqual(readdirSync(deps), [], 'nothing is half done');
});

describe('hostile policies are refused in bounded time, with a clear line', () => {
  const rule = (n: number): string =>
    `  - {rule: r${n}, desc: d, output: x, priority: NOTICE, condition: evt.type = execve}\n`;
  const bomb = Array.from(
    { length: 20 },
    (_, n) => `a${n + 1}: &a${n + 1} [${`*a${n},`.repeat(9)}]`,
  );
  const cases: Readonly<Record<string, [string | ((path: string) => void), RegExp]>> = {
    'a link': [
      (path) => symlinkSync('/etc/shadow', path),
      /varvel\.yml: it is a link\. Put the file itself/,
    ],
    'a FIFO': [
      (path) => execFileSync('mkfifo', ['-m', '666', path]),
      /varvel\.yml: it is not a regular file/,
    ],
    'a folder': [(path) => mkdirSync(path), /varvel\.yml: it is not a regular file/],
    '2 GB of nothing': [
      (path) => {
        writeFileSync(path, '');
        truncateSync(path, 2 ** 31);
      },
      /varvel\.yml: it is larger than 64 KiB/,
    ],
    'a pattern of 1 MB': [`custom_rules: ["${'a'.repeat(1_000_000)}"]`, /larger than 64 KiB/],
    '10,000 rules': [
      `custom_rules:\n${Array.from({ length: 10_000 }, (_, n) => rule(n)).join('')}`,
      /larger than 64 KiB/,
    ],
    'more rules than are taken': [
      `custom_rules:\n${Array.from({ length: 500 }, (_, n) => rule(n)).join('')}`,
      /varvel\.yml:102:5: error: .*at most 100 items are taken of each kind/,
    ],
    'an alias bomb': [`a0: &a0 [x]\n${bomb.join('\n')}\n`, /varvel\.yml:\d+:\d+: error: /],
    'what is no text': ['\0\xff\x1b[2J', /varvel\.yml:1:\d+: error: /],
    'no UTF-8': [
      (path) => writeFileSync(path, Buffer.from([0x61, 0x3a, 0xff, 0xfe])),
      /varvel\.yml/,
    ],
  };
  for (const [what, [make, line]] of Object.entries(cases)) {
    test(what, () => {
      const { code, out, deps, ms } = stage(make);
      assert.equal(code, 1, out);
      assert.match(out, line);
      assert.doesNotMatch(out, /[\0-\x08\x0b-\x1f\x7f]/);
      assert.deepEqual(readdirSync(deps), []);
      assert.ok(out.length < 200_000 && ms < 60_000);
    });
  }
});

test('a pattern that others never finish is taken: it runs in linear time here', () => {
  const text = GOOD.replace('proc.name = convert', String.raw`proc.name regex "(a+)+$"`);
  assert.equal(stage(text).code, 0);
});

test('as the last buildpack it says what to do', () => {
  const at = owned(join(folder, `staging-${++count}`));
  const last = run(join(buildpack, 'bin', 'finalize'), [at, at, at, '0', at]);
  assert.equal(last.code, 1);
  assert.match(last.out, /cf push -b varvel_buildpack -b nodejs_buildpack/);
  assert.equal(run(join(buildpack, 'bin', 'detect'), [at]).code, 1, 'never by itself');
});

test('Cloud Native Buildpacks: from the same files, a launch layer and labels', () => {
  const tree = join(folder, 'cnb');
  mkdirSync(tree);
  const archive = readdirSync(packed).find((name) => name.endsWith('.tgz')) ?? '';
  execFileSync('tar', ['-xzf', join(packed, archive), '-C', tree]);
  const app = owned(join(folder, 'cnb-app'));
  const layers = owned(join(folder, 'cnb-layers'));
  const plan = owned(join(folder, 'cnb-plan'));
  writeFileSync(join(app, 'varvel.yml'), GOOD);
  const env = { CNB_BUILDPACK_DIR: tree, CNB_LAYERS_DIR: layers, CNB_PLATFORM_DIR: plan };
  assert.equal(
    run(join(tree, 'bin', 'detect'), [plan, join(plan, 'plan.toml')], { cwd: app, env }).code,
    0,
  );
  const { code, out } = run(join(tree, 'bin', 'build'), [layers, plan, join(plan, 'plan.toml')], {
    cwd: app,
    env,
  });
  assert.equal(code, 0, out);
  assert.deepEqual(readdirSync(layers).sort(), ['launch.toml', 'varvel', 'varvel.toml']);
  const staged = JSON.parse(readFileSync(join(layers, 'varvel', 'policy.json'), 'utf8')) as Policy;
  assert.equal(staged.policy, GOOD);
  assert.match(readFileSync(join(layers, 'varvel.toml'), 'utf8'), /^launch = true$/m);
  assert.match(
    readFileSync(join(layers, 'launch.toml'), 'utf8'),
    /key = "varvel\.enable"\nvalue = "true"/,
  );
  assert.match(
    readFileSync(join(tree, 'buildpack.toml'), 'utf8'),
    new RegExp(`version = "${staged.varvel}"`),
  );
  writeFileSync(join(app, 'varvel.yml'), 'rules: 5\n');
  assert.equal(run(join(tree, 'bin', 'build'), [layers, plan], { cwd: app, env }).code, 1);
});
