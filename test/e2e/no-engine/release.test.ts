// What `npm run release` makes: the same bytes twice, and each artefact installed where nothing else is.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { before, test } from 'node:test';
import { Ajv } from 'ajv';
import { parse } from 'yaml';
import { makeDebianTree, runIn, unpack, type TreeRun } from '../../support/bare-tree.ts';
import { cloneWorkTree, release } from '../../support/release.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const VERSION = '7.8.9-rc.1';
const DEBIAN = '7.8.9~rc.1';
const USER = 2000;
const CHART = 'manifests/helm/varvel/Chart.yaml';
const LINE =
  'Warning [app=shop rule="Sensitive file read" container=shop id=01M8Q12QVX3GPTZC8S1R seq=2 incident=k3zq81vd lineage="cat(13)<node(1)"] file=/etc/shadow command=cat /etc/shadow exe=/usr/bin/cat';

const folder = temporaryFolder('varvel-releases-');
const clone = join(folder, 'clone');
const first = join(folder, 'first');
const second = join(folder, 'sec ond', 'release');
/** Debian without anything more, for each that is installed: none finds what another has brought. */
const bare = join(folder, 'bare');

before(async () => {
  // Until there is a chart of our own.
  const chart = 'apiVersion: v2\nname: varvel # as it is\nversion: 0.0.0\nappVersion: 0.0.0\n';
  cloneWorkTree(clone, existsSync(CHART) ? {} : { [CHART]: chart });
  const tree = makeDebianTree(bare);
  const made = await release(clone, ['--version', VERSION, '--out', first]);
  assert.equal(made.code, 0, made.stderr);
  assert.equal(made.stdout, `${first}\n`);
  await tree;
});

const artefact = (name: string): string => join(first, name);
const BUNDLE = `varvel-${VERSION}-linux-x64.tar.gz`;
const DEB = `varvel_${DEBIAN}_amd64.deb`;
const IMAGE = `varvel-${VERSION}-oci.tar`;
const sha256 = (path: string): string =>
  createHash('sha256').update(readFileSync(path)).digest('hex');

/** A copy of the bare tree. */
function tree(name: string): string {
  const to = join(folder, name);
  execFileSync('cp', ['-a', bare, to]);
  return to;
}

function ok({ code, stdout, stderr }: TreeRun): string {
  assert.equal(code, 0, `${stdout}${stderr}`);
  return stdout;
}

/** The agent finds all that it needs, apart from what is not of this tree. */
function assertHealthy({ code, stdout }: TreeRun): void {
  assert.match(stdout, /^The agent can watch this host\.$/m);
  assert.equal(code, 0, stdout);
  // A child runs Node.js again, which needs its libraries there as well.
  assert.match(stdout, /^ok +denial /m);
}

test('a second release of the commit, made in another way, has the same bytes', async () => {
  const env = { TZ: 'Asia/Tokyo', LANG: 'C', NODE_DIR: '/nowhere' };
  const args = ['--version', VERSION, '--out', second, '--only', 'npm,deb,image,chart'];
  const made = await release(clone, args, { umask: '077', env });
  assert.equal(made.code, 0, made.stderr);
  const sums = (out: string): string[] =>
    readFileSync(join(out, 'SHA256SUMS'), 'utf8').trim().split('\n');
  assert.equal(sums(second).length, 2 * 5 + 2, String(sums(second)));
  assert.deepEqual(
    sums(second).filter((line) => !sums(first).includes(line)),
    [],
  );
  assert.equal(spawnSync('sha256sum', ['-c', '--quiet', 'SHA256SUMS'], { cwd: first }).status, 0);
  const listed = sums(first).map((line) => line.slice(66));
  assert.deepEqual(
    listed,
    readdirSync(first)
      .filter((name) => name !== 'SHA256SUMS')
      .sort(),
  );
  assert.deepEqual(readdirSync(dirname(second)), ['release'], 'nothing else is left');
});

test('one that fails says why, and leaves nothing', async () => {
  const parent = join(folder, 'failed');
  const programs = join(folder, 'programs');
  mkdirSync(programs);
  writeFileSync(join(programs, 'npm'), '#!/bin/sh\necho "no registry" >&2\nexit 7\n', {
    mode: 0o755,
  });
  const made = await release(clone, ['--version', VERSION, '--out', join(parent, 'x')], {
    env: { PATH: `${programs}:${process.env['PATH']}` },
  });
  assert.equal(made.code, 1);
  assert.match(made.stderr, /^release: npm ci .* failed with exit code 7:\nrelease: no registry$/m);
  assert.doesNotMatch(made.stderr, /^ *at /m);
  assert.deepEqual(readdirSync(parent), []);
});

