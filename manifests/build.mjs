// npm run build: builds dist/ from src/ and the npm packages that it uses. The packages are bundled; each command loads only
// what it needs. So a start reads a few files instead of some hundreds. `npm run check` checks the types.
import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { bundledPackages, licenseTexts, packageList } from './bundled-packages.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const out = join(root, 'dist');

rmSync(out, { recursive: true, force: true });
const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: ['src/main.ts'],
  outdir: out,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  // As deep as the folders of src/, so that paths relative to a module stay valid.
  chunkNames: 'parts/[name]-[hash]',
  sourcemap: true,
  minifyWhitespace: true,
  minifySyntax: true,
  sourcesContent: false,
  legalComments: 'none',
  metafile: true,
  logLevel: 'warning',
  // It has an addon, which is located relative to its own files.
  external: ['ebpf-loader-napi'],
  plugins: [{ name: 'leave-out', setup: leaveOutSsh }],
  // CommonJS packages use `require` for Node's modules, and their own file name.
  banner: {
    js: [
      "import { createRequire as varvelCreateRequire } from 'node:module';",
      "import { fileURLToPath as varvelFileURLToPath } from 'node:url';",
      'const require = varvelCreateRequire(import.meta.url);',
      'const __filename = varvelFileURLToPath(import.meta.url);',
      "const __dirname = varvelFileURLToPath(new URL('.', import.meta.url));",
    ].join('\n'),
  },
});
chmodSync(join(out, 'main.js'), 0o755);
const packages = bundledPackages(root, Object.keys(metafile.inputs));
writeFileSync(join(out, 'LICENSES.txt'), licenseTexts(packages));
writeFileSync(join(out, 'packages.json'), packageList(packages));

/** dockerode can reach an engine by ssh, with a package that is half of its size; the agent uses only its host's socket. */
function leaveOutSsh(bundle) {
  bundle.onResolve({ filter: /^ssh2$/ }, () => ({ path: 'ssh2', namespace: 'left-out' }));
  bundle.onLoad({ filter: /.*/, namespace: 'left-out' }, () => ({
    contents:
      "exports.Client = class { constructor() { throw new Error('no engine is asked by ssh'); } };",
  }));
}
