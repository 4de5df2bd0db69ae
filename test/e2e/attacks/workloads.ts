import type Docker from 'dockerode';

/** An ordinary app or job, about which no default rule may say anything. */
export interface Workload {
  readonly name: string;
  readonly image: 'debian' | 'busybox';
  readonly runs: readonly string[];
  readonly user?: string;
  readonly healthcheck?: readonly string[];
  /** What comes from outside while it runs (docker exec), in this order; each must end with 0. */
  readonly visits?: readonly Visit[];
  /** It is stopped then; absent: it ends on its own, with 0. */
  readonly seconds?: number;
  readonly host?: Docker.HostConfig;
  /** Default rules that may fire, each with the reason why that is right. */
  readonly allowed?: Readonly<Record<string, string>>;
}

export interface Visit {
  readonly runs: readonly string[];
  readonly user?: string;
  /** Goes on in the background. */
  readonly stays?: true;
  readonly afterSeconds?: number;
}

const asks = (port: number): Visit => ({
  runs: ['python3', '/app/client.py', `http://127.0.0.1:${port}/`],
});

/** Longer than start-up lasts for the rules that are lenient then: a minute. */
const LATER = 62;

/** Apps of this name count as on Garden (`rulesAsOnGarden`): Docker has no such platform programs. */
export const CLOUD_FOUNDRY = 'Cloud Foundry';

export const WORKLOADS: readonly Workload[] = [
  {
    name: 'nginx',
    image: 'debian',
    runs: ['nginx', '-g', 'daemon off;'],
    visits: [asks(8080), { ...asks(8080), afterSeconds: LATER }],
    seconds: 1,
  },
  {
    name: 'nginx by a start script, reloaded',
    image: 'debian',
    runs: ['/app/start.sh', 'nginx', '-g', 'daemon off;'],
    visits: [asks(8080), { runs: ['nginx', '-s', 'reload'], afterSeconds: LATER }, asks(8080)],
    seconds: 1,
  },
  {
    name: 'busybox httpd with a health check',
    image: 'busybox',
    runs: ['httpd', '-f', '-p', '8080', '-h', '/etc'],
    healthcheck: ['CMD-SHELL', 'wget -q -O /dev/null http://127.0.0.1:8080/passwd || exit 1'],
    seconds: LATER,
  },
  {
    name: 'python web app',
    image: 'debian',
    runs: ['/app/start.sh', 'python3', '/app/python/app.py'],
    visits: [asks(8080), { ...asks(8080), afterSeconds: LATER }],
    seconds: 1,
  },
  {
    name: 'python web app of an ordinary user',
    image: 'debian',
    runs: ['python3', '/app/python/app.py'],
    user: 'www-data',
    visits: [asks(8080), { ...asks(8080), afterSeconds: LATER }],
    seconds: 1,
  },
  {
    name: 'npm start',
    image: 'debian',
    runs: ['npm', 'start', '--prefix', '/app/node'],
    visits: [asks(8080), { ...asks(8080), afterSeconds: LATER }],
    seconds: 1,
  },
  {
    name: 'git clone',
    image: 'debian',
    runs: ['git', 'clone', '-q', '/srv/repository', '/tmp/clone'],
  },
  {
    name: 'git pull by a job, again and again',
    image: 'debian',
    runs: [
      'bash',
      '-c',
      'git clone -q /srv/repository /tmp/clone; for s in 1 61; do sleep $s; git -C /tmp/clone pull -q; done',
    ],
  },
  {
    name: 'package installed in a build',
    image: 'debian',
    runs: ['sh', '-c', 'apt-get -q update && apt-get -q -y install hello-varvel && apt-get clean'],
    allowed: {
      'Package manager run in an app container':
        'a build is no app container: it should not be watched, and if it is, this is what the rule says',
    },
  },
  {
    name: 'jobs in a loop',
    image: 'debian',
    runs: ['sh', '-c', 'for s in 1 1 61; do sleep $s; /app/job.sh; done'],
  },
  {
    name: 'cron',
    image: 'busybox',
    runs: [
      'sh',
      '-c',
      [
        'mkdir -p /var/spool/cron/crontabs',
        'echo "* * * * * date >> /tmp/log; sleep 1; cp /tmp/log /tmp/done" > /var/spool/cron/crontabs/root',
        '/bin/crond',
        'while ! test -s /tmp/done; do sleep 1; done',
      ].join('; '),
    ],
  },
  {
    name: `${CLOUD_FOUNDRY}: npm start by the launcher`,
    image: 'debian',
    runs: ['/tmp/garden-init'],
    visits: [
      { runs: ['/tmp/lifecycle/diego-sshd', '-address=127.0.0.1:2222'], user: 'vcap', stays: true },
      {
        runs: ['/tmp/lifecycle/launcher', '/home/vcap/app', 'npm start', '{}'],
        user: 'vcap',
        stays: true,
      },
      { ...asks(8080), user: 'vcap' },
      { runs: ['/etc/cf-assets/healthcheck/healthcheck', '8080'], user: 'vcap' },
      {
        runs: ['/etc/cf-assets/healthcheck/healthcheck', '8080'],
        user: 'vcap',
        afterSeconds: LATER,
      },
      {
        runs: ['/tmp/lifecycle/launcher', '/home/vcap/app', 'node -e 0', '{}'],
        user: 'vcap',
      },
    ],
    seconds: 1,
  },
];
