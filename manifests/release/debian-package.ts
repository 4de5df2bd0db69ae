// The Debian package: the bundle in /usr/lib/varvel, the unit, the manual page, the configuration as a conffile.
import { cpSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { filesBelow, put, run } from './commands.ts';
import { debianVersion } from './request.ts';
import type { Built } from './source-tree.ts';

/** Whoever distributes the package puts a person there who answers. */
const MAINTAINER = 'The varvel maintainers <maintainers@varvel.invalid>';
const HOME = 'usr/lib/varvel';
const CONFFILE = 'etc/varvel/varvel.yaml';
const SCRIPTS = ['preinst', 'postinst', 'prerm', 'postrm'];

/** Makes `varvel_X_amd64.deb` and returns its name. */
export function makeDebianPackage(built: Built): readonly string[] {
  const { source, bundle, work, files, request, env } = built;
  const root = join(work, 'deb');
  const version = debianVersion(request.version);
  const manifests = join(source, 'manifests');
  const read = (path: string): string => readFileSync(join(manifests, path), 'utf8');
  /** The files for systemd name the place of install.sh. */
  const moved = (path: string): string => read(path).replaceAll('/opt/varvel/', `/${HOME}/`);

  mkdirSync(join(root, HOME), { recursive: true });
  for (const name of ['node', 'varvel'])
    cpSync(join(bundle, name), join(root, HOME, name), { recursive: true });
  put(join(root, 'usr/bin/varvel'), `#!/bin/sh\nexec /${HOME}/varvel/bin/varvel "$@"\n`, 0o755);
  put(join(root, 'usr/lib/systemd/system/varvel.service'), moved('systemd/varvel.service'));
  put(join(root, HOME, 'systemd/enforce.conf'), moved('systemd/enforce.conf'));
  put(join(root, HOME, 'systemd/hand-over.sh'), read('systemd/hand-over.sh'), 0o755);
  put(join(root, CONFFILE), read('systemd/varvel.yaml'), 0o640);
  put(join(root, 'usr/share/man/man1/varvel.1.gz'), gzip(read('man/varvel.1')));
  const docs = join(root, 'usr/share/doc/varvel');
  put(join(docs, 'copyright'), copyright(readFileSync(join(source, 'LICENSE'), 'utf8')));
  put(join(docs, 'changelog.gz'), gzip(changelog(version, request.epoch)));
  put(join(docs, 'CHANGELOG.md.gz'), gzip(readFileSync(join(source, 'CHANGELOG.md'))));
  put(join(root, 'usr/share/lintian/overrides/varvel'), read('debian/lintian-overrides'));

  const control = join(root, 'DEBIAN');
  const paths = filesBelow(root);
  const bytes = paths.reduce((sum, path) => sum + statSync(join(root, path)).size, 0);
  const glibc = readFileSync(join(bundle, 'varvel/GLIBC'), 'utf8').trim();
  put(
    join(control, 'md5sums'),
    paths.map((path) => `${md5(join(root, path))}  ${path}\n`).join(''),
  );
  put(join(control, 'conffiles'), `/${CONFFILE}\n`);
  for (const name of SCRIPTS) put(join(control, name), read(`debian/${name}`), 0o755);
  put(
    join(control, 'control'),
    [
      'Package: varvel',
      `Version: ${version}`,
      'Architecture: amd64',
      `Maintainer: ${MAINTAINER}`,
      `Installed-Size: ${Math.ceil(bytes / 1024)}`,
      `Depends: libc6 (>= ${glibc})`,
      'Pre-Depends: init-system-helpers (>= 1.54~)',
      'Section: admin',
      'Priority: optional',
      'Description: runtime security for app containers',
      ' The agent watches the kernel events of containers, matches rules that are',
      ' compatible with Falco, and writes each detection into the log of the app',
      ' that owns the container. Node.js and all libraries are in this package.',
      '',
    ].join('\n'),
  );
  run('chmod', ['-R', 'u=rwX,go=rX', root]);
  run('chmod', ['640', join(root, CONFFILE)]);
  // dpkg-deb lowers times to SOURCE_DATE_EPOCH, and raises none.
  run('find', [root, '-exec', 'touch', '--no-dereference', `--date=@${request.epoch}`, '{}', '+']);
  const name = `varvel_${version}_amd64.deb`;
  run('dpkg-deb', ['--root-owner-group', '-Zgzip', '-z6', '--build', root, join(files, name)], {
    env,
  });
  return [name];
}

/** Without a time or a name in it. */
function gzip(content: string | Uint8Array): Buffer {
  return gzipSync(content, { level: 9 });
}

const md5 = (path: string): string => createHash('md5').update(readFileSync(path)).digest('hex');

function changelog(version: string, epoch: number): string {
  const date = new Date(epoch * 1000).toUTCString().replace('GMT', '+0000');
  return `varvel (${version}) unstable; urgency=medium\n\n  * What has changed is in CHANGELOG.md.gz beside this file.\n\n -- ${MAINTAINER}  ${date}\n`;
}

/** In the form of copyright-format 1.0. Licenses of what is bundled are in a file of their own, which is longer. */
function copyright(license: string): string {
  if (!license.includes('Apache License')) throw new Error('LICENSE is another than it was');
  return `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: varvel
Comment: What is bundled (Node.js, npm packages, libraries of Debian) has its
 licenses in /${HOME}/varvel/LICENSES.txt.

Files: *
Copyright: 2026 The varvel authors
License: Apache-2.0
 On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.
`;
}
