// Runs many test files in few processes. Each process reads all of src once more, which takes longer than most files: so there is
// one for each file that runs at a time, and each takes the next file that none has taken. Files are compiled once, for all.
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { describe } from 'node:test';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';

export class Turns {
  /** For the workers: most objects of the tests live for a moment, and need not be copied. */
  flags = ['--enable-source-maps', '--max-semi-space-size=64'];
  workers;
  #files;
  #folder;
  #compiled;

  /** Compiles the files, and writes as many workers as `count` into `folder`: for all, but those that have `passed` as they are. */
  static async make(all, folder, count, passed) {
    const turns = new Turns();
    turns.#folder = folder;
    // From here packages are found.
    mkdirSync('node_modules/.cache', { recursive: true });
    turns.#compiled = mkdtempSync(resolve('node_modules/.cache/tests-'));
    const graph = await compile(all, turns.#compiled).catch((error) => {
      // It has said which file and line.
      rmSync(turns.#compiled, { recursive: true });
      rmSync(folder, { recursive: true });
      process.exit(error.errors === undefined ? Promise.reject(error) : 1);
    });
    const files = all.filter((file) => passed?.has(file, inputsOf(graph, file)) !== true);
    turns.#files = files;
    const urls = files.map(
      (file) => pathToFileURL(join(turns.#compiled, file.replace(/\.ts$/, '.mjs'))).href,
    );
    writeFileSync(
      join(folder, 'files.json'),
      JSON.stringify(files.map((file, n) => [file, urls[n]])),
    );
    turns.workers = Array.from({ length: Math.min(count, files.length) }, (_, n) => {
      const path = join(folder, `worker-${n + 1}.test.mjs`);
      const lines = [
        `import { takeTurns } from ${JSON.stringify(import.meta.url)};`,
        `await takeTurns(${JSON.stringify(folder)});`,
      ];
      writeFileSync(path, `${lines.join('\n')}\n`);
      return path;
    });
    return turns;
  }

  /** Appends to `failed` which files were not run to their end. Nothing else says so when a process is killed, or ends itself. */
  end(failed) {
    for (const [n, file] of this.#files.entries()) {
      if (existsSync(join(this.#folder, `done-${n}`))) continue;
      const what = existsSync(join(this.#folder, `taken-${n}`))
        ? 'its process ended before its tests did'
        : 'it was not run: all processes had ended';
      appendFileSync(failed, `FAILED ${file}\n    ${what}\n`);
    }
    rmSync(this.#compiled, { recursive: true });
  }
}

/** In a worker: runs each file that no other has taken, as a suite of its name. */
export async function takeTurns(folder) {
  const files = JSON.parse(readFileSync(join(folder, 'files.json'), 'utf8'));
  for (const [n, [file, url]] of files.entries()) {
    try {
      writeFileSync(join(folder, `taken-${n}`), '', { flag: 'wx' });
    } catch (error) {
      if (error.code === 'EEXIST') continue;
      throw error;
    }
    await describe(file, () => import(url));
    writeFileSync(join(folder, `done-${n}`), '');
  }
}

/** The modules of the clone that a file has in its process, by esbuild's list of what each imports. */
function inputsOf(graph, file) {
  const found = new Set([file]);
  for (const input of found)
    for (const { path, external } of graph[input]?.imports ?? []) if (!external) found.add(path);
  return [...found];
}

/**
 * To files of the same names below `folder`. What asks where it is gets the place of its source. Resolves to what each module imports.
 */
async function compile(files, folder) {
  const { metafile } = await build({
    metafile: true,
    entryPoints: files,
    outdir: folder,
    outbase: '.',
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    packages: 'external',
    sourcemap: 'linked',
    sourcesContent: false,
    logLevel: 'warning',
    plugins: [{ name: 'places', setup: keepPlaces }],
  });
  return metafile.inputs;
}

function keepPlaces(bundle) {
  bundle.onLoad({ filter: /\.ts$/ }, async ({ path }) => {
    const text = await readFile(path, 'utf8');
    if (!text.includes('import.meta')) return undefined;
    const places = { url: pathToFileURL(path).href, dirname: dirname(path), filename: path };
    return {
      contents: text.replace(/import\.meta\.(url|dirname|filename)\b/g, (_, name) =>
        JSON.stringify(places[name]),
      ),
      loader: 'ts',
    };
  });
}
