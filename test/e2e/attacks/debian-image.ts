import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { TestDockerd } from '../../support/dockerd.ts';
import { writeApps } from './debian-apps.ts';
import { compile, importTree, run } from './image.ts';

/** What the workloads run; what these depend on comes along. */
const PACKAGES = [
  'apt',
  'base-files',
  'bash',
  'coreutils',
  'cron',
  'dash',
  'diffutils',
  'dpkg',
  'dumb-init',
  'findutils',
  'git',
  'grep',
  'gunicorn',
  'libc-bin',
  'libpython3-stdlib',
  'libstdc++6',
  'nginx',
  'procps',
  'puma',
  'python3-minimal',
  'redis-server',
  'ruby-rack',
  'ruby-sidekiq',
  's6',
  'sed',
  'supervisor',
  'tar',
  'tini',
];
/** What some need beside them. A JVM is 48 MB to download, 194 MB in the image. */
const MORE_PACKAGES = { debian: [], jvm: ['openjdk-21-jre-headless'], rpm: ['dnf', 'rpm'] };
export type DebianImage = keyof typeof MORE_PACKAGES;
/** Only scripts of packages that nothing here runs need it, and it is as large as all else. */
const NOT_NEEDED =
  /^(perl|perl-modules.*|libperl.*|adduser|cdebconf|debconf|tzdata|java-common|ca-certificates-java)$/;
/** Downloaded packages stay here, and are taken from here while they are the archive's newest. */
const CACHE = '.tmp/debian-packages';
/** No package of Debian; it stays in a folder of its version. */
const PM2 = '6.0.14';
const PM2_CACHE = `.tmp/pm2-${PM2}`;

/** uid and gid of app processes on Cloud Foundry. */
export const VCAP = 2000;

/** Why the image cannot be made here; undefined where it can. */
export function whyNoDebianImage(): string | undefined {
  if (!existsSync('/usr/bin/apt-get')) return 'apt-get is missing: this is not Debian';
  const { status } = spawnSync('apt-cache', ['show', 'nginx'], { stdio: 'ignore' });
  return status === 0 ? undefined : 'apt knows no package nginx: run apt-get update';
}

/** An image of Debian packages as they are on a server, with this machine's Node and npm, and the apps of the suite. */
export function importDebianImage(engine: TestDockerd, image: DebianImage): Promise<string> {
  const packages = download([...PACKAGES, ...MORE_PACKAGES[image]]);
  return importTree(engine, `varvel-test/${image}`, (tree) => {
    for (const file of packages) run('dpkg-deb', ['-x', file, tree]);
    writeUsers(tree);
    if (image === 'rpm') buildRpm(tree);
    copyNode(tree);
    copyPm2(tree);
    writePackageRepository(tree);
    writeApps(tree);
    writeCloudFoundry(tree);
  });
}

/** The packages and all they depend on, as apt chooses for a host without any; their files. */
function download(packages: readonly string[]): string[] {
  mkdirSync(CACHE, { recursive: true });
  const nothing = join(CACHE, 'nothing-installed');
  writeFileSync(nothing, '');
  // Prints only what it would fetch: address, file, size and hash of each.
  const options = [
    '--print-uris',
    '--no-install-recommends',
    '-o',
    `Dir::State::status=${nothing}`,
  ];
  const found = run('apt-get', ['-q', '-y', 'install', ...options, ...packages])
    .split('\n')
    .filter((line) => line.startsWith("'"))
    .map((line) => line.split(' ')[1]!)
    .map((file) => ({ file, name: file.slice(0, file.indexOf('_')) }))
    .filter(({ name }) => !NOT_NEEDED.test(name));
  const missing = found.filter(({ file }) => !existsSync(join(CACHE, file)));
  if (missing.length > 0)
    run('apt-get', ['-q', 'download', ...missing.map(({ name }) => name)], CACHE);
  return found.map(({ file }) => join(CACHE, file));
}

function writeUsers(tree: string): void {
  const users = [
    'root:x:0:0:root:/root:/bin/bash',
    'daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin',
    'www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin',
    '_apt:x:42:65534::/nonexistent:/usr/sbin/nologin',
    `vcap:x:${VCAP}:${VCAP}:vcap:/home/vcap:/bin/bash`,
    'nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin',
  ];
  writeFileSync(join(tree, 'etc/passwd'), `${users.join('\n')}\n`);
  const groups = ['root:x:0:', 'daemon:x:1:', 'www-data:x:33:', 'vcap:x:2000:', 'nogroup:x:65534:'];
  writeFileSync(join(tree, 'etc/group'), `${groups.join('\n')}\n`);
  writeFileSync(join(tree, 'etc/shadow'), 'root:*:19000:0:99999:7:::\n', { mode: 0o640 });
  for (const folder of ['proc', 'sys', 'dev', 'run/secrets', 'srv', 'root'])
    mkdirSync(join(tree, folder), { recursive: true });
  chmodSync(join(tree, 'tmp'), 0o1777);
}

/** Node as this machine has it, with the libraries that no package brought. */
function copyNode(tree: string): void {
  const node = realpathSync(process.execPath);
  copyFileSync(node, join(tree, 'usr/bin/node'));
  for (const library of run('ldd', [node]).matchAll(/=> (\/\S+)/g)) {
    const target = join(tree, library[1]!);
    if (existsSync(target)) continue;
    mkdirSync(dirname(target), { recursive: true });
    copyFileSync(library[1]!, target);
  }
  const npm = dirname(dirname(realpathSync(run('which', ['npm']).trim())));
  cpSync(npm, join(tree, 'usr/lib/node_modules/npm'), { recursive: true });
  symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', join(tree, 'usr/bin/npm'));
}

