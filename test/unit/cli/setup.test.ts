import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';

const root = join(import.meta.dirname, '../../..');
const folder = mkdtempSync(join(tmpdir(), 'varvel-setup-'));
after(() => rmSync(folder, { recursive: true, force: true }));

// A clone of nothing but the script: whatever it did by mistake, it would do here.
mkdirSync(join(folder, 'test/support'), { recursive: true });
cpSync(join(root, 'test/support/setup.sh'), join(folder, 'test/support/setup.sh'));
chmodSync(folder, 0o755);

function setup(
  args: string[],
  options: { path?: string } = {},
): { status: number | null; stderr: string } {
  const { status, stderr } = spawnSync(
    '/bin/bash',
    [join(folder, 'test/support/setup.sh'), ...args],
    {
      encoding: 'utf8',
      env: {
        PATH: options.path ?? process.env['PATH'] ?? '',
      },
    },
  );
  return { status, stderr };
}

/** A PATH with nothing but these programs; a text is a script. */
function pathOf(name: string, programs: Readonly<Record<string, string>>): string {
  const bin = join(folder, name);
  mkdirSync(bin);
  for (const [program, what] of Object.entries(programs)) {
    if (what.startsWith('/')) symlinkSync(what, join(bin, program));
    else writeFileSync(join(bin, program), `#!/bin/sh\n${what}\n`, { mode: 0o755 });
  }
  return bin;
}

const BASE = {
  dirname: '/usr/bin/dirname',
  uname: '[ "$1" = -m ] && echo x86_64 || echo Linux',
  id: 'echo 0',
  node: process.execPath,
  npm: 'exit 1',
};

test('it parses', () => {
  assert.equal(spawnSync('/bin/bash', ['-n', join(root, 'test/support/setup.sh')]).status, 0);
});

/** What a build has made already, and what looks whether it is up to date. */
const BUILT = {
  mktemp: '/usr/bin/mktemp',
  tail: '/usr/bin/tail',
  rm: '/usr/bin/rm',
  find: 'exit 0',
};
function build(): void {
  for (const stamp of ['node_modules/.package-lock.json', 'native/build/.built', 'dist/.built']) {
    mkdirSync(dirname(join(folder, stamp)), { recursive: true });
    writeFileSync(join(folder, stamp), '');
  }
}

test('without root or without a network it names the packages, goes on, and fails at its end unless told --partial', (t) => {
  build();
  t.after(() => {
    for (const name of ['node_modules', 'native', 'dist'])
      rmSync(join(folder, name), { recursive: true });
  });
  const cases = [
    [
      'user',
      { id: 'echo 1000', 'apt-get': 'exit 0' },
      /^setup: You are not root, so .*apt-get install clang-19 /m,
    ],
    [
      'offline',
      { 'apt-get': 'echo no network >&2; exit 100' },
      /^setup: apt-get has no network or no sources .*: clang-19 /m,
    ],
    ['other', {}, /^setup: This is not Debian \(no apt-get\), so .*: clang-19 /m],
  ] as const;
  for (const [name, programs, says] of cases) {
    const path = pathOf(name, { ...BASE, ...BUILT, ...programs });
    const strict = setup(['test'], { path });
    assert.match(strict.stderr, says);
    assert.match(
      strict.stderr,
      /^setup: What needs none of that is ready; the rest is named above\.$/m,
    );
    assert.equal(strict.status, 1, strict.stderr);
    const partial = setup(['test', '--partial'], { path });
    assert.match(partial.stderr, says);
    assert.equal(partial.status, 0, partial.stderr);
  }
});

test('another system, another machine, an old Node, no Node: a sentence each', () => {
  const says = (name: string, programs: Record<string, string>): string =>
    setup([], { path: pathOf(name, { ...BASE, ...programs }) }).stderr;
  assert.match(says('bsd', { uname: 'echo FreeBSD' }), /^setup: This is FreeBSD\./);
  assert.match(
    says('arm', { uname: '[ "$1" = -m ] && echo aarch64 || echo Linux' }),
    /^setup: This is aarch64\./,
  );
  const fakeVersion = (version: string): string =>
    `[ "$1" = --version ] && { echo v${version}; exit; }\nshift\ncode=$1\nshift\nexec ${process.execPath} -e "Object.defineProperty(process, 'versions', { value: { node: '${version}' } }); $code" "$@"`;
  assert.match(
    says('old', { node: fakeVersion('20.18.9') }),
    /^setup: Node v20\.18\.9 is too old\. Install Node 20\.19\.0 or newer\./,
  );
  assert.doesNotMatch(says('new', { node: fakeVersion('22.0.0') }), /too old/);
  assert.doesNotMatch(says('exact', { node: fakeVersion('20.19.0') }), /too old/);
  assert.match(says('nonode', { node: '/nonexistent' }), /^setup: Node is missing\./);
});

test('without apt-get it names what is missing', () => {
  const { status, stderr } = setup(['demo'], { path: pathOf('noapt', { ...BASE, ...BUILT }) });
  assert.equal(status, 1);
  assert.match(
    stderr,
    /^setup: This is not Debian \(no apt-get\), so .*: .*clang-19 llvm-19 .*make python3\n/,
  );
  assert.doesNotMatch(stderr, /docker/);
  const all = setup(['test'], { path: join(folder, 'noapt') });
  assert.match(all.stderr, / docker\.io docker-cli/);
  assert.match(all.stderr, / ruby/);
  assert.match(setup(['demo', '--docker'], { path: join(folder, 'noapt') }).stderr, / docker\.io/);
});

test('who builds a bundle gets a compiler, and nothing that only tests need', () => {
  const { stderr } = setup([], { path: pathOf('nothing', BASE) });
  const named = /packages have: (.*)\n/.exec(stderr)?.[1]?.split(' ') ?? [];
  const needed = ['clang-19', 'llvm-19', 'libbpf-dev', 'libelf-dev', 'zlib1g-dev'];
  needed.push('g++', 'make', 'python3');
  assert.ok(named.includes('clang-19'), stderr);
  assert.deepEqual(
    named.filter((name) => !needed.includes(name)),
    [],
  );
});

test('an unknown set-up is refused', () => {
  const { status, stderr } = setup(['everything']);
  assert.equal(status, 1);
  assert.match(stderr, /^setup: There is no set-up "everything"\./);
});
