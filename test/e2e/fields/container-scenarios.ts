import { readdirSync } from 'node:fs';
import type Docker from 'dockerode';
import { argumentsOf, linkOf } from './proc-facts.ts';
import type { Comparison, Scenario, Truth, World } from './scenario.ts';

const ENGINE = 'the engine’s inspect';

type Inspect = Docker.ContainerInspectInfo;

const of =
  (value: (inspect: Inspect) => Truth['value'], within?: bigint) =>
  ({ inspect }: World): Truth => ({
    source: ENGINE,
    value: value(inspect),
    ...(within === undefined ? {} : { within }),
  });

/** As Falco prints a mount. */
const mountText = (mount: Inspect['Mounts'][number]): string =>
  [mount.Source, mount.Destination, mount.Mode, mount.RW, mount.Propagation].join(':');

const bySource = ({ Mounts }: Inspect, source: string): Inspect['Mounts'][number] => {
  const found = Mounts.find((mount) => mount.Source === source);
  if (found === undefined) throw new Error(`no mount of ${source}`);
  return found;
};

/** An image that was imported is named by a repository and a tag. */
const imageName = ({ Config }: Inspect): [string, string] => {
  const [repository = '', tag = ''] = Config.Image.split(':');
  return [repository, tag];
};

const CONTAINER: Comparison['fields'] = {
  'container.id': of(({ Id }) => Id.slice(0, 12)),
  'container.full_id': of(({ Id }) => Id),
  'container.name': of(({ Name }) => Name.slice(1)),
  'container.image': of(({ Config }) => Config.Image),
  'container.image.id': of(({ Image }) => Image.replace('sha256:', '')),
  'container.image.repository': of((inspect) => imageName(inspect)[0]),
  'container.image.tag': of((inspect) => imageName(inspect)[1]),
  'container.privileged': of(({ HostConfig }) => HostConfig.Privileged === true),
  'container.start_ts': of(({ State }) => nanoseconds(State.StartedAt), 1_000_000n),
  'container.duration': ({ inspect }, line) => ({
    source: ENGINE,
    value: BigInt(line['evt.rawtime']!) - nanoseconds(inspect.State.StartedAt),
    within: 1_000_000n,
  }),
  // Each inspection has them in another order.
  'container.mounts': ({ inspect: { Mounts } }, line) => {
    const said = String(line['container.mounts']);
    const sorted = (words: readonly string[]): string => [...words].sort().join(' ');
    const engines = sorted(Mounts.map(mountText));
    return { source: ENGINE, value: sorted(said.split(' ')) === engines ? said : engines };
  },
  'container.host_pid': of(({ HostConfig }) => HostConfig.PidMode === 'host'),
  'container.host_network': of(({ HostConfig }) => HostConfig.NetworkMode === 'host'),
  'container.host_ipc': of(({ HostConfig }) => HostConfig.IpcMode === 'host'),
  'container.label[team]': of(({ Config }) => Config.Labels['team'] ?? null),
  'k8s.pod.name': of(({ Config }) => Config.Labels['io.kubernetes.pod.name'] ?? null),
  'k8s.ns.name': of(({ Config }) => Config.Labels['io.kubernetes.pod.namespace'] ?? null),
  'k8s.pod.uid': of(({ Config }) => Config.Labels['io.kubernetes.pod.uid'] ?? null),
  'app.name': of(({ Config }) => Config.Labels['varvel.app'] ?? null),
};

/** RFC 3339 with nanoseconds. */
function nanoseconds(time: string): bigint {
  const [, seconds = '', fraction = ''] = /^([^.]+)(?:\.(\d+))?Z$/.exec(time) ?? [];
  return (
    BigInt(Date.parse(`${seconds}Z`)) * 1_000_000n + BigInt(fraction.padEnd(9, '0').slice(0, 9))
  );
}

const checkOf = ({ Healthcheck }: Inspect['Config']): string[] =>
  (Healthcheck as { Test: string[] }).Test.slice(1);

/** The process in the container that runs the engine's check: no other has its command line. */
function checkOfEngine({ init, inspect: { Config } }: World): number | null {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const found = pids.map(Number).find((pid) => {
    try {
      const isInside = linkOf(pid, 'ns/pid') === linkOf(init, 'ns/pid');
      return isInside && argumentsOf(pid).join(' ') === checkOf(Config).join(' ');
    } catch {
      // It has ended, or is a thread of the kernel's.
      return false;
    }
  });
  return found ?? null;
}

const BINDS = ['/:/host:ro', '/etc:/host-etc:ro', '/proc:/host-proc:ro', '/root:/host-root'];

/** It runs for a moment, so that the engine has said when it started. */
const steps = ['sleep', 1500, 'call', 'mkdir', 's:/tmp/made', 0o755, ';', 'pause'];

export const CONTAINER_SCENARIOS: readonly Scenario[] = [
  {
    name: 'plain',
    steps,
    container: { Labels: { team: 'blue' } },
    comparisons: [{ event: 'mkdir', when: 'evt.rawres = 0', fields: CONTAINER }],
  },
  {
    name: 'checked',
    steps: ['pause'],
    container: {
      // It does not answer, so that there is one.
      Healthcheck: { Test: ['CMD', '/bin/a1', 'sleep', '600000'], Interval: 1e9, Timeout: 600e9 },
    },
    comparisons: [
      {
        event: 'execve',
        when: 'evt.rawres = 0 and proc.name = a1',
        fields: {
          'container.healthcheck': of(({ Config }) => checkOf(Config).join(' ')),
          'proc.pid': (world) => ({ source: '/proc', value: checkOfEngine(world) }),
          'proc.is_container_healthcheck': (world, line) => ({
            source: `${ENGINE}, /proc/PID/cmdline`,
            value: Number(line['proc.pid']) === checkOfEngine(world),
          }),
        },
      },
    ],
  },
  {
    name: 'privileged',
    steps,
    container: {
      HostConfig: { Privileged: true, Binds: BINDS, PidMode: 'host', IpcMode: 'host' },
      Labels: {
        'io.kubernetes.pod.name': 'web-5d4f',
        'io.kubernetes.pod.namespace': 'shop',
        'io.kubernetes.pod.uid': '0a1b',
      },
    },
    comparisons: [
      { event: 'mkdir', when: 'evt.rawres = 0', fields: CONTAINER },
      {
        event: 'mkdir',
        when: 'evt.rawres = 0',
        fields: {
          'container.mount.dest[/]': of((inspect) => bySource(inspect, '/').Destination),
          'container.mount.dest[/etc]': of((inspect) => bySource(inspect, '/etc').Destination),
          'container.mount.dest[/proc*]': of((inspect) => bySource(inspect, '/proc').Destination),
          'container.mount.dest[/root*]': of((inspect) => bySource(inspect, '/root').Destination),
          'container.mount.source[/host]': of((inspect) => bySource(inspect, '/').Source),
          'container.mount.mode[/etc]': of((inspect) => bySource(inspect, '/etc').Mode),
          'container.mount.rdwr[/root]': of((inspect) => String(bySource(inspect, '/root').RW)),
          'container.mount.propagation[/]': of((inspect) => bySource(inspect, '/').Propagation),
          'container.mount[/etc]': of((inspect) => mountText(bySource(inspect, '/etc'))),
        },
      },
    ],
  },
];
