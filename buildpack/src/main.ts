// The buildpack's program: `supply BUILD CACHE DEPS IDX` (Cloud Foundry) or `build LAYERS` (Cloud Native Buildpacks).
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { reasonOf, stage } from './stage.ts';

const buildpack = join(__dirname, '..');
const say = (text: string): void => void process.stdout.write(text.replace(/^(?=.)/gm, '       '));

function run([command, ...args]: readonly string[]): boolean {
  const version = readFileSync(join(buildpack, 'VERSION'), 'utf8').trim();
  process.stdout.write(`-----> Varvel ${version}\n`);
  const [first = '', , deps = '', index = ''] = args;
  if (command === 'supply') {
    const target = join(deps, index, 'varvel');
    if (!stage({ buildpack, version, app: first, target, say })) return false;
    // Later buildpacks and the platform read the name from each dependency's folder.
    writeFileSync(
      join(deps, index, 'config.yml'),
      `name: varvel\nversion: ${version}\nconfig: {}\n`,
    );
    return true;
  }
  if (command === 'build') {
    // Buildpack API 0.10: the app is the working directory.
    const layer = join(first, 'varvel');
    if (!stage({ buildpack, version, app: process.cwd(), target: layer, say })) return false;
    writeFileSync(
      join(first, 'varvel.toml'),
      '[types]\nlaunch = true\nbuild = false\ncache = false\n',
    );
    writeFileSync(
      join(first, 'launch.toml'),
      `[[labels]]\nkey = "varvel.enable"\nvalue = "true"\n\n[[labels]]\nkey = "varvel.buildpack"\nvalue = ${JSON.stringify(version)}\n`,
    );
    return true;
  }
  throw new Error(`the buildpack's program knows "supply" and "build", not "${command ?? ''}"`);
}

try {
  process.exitCode = run(process.argv.slice(2)) ? 0 : 1;
} catch (error) {
  process.stdout.write(`       Varvel cannot stage the app: ${reasonOf(error)}\n`);
  process.exitCode = 1;
}
