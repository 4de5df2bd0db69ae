// npm run bench verdicts: how many calls of ordinary work end in the kernel, with the default rules and with Falco's stable ones.
// The same work with verdicts off and on; counted, not timed.
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { importDebianImage, whyNoDebianImage } from '../e2e/attacks/debian-image.ts';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { E2eAgent, until } from '../support/e2e-agent.ts';
import { execInContainer, runContainer } from '../support/e2e-docker.ts';
import { FALCO_RULE_FILES } from '../support/falco.ts';
import { machine } from './machine.ts';

const FILE = 'test/bench/results/verdicts.json';
const OPENS = ['open', 'openat', 'openat2', 'creat'];
/** Of which the agent has to know: without them it knows no process. */
const PROCESS_LIFE = ['clone', 'clone3', 'fork', 'vfork', 'execve', 'execveat', 'procexit'];

const asks = (port: number, keepAlive = true): string =>
  `node -e 'const h=require("http"),a=new h.Agent({keepAlive:${keepAlive}});let n=0;const go=()=>n++<2000?h.get({port:${port},agent:a},r=>r.resume().on("end",go)):process.exit();go()'`;

/** What is done in the container, each after the one before. */
const WORK: readonly (readonly [name: string, script: string])[] = [
  ['nginx, 2,000 requests', `nginx; sleep 1; ${asks(8080)}; nginx -s stop`],
  [
    'node HTTP, 2,000 requests',
    `PORT=8081 node /app/node/server.js & sleep 1; ${asks(8081)}; kill $!`,
  ],
  [
    'node HTTP, 2,000 connections',
    `PORT=8082 node /app/node/server.js & sleep 1; ${asks(8082, false)}; kill $!`,
  ],
  ['npm', 'npm pkg get --prefix /app/node && npm ls --prefix /app/node; true'],
  ['git clone over file://', 'rm -rf /tmp/c; git clone -q file:///srv/repository /tmp/c'],
  ['apt-get install', 'apt-get -q update && apt-get -q -y install --reinstall hello-varvel'],
  [
    'python imports',
    'python3 -c "import asyncio,email,http.client,json,logging,sqlite3,ssl,urllib.request,xml.dom"',
  ],
  ['find /usr', 'find /usr -type f -name "*.py" | wc -l'],
  [
    'a shell script',
    'for i in $(seq 50); do date | sed s/1/2/ | grep -c 0; cp /etc/hostname /tmp/h; cat /tmp/h; done',
  ],
];

interface Counts {
  /** Hooked calls in the container that came to the agent, and that ended in the kernel. */
  readonly sent: number;
  readonly kept: number;
  readonly opensSent: number;
  readonly lifeSent: number;
}

async function countsOf(agent: E2eAgent, id: string): Promise<Counts> {
  // What is in the rings is taken within some ms.
  await delay(300);
  const { events } = await agent.snapshot();
  const status = (await agent.containerStatus(id)) ?? { emitted: 0, prefiltered: 0 };
  const sumOf = (names: readonly string[]): number =>
    names.reduce((sum, event) => sum + (events[event] ?? 0), 0);
  const { emitted, prefiltered } = status;
  return {
    sent: emitted,
    kept: prefiltered,
    opensSent: sumOf(OPENS),
    lifeSent: sumOf(PROCESS_LIFE),
  };
}

async function measure(
  engine: TestDockerd,
  image: string,
  rules: { readonly noDefaultRules?: true; readonly rules?: Record<string, string> },
  verdicts: boolean,
): Promise<Map<string, Counts>> {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    ...rules,
    config: [`probe: {kernel_verdicts: ${verdicts}}`],
    streams: ['container: {enabled: false}'],
  });
  const app = await runContainer(engine, ['sleep', 'infinity'], {
    image,
    labels: { 'varvel.enable': 'true', 'varvel.app': 'work' },
  });
  try {
    await until(
      'the container is watched',
      async () => (await agent.containerStatus(app.id))?.state === 'included',
    );
    // From then on the table is in force, and the container is judged.
    await delay(4000);
    const found = new Map<string, Counts>();
    for (const [name, script] of WORK) {
      const before = await countsOf(agent, app.id);
      const code = await execInContainer(app, script);
      if (code !== 0) throw new Error(`${name} failed: ${code}`);
      const after = await countsOf(agent, app.id);
      found.set(name, {
        sent: after.sent - before.sent,
        kept: after.kept - before.kept,
        opensSent: after.opensSent - before.opensSent,
        lifeSent: after.lifeSent - before.lifeSent,
      });
    }
    return found;
  } finally {
    await app.remove({ force: true });
  }
}

const missing = whyNoDebianImage();
if (missing !== undefined) {
  console.error(`There is nothing to run the work in: ${missing}.`);
  process.exit(1);
}
const [stable = ''] = FALCO_RULE_FILES;
const RULES = {
  'default rules': {},
  'Falco’s stable rules': {
    noDefaultRules: true as const,
    rules: { 'falco_rules.yaml': readFileSync(stable, 'utf8') },
  },
};
await using engine = await startDockerd();
const image = await importDebianImage(engine, 'debian');
const results: Record<string, Record<string, object>> = {};
for (const [name, rules] of Object.entries(RULES)) {
  const off = await measure(engine, image, rules, false);
  const on = await measure(engine, image, rules, true);
  console.log(
    `\n${name}`.padEnd(30),
    ...[
      'calls',
      'records off',
      'records on',
      'opens off',
      'opens on',
      'life',
      'kept',
      'of others',
    ].map((head) => head.padStart(12)),
  );
  const ofRules: Record<string, object> = {};
  for (const [work, { sent, kept, opensSent, lifeSent }] of on) {
    const before = off.get(work) ?? { sent: 0, kept: 0, opensSent: 0, lifeSent: 0 };
    const calls = sent + kept;
    const percentOf = (all: number): number => Math.round((1000 * kept) / all) / 10;
    const row = {
      calls,
      recordsOff: before.sent,
      recordsOn: sent,
      opensOff: before.opensSent,
      opensOn: opensSent,
      processLife: lifeSent,
      keptPercent: percentOf(calls),
      keptPercentOfOthers: percentOf(calls - lifeSent),
    };
    ofRules[work] = row;
    console.log(work.padEnd(29), ...Object.values(row).map((value) => String(value).padStart(12)));
  }
  results[name] = ofRules;
}
const what =
  'hooked calls of ordinary work in a watched container; records that came to the agent with probe.kernel_verdicts off and on';
writeFileSync(
  FILE,
  `${JSON.stringify({ date: new Date().toISOString().slice(0, 10), machine: machine(), what, results }, null, 2)}\n`,
);
console.log(`\nwritten to ${FILE}`);
