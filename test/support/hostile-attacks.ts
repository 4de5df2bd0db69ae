// What a hostile container does to its host and its neighbours: as red-teaming found it, and the worst of it that is let
// through now.
import type Docker from 'dockerode';
import { checkPolicy, operatorRulesOf } from '../../src/policy/check-policy.ts';
import { readRuleFile } from '../../src/rules/loader/load.ts';
import { QUIET_RULES } from './quiet-app.ts';

/** The hostile container, once it is watched. */
export interface HostileApp {
  readonly container: Docker.Container;
  /** Runs a script in it, where CGROUP is its cgroup; throws when it fails. The last line that it prints. */
  readonly run: (script: string) => Promise<string>;
  /** Runs a script that reads /etc/shadow, and resolves when that is told of this container. */
  readonly readShadow: (script: string) => Promise<void>;
  /** Starts a container that opts in and reads /etc/shadow; resolves when that is told, with how many of its records were lost. */
  readonly newcomer: () => Promise<number>;
}

export interface Attack {
  readonly name: string;
  /** A varvel.yml of its own. */
  readonly policy?: string;
  /** What its own log says of a policy that is refused. */
  readonly refused?: RegExp;
  readonly hostConfig?: Docker.HostConfig;
  /** What it did, in a few words. */
  readonly run: (app: HostileApp) => Promise<string>;
}

/** How much of each is done. */
export interface AttackCounts {
  /** Commands that a policy's rules look at, and seconds of opens. */
  readonly commands: number;
  readonly openSeconds: number;
  readonly crowd: number;
  readonly execs: number;
  readonly nested: number;
  readonly churned: number;
}

/** As it was found. */
export const FULL_COUNTS: AttackCounts = {
  commands: 1000,
  openSeconds: 10,
  crowd: 7000,
  execs: 20_000,
  nested: 17_500,
  churned: 50_000,
};

const ruleOf = (name: string, condition: string, output: string): string =>
  `  - ${JSON.stringify({ rule: name, desc: 'd', output, priority: 'NOTICE', condition })}\n`;
/** So many rules; NUMBER in the condition is the rule's own, since like comparisons are made once. */
const rulesOf = (count: number, condition: string, output = 'x'): string =>
  `custom_rules:\n${Array.from({ length: count }, (_, n) => ruleOf(`Own ${n}`, condition.replaceAll('NUMBER', String(n)), output)).join('')}`;

/** The policy of the greatest size that loads. */
function largestThatLoads(policyOf: (size: number) => string): string {
  const operator = operatorRulesOf([
    readRuleFile('manifests/rules/varvel_rules.yaml'),
    { name: 'quiet.yaml', text: QUIET_RULES },
  ]);
  const loads = (size: number): boolean =>
    checkPolicy({ name: 'varvel.yml', text: policyOf(size) }, operator).policy !== undefined;
  if (!loads(1)) throw new Error(`not even this loads: ${policyOf(1)}`);
  let [fits, fails] = [1, 2];
  for (; loads(fails); fails *= 2) fits = fails;
  while (fails - fits > 1) {
    const middle = Math.floor((fits + fails) / 2);
    if (loads(middle)) fits = middle;
    else fails = middle;
  }
  return policyOf(fits);
}

const choices = (pattern: string): string =>
  `evt.type = execve and proc.cmdline regex "[a-z]+ -c true ${pattern}bNUMBER"`;
const manyStates = (repeat: string): string =>
  `evt.type = execve and proc.cmdline regex "(${['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map((x) => `.*${x}.${repeat}[cd]NUMBER`).join('|')})"`;
const OPENS = 'evt.type in (open, openat) and fd.name = /hostile-target';

const LONG = 'a=$(head -c 16000 /dev/zero | tr "\\0" a)';
const commands = (count: number): string =>
  `${LONG}; i=0; while [ $i -lt ${count} ]; do sh -c true $a; i=$((i+1)); done; echo ${count} commands`;
const ancestors = ': > /hostile-target && /app args 10 16000 && echo 1000 opens';

