import type Docker from 'dockerode';
import type { DebianImage } from './debian-image.ts';

/** An ordinary app or job, about which no default rule may say anything. */
export interface Workload {
  readonly name: string;
  readonly image: DebianImage | 'busybox';
  readonly runs: readonly string[];
  readonly user?: string;
  readonly healthcheck?: readonly string[];
  /** What comes from outside while it runs (docker exec), in this order; each must end with 0. */
  readonly visits?: readonly Visit[];
  /** It ends on its own, with 0; otherwise it is stopped after the last visit. $LATER is there in seconds. */
  readonly ends?: true;
  readonly host?: Docker.HostConfig;
  /** It waits for a minute to come, or its image takes long to make: `npm run attacks` does it, `npm test` does not. */
  readonly slow?: true;
}

export interface Visit {
  readonly runs: readonly string[];
  readonly user?: string;
  /** Goes on in the background. */
  readonly stays?: true;
  /** When the rules are no longer lenient with what starts up. */
  readonly later?: true;
}

const asks = (port: number): Visit => ({
  runs: ['python3', '/app/client.py', `http://127.0.0.1:${port}/`],
});

/** Apps of this name count as on Garden (`rulesAsOnGarden`): Docker has no such platform programs. */
export const CLOUD_FOUNDRY = 'Cloud Foundry';

