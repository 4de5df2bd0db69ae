// npm run bench rules: nanoseconds per event of the rules alone, over events as the probe writes them.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { FILE_FLAGS, RECORD_FLAGS } from '../../src/events/table.gen.ts';
import { WireEvent } from '../../src/events/wire-event.ts';
import { RuleEngine } from '../../src/rules/engine.ts';
import { loadRules, readRuleFile } from '../../src/rules/loader/load.ts';
import type { RuleSet } from '../../src/rules/rule-set.ts';
import type { Subject } from '../../src/rules/subject.ts';
import { buildRecord, recordBytes } from '../unit/events/record-builder.ts';
import { CONTAINER, makeEvent, makeProcess, makeSubject } from '../support/rules-subject.ts';

const EVENTS = 20_000;
const ROUNDS = 25;
const UPSTREAM = [
  '../shared/falco-rules/falco_rules.yaml',
  '../shared/falco-rules/falco-incubating_rules.yaml',
  '../shared/falco-rules/falco-sandbox_rules.yaml',
];

/** The same sequence in every run. */
function sequence(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
}

const MACROS = `
- list: shells
  items: [ash, bash, csh, ksh, sh, tcsh, zsh, dash]
- list: package_managers
  items: [apt, apt-get, dpkg, rpm, yum, dnf, apk, pip, pip3, npm, yarn, gem]
- list: network_tools
  items: [nc, ncat, netcat, nmap, socat, tcpdump, tshark, dig]
- macro: in_container
  condition: (container.id != host)
- macro: opened_for_reading
  condition: (evt.type in (open, openat, openat2) and evt.is_open_read = true and fd.typechar = 'f' and fd.num >= 0)
- macro: opened_for_writing
  condition: (evt.type in (open, openat, openat2) and evt.is_open_write = true and fd.typechar = 'f' and fd.num >= 0)
- macro: program_started
  condition: (evt.type in (execve, execveat) and evt.failed = false)
- macro: connected_out
  condition: (evt.type = connect and fd.typechar in (4, 6) and evt.failed = false)
- macro: binary_directory
  condition: (fd.directory in (/bin, /sbin, /usr/bin, /usr/sbin))
- macro: below_etc
  condition: (fd.name startswith /etc/)
- macro: ssh_directory
  condition: (fd.name contains "/.ssh/")
- macro: sensitive_files
  condition: (fd.name in (/etc/shadow, /etc/sudoers, /etc/pam.conf) or fd.directory in (/etc/sudoers.d, /etc/pam.d))
- macro: temporary
  condition: (fd.name startswith /tmp/ or fd.name startswith /var/tmp/ or fd.name startswith /dev/shm/)
- macro: started_by_package_manager
  condition: (proc.name in (package_managers) or proc.pname in (package_managers) or proc.aname[2] in (package_managers))
- macro: configuration_management
  condition: (proc.name in (chef-client, puppet, ansible, salt-minion) or proc.pname in (ansible, puppet))
`;

/** Rules in the manner of Falco's own: an event, a place, then a list of exceptions. */
function rulesLike(count: number): string {
  const next = sequence(7);
  const pick = <T>(items: readonly T[]): T => items[next(items.length)] as T;
  const places = [
    'sensitive_files',
    'ssh_directory',
    'below_etc',
    'binary_directory',
    'temporary',
    'fd.name glob "/home/*/.aws/*"',
    'fd.name endswith ".pem"',
    'fd.name pmatch (/boot, /lib/modules, /usr/lib/modules)',
    'fd.filename in (.bashrc, .profile, .bash_history, .zshrc, .netrc, authorized_keys)',
    'fd.name contains docker.sock',
    'fd.name regex "/proc/[0-9]+/environ"',
    'fd.name startswith /var/run/secrets/',
  ];
  const programs = [
    'proc.name in (shells)',
    'proc.name in (network_tools)',
    'proc.name in (package_managers)',
    'proc.cmdline contains "-o StrictHostKeyChecking"',
    'proc.args contains "/dev/tcp"',
    'proc.exepath startswith /dev/shm/',
    'proc.is_exe_upper_layer = true',
    'proc.pname in (nginx, apache2, node, python3)',
  ];
  const rules = Array.from({ length: count }, (_, index) => {
    const kind = next(20);
    const condition =
      kind < 9
        ? `${pick(['opened_for_reading', 'opened_for_writing'])} and in_container and ${pick(places)}` +
          ` and (${pick(places)} or fd.name startswith /data/${index}/)`
        : kind < 18
          ? `program_started and in_container and ${pick(programs)} and not ${pick(programs)}`
          : `connected_out and in_container and fd.sport = ${20 + index} and not fd.snet in (10.0.0.0/8, 192.168.0.0/16)`;
    const exceptions =
      `not started_by_package_manager and not configuration_management` +
      ` and not proc.name in (daemon${index}, worker${index}, dockerd, systemd, sshd)` +
      ` and not (proc.pname = cron and proc.cmdline startswith "job${index} ")`;
    return `- rule: rule ${index}\n  desc: d\n  condition: ${JSON.stringify(`${condition} and ${exceptions}`)}\n  output: "%proc.name"\n  priority: WARNING\n`;
  });
  return MACROS + rules.join('');
}