test('bills of materials are valid, and name what is in the artefact', () => {
  const schemas = 'node_modules/@cyclonedx/cyclonedx-library/res/schema';
  const ajv = new Ajv({ strict: false, validateFormats: false });
  const schema = (name: string): object =>
    JSON.parse(readFileSync(join(schemas, `${name}.SNAPSHOT.schema.json`), 'utf8')) as object;
  for (const name of ['spdx', 'jsf-0.82'])
    ajv.addSchema(schema(name), `http://cyclonedx.org/schema/${name}.SNAPSHOT.schema.json`);
  const isValid = ajv.compile(schema('bom-1.5'));
  assert.equal(isValid({ bomFormat: 'CycloneDX', specVersion: '1.5', components: [{}] }), false);
  const names = readdirSync(first).filter((name) => existsSync(artefact(`${name}.cdx.json`)));
  assert.equal(names.length, 9, String(names));
  for (const name of names) {
    const bill = JSON.parse(readFileSync(artefact(`${name}.cdx.json`), 'utf8')) as Bill;
    assert.ok(isValid(bill), `${name}: ${JSON.stringify(isValid.errors)}`);
    assert.equal(bill.metadata.component.version, VERSION);
    assert.equal(bill.metadata.component.hashes?.[0]?.content, sha256(artefact(name)));
  }
  const bill = JSON.parse(readFileSync(artefact(`${BUNDLE}.cdx.json`), 'utf8')) as Bill;
  const part = (name: string): Component => {
    const found = bill.components.find((one) => one.name === name);
    assert.ok(found, name);
    return found;
  };
  unpack(artefact(BUNDLE), join(folder, 'unpacked'));
  const app = join(folder, 'unpacked', `varvel-${VERSION}`);
  const versions = execFileSync(join(app, 'node/bin/node'), ['-p', 'process.versions.openssl']);
  assert.equal(part('node').hashes?.[0]?.content, sha256(join(app, 'node/bin/node')));
  const openssl = part('node').components?.find(({ name }) => name === 'openssl');
  assert.equal(openssl?.version, versions.toString().trim());
  const loader = join(app, 'varvel/node_modules/ebpf-loader-napi');
  const probe = part('ebpf-loader-napi').components?.find(
    ({ name }) => name === 'build/probe.bpf.o',
  );
  assert.equal(probe?.hashes?.[0]?.content, sha256(join(loader, 'build/probe.bpf.o')));
  // A library of Debian, and a package that npm counts among those of development only.
  assert.equal(part('libbpf1').components?.[0]?.name, 'lib/libbpf.so.1');
  part('yaml');
  const licenses = readFileSync(artefact('LICENSES.txt'), 'utf8');
  for (const { name } of bill.components)
    if (name !== 'ebpf-loader-napi')
      assert.ok(licenses.includes(`\n${name} `) || licenses.startsWith(`${name} `), name);
});

test('the Debian package: installed without anything else, and gone again', (t) => {
  const root = tree('deb');
  cpSync(artefact(DEB), join(root, 'varvel.deb'));
  const sh = (script: string): TreeRun => runIn(root, ['sh', '-c', script]);
  const said = ok(sh('dpkg -i varvel.deb'));
  assert.match(said, /installed, not started\. Check this host: varvel doctor/);
  assert.equal(ok(sh('cd / && varvel --version')), `${VERSION}\n`);
  assertHealthy(sh('varvel doctor'));
  assert.equal(
    ok(sh("dpkg-query -W -f '${Version} ${Status}' varvel")),
    `${DEBIAN} install ok installed`,
  );
  assert.match(
    ok(sh('dpkg --verify varvel; zcat /usr/share/man/man1/varvel.1.gz')),
    /^\.\\" Made by/,
  );
  const unit = readFileSync(join(root, 'usr/lib/systemd/system/varvel.service'), 'utf8');
  const program = /^ExecStart=(\S+) agent$/m.exec(unit)?.[1] ?? '';
  assert.equal(ok(sh(`${program} --version`)), `${VERSION}\n`);
  assert.doesNotMatch(unit, /\/opt\//);
  assert.equal(statSync(join(root, 'etc/varvel/varvel.yaml')).mode & 0o777, 0o640);

  cpSync('manifests/systemd/install.sh', join(root, 'install.sh'));
  const other = sh('bash /install.sh /usr/lib/varvel');
  assert.equal(other.code, 1);
  assert.match(other.stderr, /^install: varvel is installed here by its Debian package/);

  appendFileSync(join(root, 'etc/varvel/varvel.yaml'), '# mine\n');
  ok(sh('dpkg -i varvel.deb && mkdir -p /var/lib/varvel/spool && dpkg -r varvel'));
  assert.match(readFileSync(join(root, 'etc/varvel/varvel.yaml'), 'utf8'), /# mine/);
  assert.ok(!existsSync(join(root, 'usr/lib/varvel')) && existsSync(join(root, 'var/lib/varvel')));
  ok(sh('dpkg -P varvel'));
  assert.equal(ok(sh('find / -xdev -name "*varvel*" ! -path "/varvel.deb"')), '');

  // As install.sh leaves a host.
  for (const path of ['etc/systemd/system/varvel.service', 'opt/varvel/systemd/uninstall.sh']) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), '', { mode: 0o755 });
  }
  const refused = sh('dpkg -i varvel.deb');
  assert.notEqual(refused.code, 0);
  assert.match(
    refused.stderr,
    /install\.sh has installed varvel in \/opt\/varvel\. Remove that first/,
  );

  const { status, stdout, error } = spawnSync('lintian', ['--allow-root', artefact(DEB)], {
    encoding: 'utf8',
  });
  if (error !== undefined) t.diagnostic('lintian is not installed here, so it was not asked');
  else assert.deepEqual([status, stdout], [0, '']);
});

