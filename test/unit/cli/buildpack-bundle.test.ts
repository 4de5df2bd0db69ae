// The buildpack's program is one file that runs with Node alone, where an app is staged.
import assert from 'node:assert/strict';
import { builtinModules } from 'node:module';
import { test } from 'node:test';
import { build } from 'esbuild';

test('the buildpack’s program can be bundled: it needs no addon, and nothing but Node’s own modules', async () => {
  const { metafile, errors } = await build({
    entryPoints: ['buildpack/src/main.ts'],
    bundle: true,
    write: false,
    platform: 'node',
    format: 'cjs',
    metafile: true,
    logLevel: 'silent',
  });
  assert.deepEqual(errors, []);
  const [output] = Object.values(metafile.outputs);
  const external = output?.imports.map(({ path }) => path.replace(/^node:/, '')) ?? [];
  assert.ok(external.includes('fs'));
  assert.deepEqual(
    external.filter((name) => !builtinModules.includes(name)),
    [],
  );
});