function ruleSetOf(text: string): RuleSet {
  const { ruleSet, errors } = loadRules([{ name: 'bench', text }]);
  if (ruleSet === undefined) throw new Error(JSON.stringify(errors[0]));
  return ruleSet;
}

/** The records of a stream: 90 opens, 5 connects and 5 execs in a hundred. */
function records(path: (index: number) => string): Buffer[] {
  const next = sequence(1);
  const made: Buffer[] = [];
  for (let index = 0; index < EVENTS; index++) {
    const header = {
      ts: 1_000_000 + index,
      cgroup: 77,
      pid: 100 + next(50),
      start: 1000,
      ret: 3,
      euid: next(4) === 0 ? 0 : 1000,
      comm: Buffer.from(NAMES[next(NAMES.length)]!.padEnd(16, '\0')),
    };
    const kind = next(100);
    if (kind < 90) {
      const name = Buffer.from(path(index));
      const fixed = {
        file_ino: 7,
        file_dev: 8,
        file_flags: FILE_FLAGS.FILE_KNOWN | FILE_FLAGS.FILE_LOWER_LAYER,
        file_mode: 0o100644,
        dirfd: 0xffffff9c,
        open_flags: next(10) === 0 ? 0o1101 : 0,
      };
      made.push(buildRecord('open', 'openat', header, fixed, { path: name, raw: name }));
    } else if (kind < 95) {
      made.push(
        buildRecord(
          'call',
          'connect',
          { ...header, ret: 0 },
          {
            fd: 3,
            family: 2,
            protocol: 6,
            socket_type: 1,
            rport: next(2) === 0 ? 443 : next(65_536),
            laddr: Buffer.from([10, 0, 0, 5]),
            raddr: Buffer.from([93, 184, next(256), next(256)]),
            flags: RECORD_FLAGS.TUPLE_KNOWN | RECORD_FLAGS.CONNECTED,
          },
        ),
      );
    } else {
      made.push(
        buildRecord(
          'exec',
          'execve',
          { ...header, ret: 0 },
          {},
          { argv: Buffer.from('sh\0-c\0id\0') },
        ),
      );
    }
  }
  return made;
}

const NAMES = ['nginx', 'node', 'python3', 'sh', 'postgres', 'java', 'redis-server', 'curl'];
const FOLDERS = [
  '/usr/lib/x86_64-linux-gnu/libfoo-',
  '/app/node_modules/pkg',
  '/var/lib/postgresql/data/base/1',
  '/proc/self/task/',
  '/etc/ssl/certs/',
  '/srv/cache/',
];
const HOT = [
  ...Array.from({ length: 600 }, (_, i) => `${FOLDERS[i % 6]}${i}${i % 3 === 0 ? '.js' : '.so'}`),
  '/etc/shadow',
  '/root/.ssh/id_rsa',
  '/etc/ld.so.cache',
  '/dev/null',
];

const median = (values: number[]): number =>
  values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

/** Median ns per event over rounds; `prepare` runs before each, untimed. */
function measure(run: () => number, prepare: () => void = () => undefined): number {
  const times: number[] = [];
  let sink = 0;
  for (let round = 0; round < ROUNDS + 5; round++) {
    prepare();
    const start = process.hrtime.bigint();
    sink += run();
    const ns = Number(process.hrtime.bigint() - start) / EVENTS;
    if (round >= 5) times.push(ns);
  }
  if (sink < 0) throw new Error('never');
  return Math.round(median(times));
}