test('the archive: runs where it is unpacked', () => {
  const root = tree('archive');
  unpack(artefact(BUNDLE), join(root, 'srv'));
  const home = `/srv/varvel-${VERSION}`;
  const varvel = `${home}/varvel/bin/varvel`;
  assert.equal(runIn(root, ['node', '--version']).code, 127, 'no Node.js there');
  assert.equal(ok(runIn(root, [varvel, '--version'], { user: USER })), `${VERSION}\n`);
  assertHealthy(runIn(root, [varvel, 'doctor']));
  const { code, stderr } = runIn(root, ['bash', `${home}/systemd/install.sh`, home]);
  assert.equal(code, 1);
  assert.match(stderr, /^install: This host has no systemd, so nothing was installed\. Run /);
  assert.match(
    readFileSync(join(root, home, 'varvel/LICENSES.txt'), 'utf8'),
    /^node \d+\.\d+\.\d+$/m,
  );
});

test('the image: its layers are a root file system, and its entry point runs in it', () => {
  const layout = join(folder, 'layout');
  unpack(artefact(IMAGE), layout);
  assert.equal(readFileSync(join(layout, 'oci-layout'), 'utf8'), '{"imageLayoutVersion":"1.0.0"}');
  const blob = ({ digest, size }: Descriptor): string => {
    const path = join(layout, 'blobs', ...digest.split(':'));
    assert.deepEqual([`sha256:${sha256(path)}`, statSync(path).size], [digest, size]);
    return path;
  };
  const json = (path: string): unknown => JSON.parse(readFileSync(path, 'utf8'));
  const index = json(join(layout, 'index.json')) as { manifests: Descriptor[] };
  assert.equal(index.manifests.length, 1);
  const manifest = json(blob(index.manifests[0]!)) as { config: Descriptor; layers: Descriptor[] };
  const { config, rootfs } = json(blob(manifest.config)) as {
    config: { Env: string[]; Entrypoint: string[]; Cmd: string[]; Labels: Record<string, string> };
    rootfs: { diff_ids: string[] };
  };
  const root = join(folder, 'rootfs');
  manifest.layers.forEach((layer, nth) => {
    const path = blob(layer);
    unpack(path, root);
    const plain = execFileSync('gzip', ['-dc', path], { maxBuffer: 1 << 28 });
    const digest = createHash('sha256').update(plain).digest('hex');
    assert.equal(rootfs.diff_ids[nth], `sha256:${digest}`);
  });
  assert.equal(config.Labels['org.opencontainers.image.version'], VERSION);
  const commit = execFileSync('git', ['-C', clone, 'rev-parse', 'HEAD'], { encoding: 'utf8' });
  assert.equal(config.Labels['org.opencontainers.image.revision'], commit.trim());
  const env = Object.fromEntries(config.Env.map((one) => one.split('=') as [string, string]));
  assert.deepEqual(config.Cmd, ['agent']);
  assert.equal(ok(runIn(root, [...config.Entrypoint, '--version'], { env })), `${VERSION}\n`);
  assertHealthy(runIn(root, ['varvel', 'doctor'], { env }));
  // What the agent runs there: see the canary.
  ok(runIn(root, ['sh', '-c', 'exec cat -- /etc/passwd']));
});

