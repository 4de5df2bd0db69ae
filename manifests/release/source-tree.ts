// The sources of the commit in a folder of their own, with the version in them, and what is built from them: nothing that lies about
// in the clone gets into a release.
import { copyFileSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../../src/shared/user-error.ts';
import { run } from './commands.ts';
import type { Request } from './request.ts';

export const LOADER = 'ebpf-loader-napi';

interface PackageFile {
  version: string;
  dependencies?: Record<string, string>;
  packages?: Record<string, PackageFile>;
}

/** What the makers of artefacts work on; all paths are absolute. */
export interface Built {
  readonly request: Request;
  /** The sources, with `dist` and `native/build`. */
  readonly source: string;
  /** What manifests/bundle.sh has made of them. */
  readonly bundle: string;
  /** A folder for what is not an artefact. */
  readonly work: string;
  /** Where artefacts go. */
  readonly files: string;
  /** The environment of commands: nothing in it changes what is built. */
  readonly env: NodeJS.ProcessEnv;
}

/** Makes the tree in `work`, and builds it. `say` gets a message before slow work. Throws UserError when a command fails. */
export function buildTree(
  root: string,
  request: Request,
  folders: { readonly work: string; readonly files: string },
  say: (text: string) => void,
): Built {
  const { work, files } = folders;
  const source = join(work, 'source');
  const bundle = join(work, 'bundle');
  mkdirSync(source);
  const archive = join(work, 'source.tar');
  run('git', ['-C', root, 'archive', '--format=tar', '-o', archive, request.commit]);
  run('tar', ['-xf', archive, '-C', source]);
  stamp(source, request.version);
  const env = cleanEnvironment(request.epoch);
  const npm = (...args: readonly string[]): string => run('npm', args, { cwd: source, env });
  say('installing npm packages');
  npm('ci', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund');
  if (request.native === undefined) {
    say('building the probe and its loader');
    npm('run', '--silent', 'build:native');
  } else {
    copyNative(request.native, join(source, 'native', 'build'));
  }
  say('building the agent');
  npm('run', '--silent', 'build');
  run('bash', ['manifests/bundle.sh', bundle], { cwd: source, env });
  return { request, source, bundle, work, files, env };
}

/** Writes the version into each file that has it. */
function stamp(source: string, version: string): void {
  const change = (name: string, edit: (file: PackageFile) => void): void => {
    const path = join(source, name);
    const file = JSON.parse(readFileSync(path, 'utf8')) as PackageFile;
    edit(file);
    writeFileSync(path, `${JSON.stringify(file, undefined, 2)}\n`);
  };
  const set = (file: PackageFile | undefined): void => {
    if (file === undefined) throw new UserError('package-lock.json has another form than npm’s.');
    file.version = version;
    if (file.dependencies?.[LOADER] !== undefined) file.dependencies[LOADER] = version;
  };
  change('package.json', set);
  change('native/package.json', set);
  change('package-lock.json', (lock) => {
    set(lock);
    for (const folder of ['', 'native']) set(lock.packages?.[folder]);
  });
}

function copyNative(from: string, to: string): void {
  mkdirSync(join(to, 'Release'), { recursive: true });
  const objects = readdirSync(from).filter((name) => name.endsWith('.bpf.o'));
  for (const name of [...objects, 'Release/ebpf_loader.node'])
    copyFileSync(join(from, name), join(to, name));
}

/** Of the caller’s environment only what finds programs, registries and certificates. */
function cleanEnvironment(epoch: number): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) =>
    /^(?:PATH|HOME|TMPDIR|SSL_CERT_\w+|NODE_EXTRA_CA_CERTS|(?:https?|no)_proxy|npm_config_(?:registry|cache|userconfig|cafile))$/i.test(
      name,
    ),
  );
  return {
    ...Object.fromEntries(kept),
    LC_ALL: 'C.UTF-8',
    TZ: 'UTC',
    SOURCE_DATE_EPOCH: String(epoch),
  };
}
