// What `npm run release` refuses before it makes anything, and what it takes from the commit.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import {
  checkVersion,
  debianVersion,
  KINDS,
  readRequest,
} from '../../../manifests/release/request.ts';
import { UserError } from '../../../src/shared/user-error.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const SECONDS = 1_700_000_000;

/** A repository with one commit, of a known time. */
function repository(): { root: string; git: (...args: readonly string[]) => string } {
  const root = temporaryFolder('varvel-request-');
  const git = (...args: readonly string[]): string =>
    execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@t.invalid', ...args], {
      cwd: root,
      encoding: 'utf8',
      env: { ...process.env, GIT_COMMITTER_DATE: `${SECONDS} +0000` },
    }).trim();
  git('init', '-q');
  writeFileSync(join(root, 'file'), 'one');
  git('add', '.');
  git('commit', '-qm', 'one');
  return { root, git };
}

const refused = (root: string, argv: readonly string[], env = {}): string => {
  try {
    readRequest(root, argv, env);
  } catch (error) {
    assert.ok(error instanceof UserError, String(error));
    return error.message;
  }
  return assert.fail(`not refused: ${argv.join(' ')}`);
};

describe('the version of a release', () => {
  test('is three numbers, with a pre-release or without', () => {
    for (const version of ['0.1.0', '1.2.3', '10.20.30-rc.1', '1.0.0-alpha', '1.0.0-0a-b.x']) {
      assert.equal(checkVersion(version), version);
    }
    for (const version of [
      '',
      '1',
      '1.2',
      'v1.2.3',
      '01.2.3',
      '1.2.3-',
      '1.2.3-01',
      '1.2.3-a..b',
      '1.2.3\n',
      '1.2.3 ',
      '../1.2.3',
      `1.2.3-${'a'.repeat(60)}`,
    ]) {
      assert.throws(() => checkVersion(version), /is not one of Semantic Versioning: give three/);
    }
    assert.throws(() => checkVersion('1.2.3+5'), /has build metadata/);
    assert.throws(
      () => checkVersion('\u001b[2J'),
      (error: Error) => !error.message.includes('\u001b'),
    );
  });

  test('as Debian writes it, a pre-release is before the release', () => {
    const isBefore = (one: string, other: string): boolean => {
      const args = ['--compare-versions', debianVersion(one), 'lt', debianVersion(other)];
      try {
        execFileSync('dpkg', args);
        return true;
      } catch {
        return false;
      }
    };
    assert.equal(debianVersion('1.2.3-rc.1'), '1.2.3~rc.1');
    assert.ok(isBefore('1.2.3-rc.1', '1.2.3-rc.2'));
    assert.ok(isBefore('1.2.3-rc.2', '1.2.3'));
    assert.ok(isBefore('1.2.3', '1.10.0'));
    assert.equal(isBefore('1.2.3', '1.2.3-rc.1'), false);
  });
});

describe('a release', () => {
  test('is of the commit that is checked out, with its time', () => {
    const { root, git } = repository();
    const request = readRequest(root, ['--version', '1.2.3'], {});
    assert.deepEqual(request, {
      version: '1.2.3',
      out: join(root, 'release/1.2.3'),
      kinds: KINDS,
      native: undefined,
      commit: git('rev-parse', 'HEAD'),
      epoch: SECONDS,
      isTagged: false,
    });
    git('tag', 'v1.2.3');
    git('tag', '-am', 'with a message', 'v1.2.4');
    for (const version of ['1.2.3', '1.2.4'])
      assert.ok(readRequest(root, ['--version', version], {}).isTagged);
    assert.equal(readRequest(root, ['--version', '2.0.0'], { SOURCE_DATE_EPOCH: '7' }).epoch, 7);
    const some = readRequest(root, ['--version', '2.0.0', '--only', 'deb,npm'], {});
    assert.deepEqual(some.kinds, ['npm', 'deb']);
  });

  test('is refused where another commit has the tag, or the work tree is not what is committed', () => {
    const { root, git } = repository();
    git('tag', 'v1.2.3');
    writeFileSync(join(root, 'file'), 'two');
    assert.match(
      refused(root, ['--version', '1.2.3']),
      /not what is committed \(file\): commit or remove/,
    );
    git('commit', '-qam', 'two');
    assert.match(refused(root, ['--version', '1.2.3']), /The tag v1\.2\.3 is another commit/);
    for (const name of ['new', 'other', 'third']) writeFileSync(join(root, name), '');
    assert.match(refused(root, ['--version', '2.0.0']), /\(new and 2 more\)/);
  });

  test('is refused where its folder is there already, and outside of a clone', () => {
    const { root } = repository();
    mkdirSync(join(root, 'release/1.2.3'), { recursive: true });
    assert.match(
      refused(root, ['--version', '1.2.3']),
      /1\.2\.3 is there already: remove it, or name/,
    );
    const elsewhere = temporaryFolder('varvel-request-');
    assert.match(refused(elsewhere, ['--version', '1.2.3']), /is no git clone/);
    assert.deepEqual(readdirSync(elsewhere), []);
  });

  test('is refused with a sentence where the command line is wrong', () => {
    const { root } = repository();
    assert.match(refused(root, []), /^Give a version\. Use:\nnpm run release/);
    assert.match(refused(root, ['--version']), /Use:\nnpm run release/);
    assert.match(refused(root, ['--version', '1.2.3', '--publish']), /--publish.*Use:/s);
    assert.match(
      refused(root, ['--version', '1.2.3', '--only', 'rpm']),
      /no kind of artefact "rpm": --only takes npm, /,
    );
    assert.match(
      refused(root, ['--version', '1.2.3', '--native', root]),
      /has no Release\/ebpf_loader\.node/,
    );
    assert.match(
      refused(root, ['--version', '1.2.3'], { SOURCE_DATE_EPOCH: 'now' }),
      /must be whole seconds since 1970/,
    );
  });
});
