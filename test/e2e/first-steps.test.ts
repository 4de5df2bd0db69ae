// The README's five minutes, as it has them: what is tried in a container is in that container's log, and the on-call person's
// commands lead from that line to what to do.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { startDockerd } from '../support/dockerd.ts';
import { E2eAgent, until } from '../support/e2e-agent.ts';
import { dockerLogs, execInContainer, logLines, runContainer } from '../support/e2e-docker.ts';
import { README, readme, readmeApp } from '../support/readme.ts';

const MAIN = join(import.meta.dirname, '../../dist/main.js');
const varvel = (args: readonly string[], input = ''): string =>
  execFileSync(process.execPath, [MAIN, ...args], { input, stdio: 'pipe' }).toString();

test('the harmless try is a line in the app’s log, which leads to what to do', async () => {
  const { labels, command } = readmeApp();
  const tried = readme('docker exec shop ');
  assert.ok(README.includes(`\`${tried}\``), 'for the other readers it is the same');
  await using engine = await startDockerd();
  await using agent = await E2eAgent.start({ dockerd: engine });
  const shop = await runContainer(engine, command, { name: 'shop', labels });
  try {
    assert.equal(await execInContainer(shop, tried), 0);
    await until('the line', async () =>
      (await logLines(engine, shop)).some((line) => line.includes('Link made to a sensitive file')),
    );
    const log = (await dockerLogs(engine, shop)).toString('utf8');
    const shown = varvel(['pretty', '-o'], log);
    assert.match(shown, /WARNING {3}shop #1 {2}Link made to a sensitive file/);
    assert.match(shown.replaceAll(/\s+/g, ' '), /symlink=\/tmp\/varvel-try target=\/etc /);
    const status = varvel(['status', '-c', agent.configFile]);
    assert.match(status, / shop +docker +in /);
    assert.match(varvel(['explain', '-r', 'Link made to a sensitive file']), /Look first at:/);
  } finally {
    await shop.remove({ force: true });
  }
});
