// A container image as an OCI image layout, made without an engine: a small base of this machine's Debian packages, Node.js, varvel.
import { cpSync, lstatSync, mkdirSync, readFileSync, readlinkSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { UserError } from '../../src/shared/user-error.ts';
import { put, run, sha256, writeTar, writeTarGz } from './commands.ts';
import type { Built } from './source-tree.ts';

/** What a package gives to the base. The C library, a shell for the wrapper, cat for the canary, true for the self-test. */
const BASE: readonly (readonly [name: string, files: RegExp])[] = [
  [
    'libc6',
    /^\/usr\/lib(?:64)?\/(?:x86_64-linux-gnu\/)?(?:ld-linux-x86-64|lib[a-zA-Z_]+)\.so[.\d]*$/,
  ],
  ['dash', /^\/usr\/bin\/(?:da)?sh$/],
  ['coreutils', /^\/usr\/bin\/(?:cat|true)$/],
];
const OCI = 'application/vnd.oci.image';

/** A Debian package of which files are in the image. */
export interface BasePackage {
  readonly name: string;
  readonly version: string;
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

/** The packages of the base, as they are installed here. */
export function basePackages(): readonly BasePackage[] {
  return BASE.map(([name]) => ({
    name,
    version: run('dpkg-query', ['-W', '-f', '${Version}', name]),
  }));
}

/** Makes `varvel-X-oci.tar` and returns its name. Throws UserError when a file of the base is not as its package has it. */
export function makeImage(built: Built): readonly string[] {
  const { source, work, files, request } = built;
  const layout = join(work, 'image');
  const blobs = join(layout, 'blobs', 'sha256');
  mkdirSync(blobs, { recursive: true });
  const time = new Date(request.epoch * 1000).toISOString().replace('.000Z', 'Z');

  const descriptor = (mediaType: string, bytes: Buffer): Descriptor => {
    const digest = sha256(bytes);
    put(join(blobs, digest), bytes);
    return {
      mediaType: `${OCI}.${mediaType}`,
      digest: `sha256:${digest}`,
      size: bytes.length,
    };
  };
  const asJson = (mediaType: string, content: object): Descriptor =>
    descriptor(mediaType, Buffer.from(JSON.stringify(content)));

  const roots = [baseRoot(built), varvelRoot(built, 'node'), varvelRoot(built, 'varvel')];
  put(
    join(roots[2] ?? '', 'etc/varvel/varvel.yaml'),
    readFileSync(join(source, 'manifests/docker/varvel.yaml')),
  );
  const layers = roots.map((root, nth) => {
    const archive = join(work, `layer-${nth}.tar.gz`);
    const diffId = writeTarGz(archive, root, ['.'], request.epoch);
    return {
      diffId: `sha256:${diffId}`,
      ...descriptor('layer.v1.tar+gzip', readFileSync(archive)),
    };
  });
  const labels = {
    'org.opencontainers.image.title': 'varvel',
    'org.opencontainers.image.description': 'Runtime security for app containers',
    'org.opencontainers.image.version': request.version,
    'org.opencontainers.image.revision': request.commit,
    'org.opencontainers.image.created': time,
    'org.opencontainers.image.licenses': 'Apache-2.0',
  };
  const config = asJson('config.v1+json', {
    created: time,
    architecture: 'amd64',
    os: 'linux',
    config: {
      Env: [
        'PATH=/opt/varvel/varvel/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      ],
      Entrypoint: ['/opt/varvel/varvel/bin/varvel'],
      Cmd: ['agent'],
      WorkingDir: '/',
      Labels: labels,
    },
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    history: ['base', 'node', 'varvel'].map((created_by) => ({ created: time, created_by })),
  });
  const manifest = asJson('manifest.v1+json', {
    schemaVersion: 2,
    mediaType: `${OCI}.manifest.v1+json`,
    config,
    layers: layers.map(({ mediaType, digest, size }) => ({ mediaType, digest, size })),
    annotations: labels,
  });
  put(join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  put(
    join(layout, 'index.json'),
    JSON.stringify({
      schemaVersion: 2,
      mediaType: `${OCI}.index.v1+json`,
      manifests: [
        {
          ...manifest,
          platform: { architecture: 'amd64', os: 'linux' },
          annotations: {
            'org.opencontainers.image.ref.name': request.version,
            'io.containerd.image.name': `docker.io/library/varvel:${request.version}`,
          },
        },
      ],
    }),
  );
  // For `docker load`, which has read image layouts only since Docker 25, and takes the name from here.
  const blob = ({ digest }: { digest: string }): string => `blobs/sha256/${digest.slice(7)}`;
  put(
    join(layout, 'manifest.json'),
    JSON.stringify([
      { Config: blob(config), RepoTags: [`varvel:${request.version}`], Layers: layers.map(blob) },
    ]),
  );
  const name = `varvel-${request.version}-oci.tar`;
  writeTar(
    join(files, name),
    layout,
    ['oci-layout', 'index.json', 'manifest.json', 'blobs'],
    request.epoch,
  );
  return [name];
}

function varvelRoot({ bundle, work }: Built, part: string): string {
  const root = join(work, 'layers', part);
  cpSync(join(bundle, part), join(root, 'opt/varvel', part), { recursive: true });
  return root;
}

/** A root file system with no more than what varvel runs. */
function baseRoot({ work }: Built): string {
  const root = join(work, 'layers', 'base');
  for (const name of ['bin', 'lib', 'lib64', 'sbin']) {
    mkdirSync(join(root, 'usr', name), { recursive: true });
    symlinkSync(`usr/${name}`, join(root, name));
  }
  for (const name of ['dev', 'proc', 'run', 'sys', 'tmp', 'root', 'var/lib', 'var/log'])
    mkdirSync(join(root, name), { recursive: true });
  put(
    join(root, 'etc/passwd'),
    'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n',
  );
  put(join(root, 'etc/group'), 'root:x:0:\nnogroup:x:65534:\n');
  put(join(root, 'etc/nsswitch.conf'), 'passwd: files\ngroup: files\nhosts: files dns\n');
  put(join(root, 'etc/os-release'), readFileSync('/etc/os-release'));
  for (const [name, wanted] of BASE) copyFiles(name, wanted, root);
  // Where scanners look up what is installed.
  put(
    join(root, 'var/lib/dpkg/status'),
    BASE.map(([name]) => run('dpkg-query', ['-s', name])).join('\n'),
  );
  return root;
}

function copyFiles(name: string, wanted: RegExp, root: string): void {
  const changed = run('dpkg', ['--verify', name])
    .split('\n')
    .map((line) => merged(line.slice(line.indexOf('/'))))
    .filter((path) => wanted.test(path));
  if (changed.length > 0)
    throw new UserError(
      `${changed[0]} is not as the package ${name} has it: apt-get install --reinstall ${name}`,
    );
  const paths = run('dpkg-query', ['-L', name])
    .split('\n')
    .map(merged)
    .filter((path) => wanted.test(path));
  if (paths.length === 0)
    throw new UserError(`The package ${name} has none of the files that the image needs.`);
  for (const path of [...paths, `/usr/share/doc/${name}/copyright`]) {
    const to = join(root, path);
    mkdirSync(dirname(to), { recursive: true });
    if (lstatSync(path).isSymbolicLink()) symlinkSync(readlinkSync(path), to);
    else cpSync(path, to, { dereference: false });
  }
}

/** Before /lib and /bin were links into /usr, packages had their files there. */
function merged(path: string): string {
  return path.replace(/^\/(bin|lib|lib64|sbin)\//, '/usr/$1/');
}
