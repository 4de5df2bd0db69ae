import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';

/** Kernels and what is built for guests; ignored by git. Remove a suite's folder to get its newest kernel. */
export const CACHE = join(import.meta.dirname, 'cache');

/** Debian's releases whose kernels are tested. */
export type Suite = 'bullseye' | 'bookworm' | 'trixie' | 'trixie-backports';

/** A kernel to boot: files in the cache. */
export interface GuestKernel {
  readonly suite: Suite;
  /** As uname says it. */
  readonly release: string;
  readonly image: string;
  /** What reaches the host's file system, uncompressed, each after those that it needs. */
  readonly modules: readonly string[];
}

/** Without these there is no root file system, and no overlayfs to test. */
const WANTED_MODULES = ['virtio_pci', '9pnet_virtio', '9p', 'overlay'];
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.pgp';
const KERNEL_PACKAGE = /^linux-(?:image|binary|modules|base)-\d/;

/**
 * The suite's kernel, from Debian's archive as this machine's apt sources name it, once; then from the cache.
 * Throws an Error with a sentence, and what apt said, when it cannot be had.
 */
export function guestKernel(suite: Suite): GuestKernel {
  const folder = join(CACHE, suite);
  const facts = join(folder, 'kernel.json');
  if (!existsSync(facts)) {
    mkdirSync(CACHE, { recursive: true });
    const work = mkdtempSync(join(CACHE, `${suite}-new-`));
    try {
      download(suite, work);
      // Another file of tests may have got it meanwhile.
      if (!existsSync(facts)) {
        rmSync(folder, { recursive: true, force: true });
        renameSync(join(work, 'kernel'), folder); // whole or not at all
      }
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  }
  const { release, modules } = JSON.parse(readFileSync(facts, 'utf8')) as {
    release: string;
    modules: string[];
  };
  return {
    suite,
    release,
    image: join(folder, 'vmlinuz'),
    modules: modules.map((name) => join(folder, name)),
  };
}

function download(suite: Suite, work: string): void {
  const what = `The kernel of Debian ${suite} cannot be had`;
  const run = (command: string, args: readonly string[], cwd = work): string =>
    runOrThrow(what, command, args, cwd);
  const apt = new PrivateApt(suite, work, run);
  // The metapackage leads to the image, and that (in newer releases) to packages with its parts.
  const packages = apt
    .cache('depends', '--recurse', '--important', 'linux-image-amd64')
    .split('\n')
    .filter((line) => KERNEL_PACKAGE.test(line));
  if (packages.length === 0) throw new Error(`${what}: linux-image-amd64 depends on no kernel.`);
  const debs = join(work, 'debs');
  mkdirSync(debs);
  apt.get(['download', ...packages], debs);
  const tree = join(work, 'tree');
  for (const deb of readdirSync(debs)) run('dpkg-deb', ['--extract', join(debs, deb), tree]);
  storeKernel(tree, join(work, 'kernel'), run);
}

/** apt with sources, lists and downloads of its own: this machine's stay as they are. */
class PrivateApt {
  readonly #options: readonly string[];
  readonly #run: (command: string, args: readonly string[], cwd?: string) => string;

  constructor(
    suite: Suite,
    work: string,
    run: (command: string, args: readonly string[], cwd?: string) => string,
  ) {
    this.#run = run;
    const sources = join(work, 'sources.list');
    writeFileSync(sources, `deb [signed-by=${KEYRING}] ${debianMirror(run)} ${suite} main\n`);
    const state = join(work, 'apt');
    for (const part of ['lists/partial', 'cache/archives/partial']) {
      mkdirSync(join(state, part), { recursive: true });
    }
    const settings = {
      'APT::Sandbox::User': 'root', // the folders are root's
      'Dir::Etc::sourcelist': sources,
      'Dir::Etc::sourceparts': '/dev/null',
      'Dir::Etc::preferencesparts': '/dev/null', // pins are for this machine
      'Dir::State::lists': join(state, 'lists'),
      'Dir::Cache': join(state, 'cache'),
    };
    this.#options = Object.entries(settings).flatMap(([key, value]) => ['-o', `${key}=${value}`]);
    this.get(['update', '-qq']);
  }

  get(args: readonly string[], cwd?: string): void {
    this.#run('apt-get', [...this.#options, '-q', ...args], cwd);
  }

  cache(...args: readonly string[]): string {
    return this.#run('apt-cache', [...this.#options, ...args]);
  }
}

/** Where this machine gets Debian from. */
function debianMirror(run: (command: string, args: readonly string[]) => string): string {
  const listing = run('apt-get', [
    'indextargets',
    '--format',
    '$(LABEL) $(REPO_URI)',
    'Created-By: Packages',
  ]);
  const mirror = listing
    .split('\n')
    .map((line) => /^Debian (\S+)$/.exec(line)?.[1])
    .find((uri) => uri !== undefined);
  if (mirror === undefined) {
    throw new Error(
      'No kernel for the guests: this machine’s apt sources name no Debian archive, or have never been read. Run: apt-get update',
    );
  }
  return mirror;
}

function storeKernel(
  tree: string,
  folder: string,
  run: (command: string, args: readonly string[]) => string,
): void {
  mkdirSync(folder);
  const root = ['lib/modules', 'usr/lib/modules']
    .map((folder) => join(tree, folder))
    .flatMap((folder) =>
      existsSync(folder) ? readdirSync(folder).map((of) => join(folder, of)) : [],
    )
    .find((path) => existsSync(join(path, 'kernel')));
  if (root === undefined) throw new Error('The kernel package has no modules.');
  const release = basename(root);
  // Since Linux 7 it is with its modules.
  const image = [join(tree, 'boot', `vmlinuz-${release}`), join(root, 'vmlinuz')].find((path) =>
    existsSync(path),
  );
  if (image === undefined) throw new Error(`The kernel package has no vmlinuz of ${release}.`);
  const modules: string[] = [];
  const files = new Map(
    readdirSync(root, { recursive: true, encoding: 'utf8' })
      .filter((path) => /\.ko(?:\.xz)?$/.test(path))
      .map((path) => [moduleName(path), join(root, path)]),
  );
  const builtIn = new Set(
    readFileSync(join(root, 'modules.builtin'), 'utf8').split('\n').map(moduleName),
  );
  const store = (name: string): void => {
    const target = `${name}.ko`;
    if (builtIn.has(name) || modules.includes(target)) return;
    const file = files.get(name);
    if (file === undefined) throw new Error(`Linux ${release} has no module ${name}.`);
    const stored = join(folder, target);
    run('cp', [file, file.endsWith('.xz') ? `${stored}.xz` : stored]);
    if (file.endsWith('.xz')) run('xz', ['--decompress', `${stored}.xz`]);
    // .modinfo holds key=value strings; `depends` is one of them, empty when there are none.
    const needs = /\0depends=([\w,-]*)\0/.exec(readFileSync(stored, 'latin1'))?.[1] ?? '';
    for (const need of needs.split(',').filter((one) => one !== '')) store(moduleName(need));
    modules.push(target);
  };
  for (const name of WANTED_MODULES) store(name);
  run('cp', [image, join(folder, 'vmlinuz')]);
  writeFileSync(join(folder, 'kernel.json'), JSON.stringify({ release, modules }));
}

/** A module is `9pnet_virtio` or `9pnet-virtio.ko`, whoever writes it: in the kernel the first. */
function moduleName(path: string): string {
  return basename(path)
    .replace(/\.ko(?:\.xz)?$/, '')
    .replaceAll('-', '_');
}

function runOrThrow(what: string, command: string, args: readonly string[], cwd: string): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  if (status === 0) return stdout;
  const said = (stderr || error?.message) ?? '';
  throw new Error(`${what}: ${command} failed.\n${said.trim()}`);
}
