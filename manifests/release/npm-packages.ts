// The npm packages: the agent and its command line, and the loader alone.
import { cpSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { filesBelow, put, run } from './commands.ts';
import { LOADER, type Built } from './source-tree.ts';

/** Whoever publishes the packages must own it in the registry. */
export const SCOPE = '@varvel';

interface Manifest {
  name: string;
  version: string;
  dependencies?: Record<string, string>;
  files?: readonly string[];
  [key: string]: unknown;
}

/** Neither helps whoever installs a package: what they name is in the bundle, or not there. */
const LEFT_OUT = ['private', 'workspaces', 'scripts', 'devDependencies', 'gypfile'];

function published(from: string, more: Partial<Manifest>): string {
  const manifest = JSON.parse(readFileSync(from, 'utf8')) as Manifest;
  const kept = Object.entries(manifest).filter(([key]) => !LEFT_OUT.includes(key));
  return `${JSON.stringify(
    {
      ...Object.fromEntries(kept),
      name: `${SCOPE}/${manifest.name}`,
      publishConfig: { access: 'public' },
      ...more,
    },
    undefined,
    2,
  )}\n`;
}

/**
 * `varvel-X.tgz` has no dependency that is asked of a registry: its packages are bundled, and the loader is in the tarball under its
 * own name, so that nobody else's package of that name can come in its place. Returns the names of the tarballs.
 */
export function makeNpmPackages(built: Built): readonly string[] {
  const { source, work, bundle, request } = built;
  const { version } = request;
  const agent = join(work, 'npm', 'varvel');
  const loader = join(work, 'npm', LOADER);
  const inside = join(agent, 'node_modules', LOADER);
  cpSync(join(bundle, 'varvel', 'node_modules', LOADER), inside, { recursive: true });
  cpSync(inside, loader, { recursive: true });
  put(join(loader, 'index.d.ts'), readFileSync(join(source, 'native', 'index.d.ts')));
  put(join(loader, 'LICENSE'), readFileSync(join(source, 'LICENSE')));
  put(
    join(loader, 'README.md'),
    '# ebpf-loader-napi\n\nThe eBPF probe of varvel and its Node-API loader, both built. It needs Linux on x86-64, libbpf 1, libelf and zlib. `index.d.ts` says what it does.\n',
  );
  put(
    join(loader, 'package.json'),
    published(join(source, 'native', 'package.json'), { cpu: ['x64'] }),
  );

  cpSync(join(bundle, 'varvel', 'dist'), join(agent, 'dist'), { recursive: true });
  for (const name of ['rules', 'man']) {
    const folder = join('manifests', name);
    cpSync(join(bundle, 'varvel', folder), join(agent, folder), { recursive: true });
  }
  for (const name of ['LICENSE', 'README.md'])
    put(join(agent, name), readFileSync(join(source, name)));
  put(join(agent, 'LICENSES.txt'), readFileSync(join(source, 'dist', 'LICENSES.txt')));
  put(
    join(agent, 'package.json'),
    published(join(source, 'package.json'), {
      dependencies: { [LOADER]: version },
      bundleDependencies: [LOADER],
      files: ['dist', 'manifests', 'LICENSES.txt'],
    }),
  );
  return [
    pack(built, agent, `varvel-${version}.tgz`),
    pack(built, loader, `${LOADER}-${version}.tgz`),
  ];
}

function pack({ work, files, env }: Built, folder: string, name: string): string {
  const to = join(work, 'npm', 'packed');
  rmSync(to, { recursive: true, force: true });
  put(join(to, '.keep'), '');
  run('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', to], {
    cwd: folder,
    env,
  });
  const [packed] = filesBelow(to).filter((file) => file.endsWith('.tgz'));
  if (packed === undefined) throw new Error(`npm pack made nothing of ${folder}`);
  renameSync(join(to, packed), join(files, name));
  return name;
}