/** Policies that ended or blinded the agent: each is refused. */
export const REFUSED_POLICIES: readonly Attack[] = [
  {
    name: '60 rules with a slow regular expression, six commands',
    policy: rulesOf(60, choices('((a?a?a?a?a?){20}){10}')),
    refused: /the regular expression could be slow: its states take more than \d+ cells/,
    run: (app) => app.run(commands(6)),
  },
  {
    name: '20 regular expressions with many states, one command',
    policy: rulesOf(20, manyStates('{0,990}')),
    refused:
      /the regular expression could be slow: with its repetitions written out it has \d+ characters/,
    run: (app) => app.run(commands(1)),
  },
  {
    name: 'an output with the arguments of all ancestors 5,880 times',
    policy: rulesOf(1, OPENS, '%proc.aargs'.repeat(5880)),
    refused: /this output has 64680 characters: at most 4096 are taken/,
    run: (app) => app.run(ancestors),
  },
  {
    name: 'an output that is padded to 490 MB',
    policy: rulesOf(1, OPENS, '%99999evt.num'.repeat(4900)),
    refused: /this output has 63700 characters: at most 4096 are taken/,
    run: (app) => app.run(ancestors),
  },
];

/** The nearest to each of them that loads: as many rules as are taken, met as often as the container can. */
export const policiesThatLoad = ({ commands: count, openSeconds }: AttackCounts): Attack[] => [
  {
    name: 'as many slow regular expressions as load',
    policy: largestThatLoads((rules) => rulesOf(rules, choices('(a?a?a?a?a?){20}'))),
    run: (app) => app.run(commands(count)),
  },
  {
    name: 'as many regular expressions with many states as load',
    policy: largestThatLoads((rules) => rulesOf(rules, manyStates('{0,1}'))),
    run: (app) => app.run(commands(count)),
  },
  {
    name: 'as many outputs of long arguments as load',
    policy: largestThatLoads((rules) => rulesOf(rules, OPENS, '%proc.aargs[1]'.repeat(64))),
    run: (app) => app.run(`${ancestors} && ${ancestors}`),
  },
  {
    name: 'as many padded outputs as load',
    policy: largestThatLoads((rules) => rulesOf(rules, OPENS, '%64evt.num'.repeat(64))),
    run: (app) => app.run(`: > /hostile-target && /app flood ${openSeconds} /hostile-target`),
  },
];

const CGROUPS = { Privileged: true, Binds: ['/sys/fs/cgroup:/sys/fs/cgroup:rw'] };

export const crowd = ({ crowd: count }: AttackCounts): Attack => ({
  name: `${count} processes with 8 KiB of environment each`,
  // They stay until the container is removed.
  run: (app) =>
    app.run(
      `/app crowd ${count} 8100 > /crowd & until [ -s /crowd ]; do usleep 50000; done; cat /crowd`,
    ),
});

export const execStorm = ({ execs: count }: AttackCounts): Attack => ({
  name: `${count} programs with 16 KiB of arguments each`,
  run: (app) => app.run(`/app execs ${count} 16200`),
});

export const nestedCgroups = ({ nested: count }: AttackCounts): Attack => ({
  name: `${count} nested cgroups made and removed`,
  hostConfig: CGROUPS,
  async run(app) {
    try {
      await app.run(`/app nest ${count} CGROUP`);
      await app.readShadow(
        `echo $$ > CGROUP/n${count - 1}/cgroup.procs && cat /etc/shadow > /dev/null`,
      );
      const lost = await app.newcomer();
      return `a new container was watched meanwhile, ${lost} of its records lost`;
    } finally {
      await app.run(`/app unnest ${count} CGROUP`);
    }
  },
});

export const churnedCgroups = ({ churned: count }: AttackCounts): Attack => ({
  name: `${count} nested cgroups, each made and removed`,
  hostConfig: CGROUPS,
  run: (app) => app.run(`/app churn ${count} CGROUP`),
});

export const opens = ({ openSeconds }: AttackCounts): Attack => ({
  name: 'a flood of opens that a rule is about',
  run: (app) => app.run(`/app flood ${openSeconds} /etc/shadow`),
});

/** Whatever a container does without a policy of its own. */
export const behaviours = (counts: AttackCounts): readonly Attack[] =>
  [crowd, execStorm, nestedCgroups, churnedCgroups, opens].map((attack) => attack(counts));
