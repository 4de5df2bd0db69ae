// npm run release -- --version X: all artefacts of the commit that is checked out, in one folder. The same commit, built by the same
// versions of tools, gives the same bytes. Nothing but package registries is asked. manifests/docs/releases.md says what each is for.
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { replaceControls } from '../../src/shared/text.ts';
import { UserError } from '../../src/shared/user-error.ts';
import { makeBoshRelease, makeBuildpacks, makeBundle, makeChart } from './archives.ts';
import { fileSha256, filesBelow, put, run } from './commands.ts';
import { makeDebianPackage } from './debian-package.ts';
import { basePackages, makeImage } from './image.ts';
import { makeNpmPackages } from './npm-packages.ts';
import { readRequest, type Kind, type Request } from './request.ts';
import { Boms } from './sbom.ts';
import { buildTree, type Built } from './source-tree.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const MAKERS: Readonly<Record<Kind, (built: Built) => readonly string[]>> = {
  npm: makeNpmPackages,
  bundle: makeBundle,
  deb: makeDebianPackage,
  image: makeImage,
  bosh: makeBoshRelease,
  buildpack: makeBuildpacks,
  chart: makeChart,
};
/** The Debian packages that what is compiled depends on. */
const TOOLS = ['clang-19', 'g++', 'libbpf-dev', 'libelf-dev', 'zlib1g-dev', 'gzip', 'tar', 'dpkg'];

function say(text: string): void {
  process.stderr.write(`release: ${text}\n`);
}

async function make(request: Request): Promise<void> {
  const parent = dirname(request.out);
  mkdirSync(parent, { recursive: true });
  // On the same file system, so that the finished folder appears at once.
  const temporary = mkdtempSync(join(parent, `.${basename(request.out)}-`));
  try {
    const [work, files] = [join(temporary, 'work'), join(temporary, 'files')];
    mkdirSync(work);
    mkdirSync(files, { mode: 0o755 });
    if (!request.isTagged)
      say(`${request.commit.slice(0, 12)} has no tag v${request.version} (yet)`);
    const built = buildTree(ROOT, request, { work, files }, say);
    say(audit(built));
    await refuseIfStopped();
    const boms = new Boms(built);
    for (const kind of request.kinds) {
      await refuseIfStopped();
      say(`making ${kind}`);
      for (const name of MAKERS[kind](built))
        put(join(files, `${name}.cdx.json`), boms.of(kind, name));
    }
    copyFileSync(join(built.bundle, 'varvel/LICENSES.txt'), join(files, 'LICENSES.txt'));
    put(join(files, 'BUILD.json'), buildInformation(built));
    const sums = filesBelow(files).map((name) => `${fileSha256(join(files, name))}  ${name}\n`);
    put(join(files, 'SHA256SUMS'), sums.join(''));
    if (existsSync(request.out))
      throw new UserError(`${request.out} has come into being meanwhile: it was left alone.`);
    renameSync(files, request.out);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** A sentence on known advisories; throws UserError when there are any for what is shipped. */
function audit({ source, env }: Built): string {
  const found = run('bash', ['test/support/audit.sh'], { cwd: source, env }).trim();
  return found === ''
    ? 'audit: the npm registry in use answers no advisories, so nothing was checked'
    : found;
}

/** What it was built with: who builds the commit again needs the same to get the same bytes. */
function buildInformation({ request, env }: Built): string {
  const shown = run('dpkg-query', ['-W', '-f', '${Package}\t${Version}\n', ...installed(TOOLS)]);
  const tools = shown
    .trim()
    .split('\n')
    .map((line) => line.split('\t'));
  return `${JSON.stringify(
    {
      version: request.version,
      commit: request.commit,
      sourceDateEpoch: request.epoch,
      native: request.native === undefined ? 'built' : 'given by --native',
      node: process.versions.node,
      npm: run('npm', ['--version'], { env }).trim(),
      debian: Object.fromEntries(tools) as object,
      imageBase: Object.fromEntries(basePackages().map(({ name, version }) => [name, version])),
    },
    undefined,
    2,
  )}\n`;
}

/** Those of the packages that are there: compilers may have come in another way. */
function installed(names: readonly string[]): readonly string[] {
  const all = run('dpkg-query', ['-W', '-f', '${binary:Package}\n']).split('\n');
  const have = new Set(all.map((name) => name.split(':')[0]));
  return names.filter((name) => have.has(name));
}

// Commands are waited for, so a signal is seen between them. A command that runs gets that of a terminal too, and fails.
let stoppedBy: string | undefined;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => (stoppedBy = signal));

async function refuseIfStopped(): Promise<void> {
  await setImmediate();
  if (stoppedBy !== undefined) throw new UserError(`Stopped by ${stoppedBy}: nothing was made.`);
}

try {
  const request = readRequest(ROOT, process.argv.slice(2), process.env);
  await make(request);
  process.stdout.write(`${request.out}\n`);
} catch (error) {
  const shown =
    error instanceof UserError
      ? error.toDisplay()
      : `unexpected error: ${(error as Error).message}`;
  for (const line of shown.split('\n')) say(replaceControls(line));
  process.exitCode = error instanceof UserError ? error.exitCode : 1;
}