const PROCESSES = NAMES.map((name, index) =>
  makeProcess({
    pid: 100 + index,
    image: { name, exe: name, exePath: `/usr/bin/${name}`, args: ['-c', `conf${index}`] },
    parent: makeProcess({ pid: 50, image: { name: 'containerd-shim' }, inScope: false }),
  }),
);

/** Evaluates every record of a batch. */
function over(engine: RuleEngine, bytes: readonly Buffer[]): () => number {
  const batch = recordBytes(...bytes);
  const offsets: number[] = [];
  for (let at = 0, index = 0; index < bytes.length; at += bytes[index]!.length, index++)
    offsets.push(at);
  const event = new WireEvent(batch, { unixMinusBootNs: 0n });
  const base = makeSubject(makeEvent('openat'), { process: PROCESSES[0]!, container: CONTAINER });
  const subjects = PROCESSES.map((process): Subject => ({ ...base, event, process }));
  return () => {
    let matched = 0;
    for (let index = 0; index < offsets.length; index++) {
      event.moveTo(offsets[index]!, index + 1);
      matched += engine.evaluate(subjects[index & 7]!).length;
    }
    return matched;
  };
}

const hot = records((index) => HOT[(index * 7919) % HOT.length]!);
const unique = (salt: number): Buffer[] =>
  records((index) => `${FOLDERS[index % 6]}${salt}/${index * 7919}/file${index}`);
const fresh = Array.from({ length: ROUNDS + 5 }, (_, salt) => unique(salt));

function bench(ruleSet: RuleSet): { hot: number; hostile: number; matchesPerThousand: number } {
  const hotRun = over(new RuleEngine(ruleSet), hot);
  const hostileEngine = new RuleEngine(ruleSet);
  let round = 0;
  let run: () => number = () => 0;
  const hostile = measure(
    () => run(),
    () => (run = over(hostileEngine, fresh[round++]!)),
  );
  const matchesPerThousand = Math.round((hotRun() / EVENTS) * 1000);
  return { hot: measure(hotRun), hostile, matchesPerThousand };
}

const results: Record<string, unknown> = {};
for (const count of [1, 10, 100, 1000]) {
  const ruleSet = ruleSetOf(rulesLike(count));
  const found = bench(ruleSet);
  results[`${count} rules`] = found;
  console.log(
    `${String(count).padStart(5)} rules: ${found.hot} ns/event hot, ${found.hostile} with paths never seen before`,
  );
}
// What reading the events costs without a rule: the type, the paths and the name, as any rule would.
const readBatch = recordBytes(...hot);
const readEvent = new WireEvent(readBatch, { unixMinusBootNs: 0n });
const reading = (): number => {
  let at = 0;
  let sum = 0;
  for (let index = 0; index < hot.length; at += hot[index]!.length, index++) {
    readEvent.moveTo(at, index + 1);
    const { open } = readEvent;
    sum += readEvent.type.length + (open?.file?.path.length ?? 0) + (open?.rawPath.length ?? 0);
  }
  return sum;
};
results['reading alone'] = measure(reading);
console.log(`reading the events alone: ${String(results['reading alone'])} ns/event`);
if (UPSTREAM.every(existsSync)) {
  const times: number[] = [];
  for (let i = 0; i < 5; i++) {
    const start = process.hrtime.bigint();
    loadRules(UPSTREAM.map(readRuleFile));
    times.push(Number(process.hrtime.bigint() - start) / 1e6);
  }
  const loaded = loadRules(UPSTREAM.map(readRuleFile));
  const upstream = {
    rules: loaded.loadedRules,
    loadMs: Math.round(median(times)),
    ...(loaded.ruleSet === undefined ? {} : bench(loaded.ruleSet)),
  };
  results['upstream files'] = upstream;
  console.log('upstream files:', upstream);
} else console.log('upstream rule files: not there, left out');

mkdirSync('test/bench/results', { recursive: true });
writeFileSync(
  'test/bench/results/rules.json',
  `${JSON.stringify(
    {
      date: new Date().toISOString().slice(0, 10),
      machine: {
        cpu: cpus()[0]?.model,
        cores: cpus().length,
        kernel: release(),
        node: process.version,
      },
      unit: 'ns per event, median of rounds',
      events: EVENTS,
      rounds: ROUNDS,
      results,
    },
    null,
    2,
  )}\n`,
);