function copyPm2(tree: string): void {
  const modules = join(PM2_CACHE, 'node_modules');
  if (!existsSync(modules)) {
    const folder = `${PM2_CACHE}.new`;
    const options = ['--no-audit', '--no-fund', '--ignore-scripts', '--omit=dev'];
    run('npm', ['install', '--prefix', folder, ...options, `pm2@${PM2}`]);
    renameSync(folder, PM2_CACHE);
  }
  cpSync(modules, join(tree, 'usr/lib/pm2/node_modules'), { recursive: true });
  for (const name of ['pm2', 'pm2-runtime'])
    symlinkSync(`../lib/pm2/node_modules/pm2/bin/${name}`, join(tree, 'usr/bin', name));
}

/** A repository of one package, which installs a file and runs a script. */
function writePackageRepository(tree: string): void {
  const build = join(tree, 'srv/build');
  mkdirSync(join(build, 'DEBIAN'), { recursive: true });
  mkdirSync(join(build, 'usr/share/hello'), { recursive: true });
  writeFileSync(join(build, 'usr/share/hello/hello'), 'hello\n');
  writeFileSync(
    join(build, 'DEBIAN/control'),
    'Package: hello-varvel\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.com>\nDescription: a file\n',
  );
  const script = '#!/bin/sh\nset -e\ntest -e /usr/share/hello/hello\n';
  writeFileSync(join(build, 'DEBIAN/postinst'), script, { mode: 0o755 });
  const repository = join(tree, 'srv/packages');
  mkdirSync(repository);
  const deb = join(repository, 'hello-varvel.deb');
  run('dpkg-deb', ['--root-owner-group', '-b', build, deb]);
  const { size } = statSync(deb);
  const [hash] = run('sha256sum', [deb]).split(' ');
  const control = run('dpkg-deb', ['-f', deb]);
  writeFileSync(
    join(repository, 'Packages'),
    `${control}Filename: ./hello-varvel.deb\nSize: ${size}\nSHA256: ${hash!}\n`,
  );
  const apt = join(tree, 'etc/apt');
  writeFileSync(join(apt, 'sources.list'), 'deb [trusted=yes] file:/srv/packages ./\n');
  for (const folder of ['info', 'updates', 'triggers', 'parts'])
    mkdirSync(join(tree, 'var/lib/dpkg', folder), { recursive: true });
  writeFileSync(join(tree, 'var/lib/dpkg/status'), '');
  for (const folder of [
    'var/lib/apt/lists/partial',
    'var/cache/apt/archives/partial',
    'var/log/apt',
  ])
    mkdirSync(join(tree, folder), { recursive: true });
}

/** It provides what its own script needs, as no other package is known to rpm. */
const RPM_SPEC = `
Name: hello-varvel
Version: 1
Release: 1
Summary: a file
License: none
BuildArch: noarch
AutoReqProv: no
Provides: /bin/sh
%description
A file.
%install
mkdir -p %{buildroot}/usr/share/hello
echo hello > %{buildroot}/usr/share/hello/hello
%post
test -e /usr/share/hello/hello
%files
/usr/share/hello/hello
`;

/** A package of a file and a script, as /srv/hello.rpm: by the tree's own rpmbuild. */
function buildRpm(tree: string): void {
  writeFileSync(join(tree, 'srv/hello.spec'), RPM_SPEC);
  const nothing = join(tree, 'dev/null');
  run('mknod', ['-m', '666', nothing, 'c', '1', '3']);
  run('chroot', [tree, 'rpmbuild', '-bb', '--define', '_topdir /srv/rpm', '/srv/hello.spec']);
  renameSync(
    join(tree, 'srv/rpm/RPMS/noarch/hello-varvel-1-1.noarch.rpm'),
    join(tree, 'srv/hello.rpm'),
  );
  rmSync(nothing);
}

/** The platform's own programs by stand-ins at their paths, and an app as a buildpack leaves it. */
function writeCloudFoundry(tree: string): void {
  const healthcheck = 'etc/cf-assets/healthcheck';
  const app = 'home/vcap/app';
  for (const folder of ['tmp/lifecycle', healthcheck, app, 'home/vcap/profile.d', 'home/vcap/tmp'])
    mkdirSync(join(tree, folder), { recursive: true });
  const launcher = join(tree, 'tmp/lifecycle/launcher');
  compile('cf-program.c', launcher);
  for (const copy of ['tmp/lifecycle/diego-sshd', `${healthcheck}/healthcheck`, 'tmp/garden-init'])
    copyFileSync(launcher, join(tree, copy));
  cpSync(join(tree, 'app/node'), join(tree, app), { recursive: true });
  writeFileSync(
    join(tree, 'home/vcap/profile.d/0_env.sh'),
    'export DEPS_DIR=${DEPS_DIR:-/home/vcap/deps}\nexport MEMORY=$(free -m 2>/dev/null | wc -l)\n',
  );
  run('chown', ['-R', `${VCAP}:${VCAP}`, join(tree, 'home/vcap')]);
  chownSync(join(tree, 'home/vcap'), VCAP, VCAP);
}