export const WORKLOADS: readonly Workload[] = [
  {
    name: 'nginx',
    image: 'debian',
    runs: ['nginx', '-g', 'daemon off;'],
    visits: [asks(8080), { ...asks(8080), later: true }],
  },
  {
    name: 'nginx by a start script, reloaded',
    image: 'debian',
    runs: ['/app/start.sh', 'nginx', '-g', 'daemon off;'],
    visits: [asks(8080), { runs: ['nginx', '-s', 'reload'], later: true }, asks(8080)],
  },
  {
    name: 'busybox httpd with a health check',
    image: 'busybox',
    runs: ['httpd', '-f', '-p', '8080', '-h', '/etc'],
    healthcheck: ['CMD-SHELL', 'wget -q -O /dev/null http://127.0.0.1:8080/passwd || exit 1'],
    visits: [{ runs: ['true'], later: true }],
  },
  {
    name: 'python web app',
    image: 'debian',
    runs: ['/app/start.sh', 'python3', '/app/python/app.py'],
    visits: [asks(8080), { ...asks(8080), later: true }],
  },
  {
    name: 'python web app of an ordinary user',
    image: 'debian',
    runs: ['python3', '/app/python/app.py'],
    user: 'www-data',
    visits: [asks(8080), { ...asks(8080), later: true }],
  },
  {
    name: 'npm start',
    image: 'debian',
    runs: ['npm', 'start', '--prefix', '/app/node'],
    visits: [asks(8080), { ...asks(8080), later: true }],
  },
  {
    name: 'git clone',
    image: 'debian',
    ends: true,
    runs: ['git', 'clone', '-q', '/srv/repository', '/tmp/clone'],
  },
  {
    name: 'git pull by a job, again and again',
    image: 'debian',
    ends: true,
    runs: [
      'bash',
      '-c',
      'git clone -q /srv/repository /tmp/clone; for s in 1 $LATER; do sleep $s; git -C /tmp/clone pull -q; done',
    ],
  },
  {
    name: 'package installed in a build',
    image: 'debian',
    ends: true,
    runs: ['sh', '-c', 'apt-get -q update && apt-get -q -y install hello-varvel && apt-get clean'],
  },
  {
    name: 'package installed by dnf in a build',
    image: 'rpm',
    ends: true,
    slow: true,
    runs: [
      'sh',
      '-c',
      'dnf -y --releasever=13 --nogpgcheck install /srv/hello.rpm && rpm -q hello-varvel && dnf -y remove hello-varvel',
    ],
  },
  {
    name: 'library of the image preloaded, tunables, ldd',
    image: 'debian',
    ends: true,
    runs: [
      'sh',
      '-c',
      [
        'sleep $LATER',
        'export LD_PRELOAD=/usr/lib/x86_64-linux-gnu/libstdc++.so.6 GLIBC_TUNABLES=glibc.malloc.arena_max=2:glibc.malloc.check=0',
        'python3 /app/python/helper.py',
        'env -u LD_PRELOAD ldd /usr/bin/git > /tmp/libraries',
      ].join(' && '),
    ],
  },
  {
    name: 'jobs in a loop',
    image: 'debian',
    ends: true,
    runs: ['sh', '-c', 'for s in 1 1 $LATER; do sleep $s; /app/job.sh; done'],
  },
  {
    name: 'cron',
    image: 'busybox',
    ends: true,
    slow: true,
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
    name: 'npm start below tini',
    image: 'debian',
    runs: ['tini', '--', 'npm', 'start', '--prefix', '/app/node'],
    visits: [asks(8080), { ...asks(8080), later: true }],
  },
  {
    name: 'start script below dumb-init',
    image: 'debian',
    runs: ['dumb-init', '--', '/app/start.sh', 'python3', '/app/python/app.py'],
    visits: [asks(8080), { ...asks(8080), later: true }],
  },
  {
    name: 'service below s6, started again',
    image: 'debian',
    runs: ['s6-svscan', '/app/services'],
    visits: [asks(8080), { runs: ['s6-svc', '-r', '/app/services/web'], later: true }, asks(8080)],
  },
  {
    name: 'web app and jobs below supervisord',
    image: 'debian',
    runs: ['supervisord', '-c', '/app/supervisord.conf'],
    visits: [asks(8080), { ...asks(8080), later: true }],
  },
  {
    name: 'gunicorn with workers, reloaded',
    image: 'debian',
    runs: ['gunicorn', '-w', '2', '-b', '127.0.0.1:8080', '--chdir', '/app/python', 'wsgi:app'],
    visits: [asks(8080), { runs: ['sh', '-c', 'kill -HUP 1'], later: true }, asks(8080)],
  },
  {
    name: 'puma with workers, restarted',
    image: 'debian',
    runs: ['puma', '-w', '2', '-b', 'tcp://127.0.0.1:8080', '/app/ruby/config.ru'],
    visits: [asks(8080), { runs: ['sh', '-c', 'kill -USR1 1'], later: true }, asks(8080)],
  },
  {
    name: 'sidekiq and its redis',
    image: 'debian',
    runs: [
      'sh',
      '-c',
      'redis-server --bind 127.0.0.1 --dir /tmp --daemonize yes && exec sidekiq -r /app/ruby/jobs.rb',
    ],
    visits: [
      { runs: ['ruby', '/app/ruby/enqueue.rb'] },
      { runs: ['ruby', '/app/ruby/enqueue.rb'], later: true },
    ],
  },
  {
    name: 'pm2 with two processes, reloaded',
    image: 'debian',
    runs: ['pm2-runtime', 'start', '/app/node/server.js', '-i', '2'],
    // It looks at its processes every 30 seconds.
    visits: [
      asks(8080),
      { runs: ['pm2', 'reload', 'all'], later: true },
      { ...asks(8080), later: true },
    ],
  },
  {
    name: 'JVM with a debugger',
    image: 'jvm',
    slow: true,
    runs: [
      '/usr/lib/jvm/java-21-openjdk-amd64/bin/java',
      '-agentlib:jdwp=transport=dt_socket,server=y,suspend=n,address=127.0.0.1:5005',
      '-m',
      'jdk.httpserver',
      '-b',
      '127.0.0.1',
      '-p',
      '8080',
      '-d',
      '/var/www/html',
    ],
    visits: [
      asks(8080),
      { runs: ['python3', '/app/debugger.py', '5005'], later: true },
      asks(8080),
    ],
  },
  {
    name: 'jobs by Debian’s cron beside the app',
    image: 'debian',
    slow: true,
    runs: ['cron', '-f'],
    visits: [{ runs: ['sh', '-c', 'until test -s /tmp/job.log; do sleep 1; done'], later: true }],
  },
  {
    name: 'deployed by a push',
    image: 'debian',
    runs: ['python3', '/app/python/app.py'],
    visits: [
      {
        runs: [
          'sh',
          '-c',
          [
            'git clone -q --no-hardlinks /srv/site.git /tmp/work && cd /tmp/work && echo more >> README',
            'git -c user.name=x -c user.email=x@example.com commit -q -a -m more',
            'git push -q origin main && test -s /tmp/site/README',
          ].join(' && '),
        ],
        later: true,
      },
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
        later: true,
      },
      {
        runs: ['/tmp/lifecycle/launcher', '/home/vcap/app', 'node -e 0', '{}'],
        user: 'vcap',
      },
    ],
  },
];
