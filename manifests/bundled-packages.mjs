// Which npm packages esbuild has put into a bundle, and their licenses, which must be distributed with it.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** By name: `{folder, name, version, license}` of each package that `inputs`, of esbuild's metafile, have a file of. */
export function bundledPackages(root, inputs) {
  const folders = inputs.flatMap(
    (input) => /^node_modules\/(?:.*\/node_modules\/)?(?:@[^/]+\/)?[^/]+/.exec(input) ?? [],
  );
  return [...new Set(folders)].sort().map((folder) => {
    const path = join(root, folder);
    const { name, version, license } = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8'));
    return { folder: path, name, version, license };
  });
}

/** The texts of their licenses, each below a line with name and version. */
export function licenseTexts(packages) {
  return packages
    .map(({ folder, name, version, license }) => {
      const texts = readdirSync(folder)
        .filter((file) => /^(?:licen[cs]e|copying|notice)/i.test(file))
        .map((file) => readFileSync(join(folder, file), 'utf8').trim());
      return `${name} ${version} (${license})\n\n${texts.join('\n\n')}\n`;
    })
    .join(`\n${'-'.repeat(80)}\n\n`);
}

/** Names and versions as JSON: what a release's bill of materials is made from. */
export function packageList(packages) {
  return `${JSON.stringify(
    packages.map(({ name, version }) => ({ name, version })),
    undefined,
    1,
  )}\n`;
}
