// The packages of the BOSH release without a director, by their own scripts.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { spec, yaml } from '../support/bosh-spec.ts';
import { BOSH, BoshVm, prepareRelease } from '../support/bosh-vm.ts';

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'varvel-manifests-'));
});
after(() => {
  rmSync(folder, { recursive: true, force: true });
});

test('the packages: the same bytes each time, installed without compiler or network, refused on too old a stemcell', () => {
  const release = prepareRelease(folder);
  const blobs = yaml(join(release, 'config/blobs.yml')) as Record<
    string,
    { size: number; sha: string }
  >;
  for (const [path, { size, sha }] of Object.entries(blobs)) {
    const bytes = readFileSync(join(release, 'blobs', path));
    assert.equal(bytes.length, size);
    assert.equal(`sha256:${createHash('sha256').update(bytes).digest('hex')}`, sha);
  }
  for (const name of spec.packages) {
    const {
      name: own,
      dependencies,
      files,
    } = yaml(join(BOSH, 'packages', name, 'spec')) as {
      name: string;
      dependencies: string[];
      files: string[];
    };
    assert.equal(own, name);
    for (const dependency of dependencies) assert.ok(spec.packages.includes(dependency));
    assert.ok(files.every((file) => file in blobs));
  }
  const again = prepareRelease(folder, 'again');
  const read = (of: string): string => readFileSync(join(of, 'config/blobs.yml'), 'utf8');
  assert.equal(read(again), read(release));

  using vm = new BoshVm();
  const [node, varvel] = [vm.install(release, 'node'), vm.install(release, 'varvel')];
  assert.deepEqual([node.code, node.stderr], [0, '']);
  assert.deepEqual([varvel.code, varvel.stderr, varvel.stdout], [0, '', '0.1.0\n']);
  const { stdout } = vm.run([
    '/var/vcap/packages/varvel/bin/varvel',
    'check',
    '/var/vcap/packages/varvel/manifests/rules',
  ]);
  assert.match(stdout, /loaded/);

  // What jammy's stemcells have.
  const of = join(vm.root, 'data/packages/varvel/fingerprint');
  assert.match(readFileSync(join(of, 'GLIBC'), 'utf8'), /^2\.(?:[12]?\d|3[0-5])\n$/);

  // A stemcell of before this release's C library.
  const unpack = join(folder, 'old');
  const sh = (script: string): void =>
    assert.equal(
      spawnSync('bash', ['-euc', script, 'sh', unpack, join(again, 'blobs/varvel/varvel.tar.gz')])
        .status,
      0,
    );
  sh('mkdir "$1"; tar -xzf "$2" -C "$1"; echo 9.9 >"$1/GLIBC"; tar -czf "$2" -C "$1" .');
  const old = vm.install(again, 'varvel');
  assert.equal(old.code, 1);
  assert.match(
    old.stderr,
    /this release was built for glibc 9\.9 or newer, and this stemcell has 2\.\d+/,
  );
});
