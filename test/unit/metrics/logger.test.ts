import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { createLogger } from '../../../src/metrics/logger.ts';

test('one JSON object a line, from the level on', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'varvel-log-'));
  const fd = openSync(join(folder, 'log'), 'w');
  try {
    const logger = createLogger({ level: 'info', fd });
    logger.debug({}, 'not shown');
    logger.info({ path: 'a\n{"level":"error"}\u001b[2J' }, 'first');
    logger.error({ error: new Error('broken') }, 'second');
    for (let i = 0; i < 200; i++) logger.warn({ i }, 'many');
    await logger.flush();
    const lines = readFileSync(join(folder, 'log'), 'utf8').trimEnd().split('\n');
    assert.equal(lines.length, 202, 'no value can begin a line');
    const order = lines.slice(2).map((line) => (JSON.parse(line) as { i: number }).i);
    assert.deepEqual(order, [...order.keys()]);
    assert.ok(!lines.join('').includes('\u001b'));
    const [first, second] = lines
      .slice(0, 2)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.equal(first!['level'], 'info');
    assert.equal(first!['msg'], 'first');
    assert.equal(first!['path'], 'a\n{"level":"error"}\u001b[2J');
    assert.match(String(first!['time']), /^\d{4}-\d\d-\d\dT/);
    assert.equal((second!['error'] as { message: string }).message, 'broken');
  } finally {
    closeSync(fd);
    rmSync(folder, { recursive: true });
  }
});

test('a reader of stderr that has stopped reading, or gone, stops nobody', async () => {
  const program = `
    import { createLogger } from ${JSON.stringify(join(import.meta.dirname, '../../../src/metrics/logger.ts'))};
    const logger = createLogger({ level: 'info' });
    const text = 'x'.repeat(1000);
    let rounds = 0;
    const timer = setInterval(() => {
      for (let i = 0; i < 500; i++) logger.info({ text }, 'much');
      if (++rounds === 10) { clearInterval(timer); console.log(logger.dropped() > 0 ? 'dropped' : 'kept'); }
    }, 5);
  `;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  try {
    const [said] = (await once(child.stdout, 'data')) as [Buffer];
    assert.equal(said.toString().trim(), 'dropped');
  } finally {
    child.kill('SIGKILL');
  }
});

test('a descriptor that cannot be written to is given up, and the end does not wait for it', async () => {
  const fd = openSync('/dev/full', 'w');
  try {
    const logger = createLogger({ level: 'info', fd });
    for (let i = 0; i < 3; i++) logger.info({}, 'lost');
    await logger.flush();
    assert.equal(logger.dropped(), 3);
    logger.info({}, 'lost too');
    await logger.flush();
    assert.equal(logger.dropped(), 4);
  } finally {
    closeSync(fd);
  }
});
