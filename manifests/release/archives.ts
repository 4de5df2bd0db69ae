// The artefacts that other scripts make, packed: the bundle, the BOSH release, the buildpack, the Helm chart.
import { cpSync, existsSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { parseDocument } from 'yaml';
import { put, run, writeTarGz } from './commands.ts';
import type { Built } from './source-tree.ts';

/** `varvel-X-linux-x64.tar.gz`: what runs without anything installed, and the scripts that make a service of it. */
export function makeBundle({ source, bundle, work, files, request }: Built): readonly string[] {
  const folder = `varvel-${request.version}`;
  const root = join(work, 'tar', folder);
  cpSync(bundle, root, { recursive: true });
  cpSync(join(source, 'manifests/systemd'), join(root, 'systemd'), { recursive: true });
  const name = `${folder}-linux-x64.tar.gz`;
  writeTarGz(join(files, name), join(work, 'tar'), [folder], request.epoch);
  return [name];
}

/** `varvel-bosh-X.tgz`: the folder that `bosh create-release` makes a release of. */
export function makeBoshRelease(built: Built): readonly string[] {
  const { source, bundle, work, files, request, env } = built;
  const folder = `varvel-bosh-${request.version}`;
  run('bash', ['manifests/bosh/prepare.sh', join(work, folder), bundle], { cwd: source, env });
  for (const name of ['README.md', 'runtime-config.yml', 'operations'])
    cpSync(join(source, 'manifests/bosh', name), join(work, folder, name), { recursive: true });
  const name = `${folder}.tgz`;
  writeTarGz(join(files, name), work, [folder], request.epoch);
  return [name];
}

/** The zip for Cloud Foundry and the archive for Cloud Native Buildpacks. */
export function makeBuildpacks({ source, work, files, request, env }: Built): readonly string[] {
  const out = buildpackFolder(work);
  run('node', ['buildpack/package.mjs', '--out', out], { cwd: source, env });
  const names = [
    `varvel_buildpack-cached-v${request.version}.zip`,
    `varvel_cnb-v${request.version}.tgz`,
  ];
  for (const name of names) renameSync(join(out, name), join(files, name));
  return names;
}

/** Where the buildpack was made; `packages.json` there lists what is bundled in it. */
export function buildpackFolder(work: string): string {
  return join(work, 'buildpack');
}

/** `varvel-chart-X.tgz`, as `helm package` would pack it, if there is a chart; else nothing. */
export function makeChart({ source, work, files, request }: Built): readonly string[] {
  const chart = join(source, 'manifests/helm/varvel');
  if (!existsSync(chart)) return [];
  const root = join(work, 'chart', 'varvel');
  cpSync(chart, root, { recursive: true });
  const path = join(root, 'Chart.yaml');
  const document = parseDocument(readFileSync(path, 'utf8'));
  document.set('version', request.version);
  document.set('appVersion', request.version);
  put(path, document.toString());
  const name = `varvel-chart-${request.version}.tgz`;
  writeTarGz(join(files, name), join(work, 'chart'), ['varvel'], request.epoch);
  return [name];
}