test('the npm packages: installed without a registry; an app’s team needs nothing but Node.js', () => {
  const home = join(folder, 'home');
  mkdirSync(home);
  chownSync(home, USER, USER);
  for (const name of [`varvel-${VERSION}.tgz`, `ebpf-loader-napi-${VERSION}.tgz`])
    cpSync(artefact(name), join(home, name));
  // In a network namespace that has nothing in it, as an ordinary user.
  const asUser = (...command: string[]): string =>
    execFileSync(
      'unshare',
      [
        '--net',
        'setpriv',
        '--reuid',
        `${USER}`,
        '--regid',
        `${USER}`,
        '--clear-groups',
        ...command,
      ],
      {
        cwd: home,
        env: { PATH: process.env['PATH'], HOME: home },
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
  execFileSync('chmod', ['755', folder]);
  const install = ['install', '--no-audit', '--no-fund', '--no-update-notifier'];
  asUser('npm', ...install, `./varvel-${VERSION}.tgz`);
  const root = tree('npm');
  cpSync(join(home, 'node_modules'), join(root, 'home/node_modules'), {
    recursive: true,
    verbatimSymlinks: true,
  });
  cpSync(
    join(folder, 'unpacked', `varvel-${VERSION}`, 'node/bin/node'),
    join(root, 'usr/local/bin/node'),
  );
  // What nodejs.org's Node.js itself is linked with.
  cpSync(
    '/usr/lib/x86_64-linux-gnu/libatomic.so.1',
    join(root, 'usr/lib/x86_64-linux-gnu/libatomic.so.1'),
    { dereference: true },
  );
  for (const name of ['libstdc++.so.6', 'libgcc_s.so.1'])
    if (!existsSync(join(root, 'usr/lib/x86_64-linux-gnu', name)))
      cpSync(
        join('/usr/lib/x86_64-linux-gnu', name),
        join(root, 'usr/lib/x86_64-linux-gnu', name),
        { dereference: true },
      );
  assert.notEqual(runIn(root, ['ls', '/usr/lib/x86_64-linux-gnu/libbpf.so.1']).code, 0);
  writeFileSync(join(root, 'home/app.log'), `20:07:00.280118853: ${LINE}\n`);
  writeFileSync(join(root, 'home/varvel.yml'), 'minimum_priority: notice\n');
  const rules = '/home/node_modules/@varvel/varvel/manifests/rules';
  const varvel = (...args: string[]): string =>
    ok(
      runIn(
        root,
        ['sh', '-c', 'cd /home && exec "$@"', 'sh', '/home/node_modules/.bin/varvel', ...args],
        {
          user: USER,
          env: { PATH: '/usr/local/bin:/usr/bin:/bin' },
        },
      ),
    );
  assert.equal(varvel('--version'), `${VERSION}\n`);
  assert.match(varvel('pretty', '-o', 'app.log'), /WARNING +shop #2 +Sensitive file read/);
  assert.match(varvel('report', 'app.log'), /^<!doctype html>[^]*Sensitive file read/i);
  assert.match(varvel('explain', '-r', 'Sensitive file read'), /Look first at:/);
  assert.match(varvel('policy', 'varvel.yml'), /varvel\.yml/);
  assert.match(varvel('policy', '--schema'), /"minimum_priority"/);
  assert.match(varvel('test', `${rules}/tests/sensitive-file-read.yaml`), /passed/);

  asUser('npm', ...install, `./ebpf-loader-napi-${VERSION}.tgz`);
  const script = "console.log(require('@varvel/ebpf-loader-napi').bootTimeNs() > 0)";
  assert.equal(asUser('node', '-e', script), 'true\n');
});

test('the BOSH release, the buildpacks and the chart have the version', () => {
  const release = join(folder, 'bosh');
  unpack(artefact(`varvel-bosh-${VERSION}.tgz`), release);
  unpack(
    join(release, `varvel-bosh-${VERSION}`, 'blobs/varvel/varvel.tar.gz'),
    join(folder, 'blob'),
  );
  const { version } = JSON.parse(readFileSync(join(folder, 'blob/package.json'), 'utf8')) as {
    version: string;
  };
  assert.equal(version, VERSION);
  unpack(artefact(`varvel_cnb-v${VERSION}.tgz`), join(folder, 'cnb'));
  assert.equal(readFileSync(join(folder, 'cnb/VERSION'), 'utf8'), `${VERSION}\n`);
  const zipped = execFileSync('unzip', [
    '-p',
    artefact(`varvel_buildpack-cached-v${VERSION}.zip`),
    'VERSION',
  ]);
  assert.equal(zipped.toString(), `${VERSION}\n`);
  unpack(artefact(`varvel-chart-${VERSION}.tgz`), join(folder, 'chart'));
  const chart = parse(readFileSync(join(folder, 'chart/varvel/Chart.yaml'), 'utf8')) as Record<
    string,
    string
  >;
  assert.deepEqual(
    [chart['name'], chart['version'], chart['appVersion']],
    ['varvel', VERSION, VERSION],
  );
});

interface Descriptor {
  readonly digest: string;
  readonly size: number;
}

interface Component {
  readonly name: string;
  readonly version?: string;
  readonly hashes?: readonly { readonly content: string }[];
  readonly components?: readonly Component[];
}

interface Bill {
  readonly metadata: { readonly component: Component };
  readonly components: readonly Component[];
}
