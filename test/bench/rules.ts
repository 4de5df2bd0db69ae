// npm run bench rules: nanoseconds per event of the rules alone, over events as the probe writes them.
import { mkdirSync, writeFileSync } from 'node:fs';
import { WireEvent } from '../../src/events/wire-event.ts';
import { RuleEngine } from '../../src/rules/engine.ts';
import { loadRules } from '../../src/rules/loader/load.ts';
import type { RuleSet } from '../../src/rules/rule-set.ts';
import type { Subject } from '../../src/rules/subject.ts';
import { recordBytes } from '../unit/events/record-builder.ts';
import { falcoRuleSources } from '../support/falco.ts';
import { CONTAINER, makeEvent, makeSubject } from '../support/rules-subject.ts';
import { EVENTS, FOLDERS, HOT, median, PROCESSES, records, sequence } from './event-records.ts';
import { machine } from './machine.ts';

const ROUNDS = 25;

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
const times: number[] = [];
for (let i = 0; i < 5; i++) {
  const start = process.hrtime.bigint();
  loadRules(falcoRuleSources());
  times.push(Number(process.hrtime.bigint() - start) / 1e6);
}
const loaded = loadRules(falcoRuleSources());
if (loaded.ruleSet === undefined) throw new Error(JSON.stringify(loaded.errors[0]));
const upstream = {
  rules: loaded.loadedRules,
  loadMs: Math.round(median(times)),
  ...bench(loaded.ruleSet),
};
results['upstream files'] = upstream;
console.log('upstream files:', upstream);

mkdirSync('test/bench/results', { recursive: true });
writeFileSync(
  'test/bench/results/rules.json',
  `${JSON.stringify(
    {
      date: new Date().toISOString().slice(0, 10),
      machine: machine(),
      unit: 'ns per event, median of rounds',
      events: EVENTS,
      rounds: ROUNDS,
      results,
    },
    null,
    2,
  )}\n`,
);
