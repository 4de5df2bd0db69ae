// npm run buildpack [-- --rules DIR --node FILE --out DIR]: builds the buildpack. The outputs are a zip for Cloud Foundry, and
// a tar archive of the same files for Cloud Native Buildpacks. The same inputs give the same bytes.
import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  createWriteStream,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import yazl from 'yazl';
import { bundledPackages, licenseTexts, packageList } from '../manifests/bundled-packages.mjs';
import { fetchNode } from '../manifests/official-node.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '..');
/** The time stamp of every file in the archives: bytes must not depend on when they are built. */
const MTIME = new Date('2020-01-01T00:00:00Z');

const { values } = parseArgs({
  options: {
    rules: { type: 'string', default: join(root, 'manifests', 'rules') },
    node: { type: 'string' },
    out: { type: 'string', default: join(root, 'dist', 'buildpack') },
  },
});
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const out = resolve(values.out);
const tree = join(out, 'varvel_buildpack');

const sha256 = (path) => createHash('sha256').update(readFileSync(path)).digest('hex');
const put = (path, content, mode = 0o644) => {
  mkdirSync(dirname(join(tree, path)), { recursive: true });
  writeFileSync(join(tree, path), content);
  chmodSync(join(tree, path), mode);
};

function filesIn(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort();
}

async function makeTree() {
  rmSync(tree, { recursive: true, force: true });
  for (const name of readdirSync(join(here, 'bin'))) {
    put(join('bin', name), readFileSync(join(here, 'bin', name)), 0o755);
  }
  const { metafile } = await build({
    entryPoints: [join(here, 'src', 'main.ts')],
    outfile: join(tree, 'lib', 'varvel-buildpack.cjs'),
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    legalComments: 'none',
    metafile: true,
    absWorkingDir: root,
    logLevel: 'warning',
  });
  // esbuild's own file has the mode that the umask leaves.
  chmodSync(join(tree, 'lib', 'varvel-buildpack.cjs'), 0o644);
  const node =
    values.node === undefined
      ? join(
          fetchNode((text) => console.log(`buildpack: ${text}`)),
          'bin',
          'node',
        )
      : resolve(values.node);
  mkdirSync(join(tree, 'vendor'), { recursive: true });
  copyFileSync(node, join(tree, 'vendor', 'node'));
  chmodSync(join(tree, 'vendor', 'node'), 0o755);
  if (values.node === undefined) {
    put('vendor/LICENSE', readFileSync(join(dirname(node), '..', 'LICENSE')));
  }
  const packages = bundledPackages(root, Object.keys(metafile.inputs));
  put('lib/LICENSES.txt', licenseTexts(packages));
  writeFileSync(join(out, 'packages.json'), packageList(packages));
  const rules = resolve(values.rules);
  const names = readdirSync(rules).filter((name) => name.endsWith('.yaml'));
  if (names.length === 0) throw new Error(`there is no rule file (*.yaml) in ${rules}`);
  for (const name of names) put(join('rules', name), readFileSync(join(rules, name)));
  put('LICENSE', readFileSync(join(root, 'LICENSE')));
  put('README.md', readFileSync(join(here, 'README.md')));
  put('varvel.schema.json', readFileSync(join(here, 'varvel.schema.json')));
  put('VERSION', `${version}\n`);
  put(
    'buildpack.toml',
    readFileSync(join(here, 'buildpack.toml'), 'utf8').replace('@VERSION@', version),
  );
  const listed = filesIn(tree);
  const manifest = [
    '---',
    'language: varvel',
    'default_versions: []',
    'dependencies:',
    '  - name: node',
    `    version: ${execFileSync(node, ['--version'], { encoding: 'utf8' }).trim().slice(1)}`,
    '    file: vendor/node',
    `    sha256: ${sha256(join(tree, 'vendor', 'node'))}`,
    '    cf_stacks: [cflinuxfs4, cflinuxfs5]',
    'include_files:',
    ...[...listed, 'manifest.yml'].sort().map((path) => `  - ${path}`),
    '',
  ];
  put('manifest.yml', manifest.join('\n'));
}

async function makeZip(path) {
  const zip = new yazl.ZipFile();
  for (const file of filesIn(tree)) {
    const mode = statSync(join(tree, file)).mode;
    // The format stores local time; an additional UTC field would make the bytes depend on the time zone.
    zip.addFile(join(tree, file), file, { mtime: MTIME, mode, forceDosTimestamp: true });
  }
  zip.end();
  await pipeline(zip.outputStream, createWriteStream(path));
}

function makeTar(path) {
  execFileSync(
    'bash',
    [
      '-c',
      `tar --sort=name --mtime=@${MTIME.getTime() / 1000} --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --format=gnu -C "$1" -cf - . | gzip -n > "$2"`,
      'tar',
      tree,
      path,
    ],
    { stdio: 'inherit' },
  );
}

process.env.TZ = 'UTC';
await makeTree();
const zip = join(out, `varvel_buildpack-cached-v${version}.zip`);
const tar = join(out, `varvel_cnb-v${version}.tgz`);
await makeZip(zip);
makeTar(tar);
for (const path of [zip, tar]) {
  const digest = sha256(path);
  writeFileSync(`${path}.sha256`, `${digest}  ${relative(out, path)}\n`);
  console.log(
    `buildpack: ${relative(root, path)} (${Math.ceil(statSync(path).size / 2 ** 20)} MiB, sha256 ${digest})`,
  );
}
