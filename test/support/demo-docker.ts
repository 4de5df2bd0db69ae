import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { PassThrough } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { startDockerd } from './dockerd.ts';

// npm run demo -- --docker: a real engine of its own, the agent as a user starts it, an app in a container that asks
// for it by its label, three attacks by docker exec and by the app itself, and then: docker logs.

const say = (text: string): void =>
  void process.stdout.write(process.stdout.isTTY ? `\n\u001b[1m${text}\u001b[0m\n` : `\n${text}\n`);

const APP = [
  'i=0',
  'while [ $i -lt 60 ]; do',
  '  echo "GET /item/$i 200"; i=$((i+1)); sleep 0.3',
  // what an intruder who found a hole in the app would make it do
  '  case $i in',
  '    4) cat /etc/shadow > /dev/null;;',
  '    8) cp /bin/busybox /tmp/ls && /tmp/ls /;;',
  '    12) echo "x:x:0:0::/:/bin/sh" >> /bin/backdoor;;',
  '  esac',
  'done',
].join('\n');

say('1. A Docker engine of the demo’s own starts (private socket and folders).');
await using dockerd = await startDockerd({ own: true });
const image = await dockerd.importBusybox();

const folder = mkdtempSync(join(tmpdir(), 'varvel-demo-'));
const config = join(folder, 'varvel.yaml');
writeFileSync(
  config,
  [
    `run_dir: ${folder}`,
    `state_dir: ${folder}/state`,
    'log_level: error',
    'runtimes:',
    `  docker: {enabled: true, socket: ${dockerd.socketPath}, exec_root: ${dockerd.execRoot}}`,
    'streams:',
    '  container: {format: text}',
    '',
  ].join('\n'),
);
say('2. The agent starts: varvel agent --config varvel.yaml');
const agent = spawn(process.execPath, ['dist/main.js', 'agent', '--config', config], {
  stdio: ['ignore', 'inherit', 'inherit'],
});
const ended = once(agent, 'exit');
try {
  const giveUp = performance.now() + 60_000;
  for (;;) {
    const status = spawn(process.execPath, ['dist/main.js', 'status', '--config', config], {
      stdio: 'ignore',
    });
    const [code] = (await once(status, 'exit')) as [number | null];
    if (code === 0) break;
    if (performance.now() > giveUp || agent.exitCode !== null)
      throw new Error('the agent did not start within 60 s');
    await delay(200);
  }
  say('3. docker run --name shop --label varvel.enable=true …  (this is docker logs -f shop)');
  const container = await dockerd.docker.createContainer({
    name: 'shop',
    Image: image,
    Cmd: ['/bin/sh', '-c', APP],
    Labels: { 'varvel.enable': 'true', 'varvel.app': 'shop', 'varvel.space': 'production' },
  });
  await container.start();
  const logs = await container.logs({ follow: true, stdout: true, stderr: true });
  let detections = 0;
  const output = new PassThrough();
  dockerd.docker.modem.demuxStream(logs, output, output);
  createInterface({ input: output }).on('line', (line) => {
    if (line === '') return;
    const found = line.includes('app=shop');
    if (found) detections++;
    const code = found ? '1;31' : '2';
    process.stdout.write(
      process.stdout.isTTY ? `   \u001b[${code}m${line}\u001b[0m\n` : `   ${line}\n`,
    );
  });
  for (let i = 0; i < 100 && detections < 3; i++) await delay(100);
  await delay(500);
  say(`4. ${detections} detections are in the container’s own log.`);
  await container.remove({ force: true });
  process.exitCode = detections >= 3 ? 0 : 1;
} finally {
  agent.kill('SIGTERM');
  await ended;
  rmSync(folder, { recursive: true, force: true });
}
