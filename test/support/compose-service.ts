import type Docker from 'dockerode';

/** A service of a compose file, as far as ours use the language. */
export type ComposeService = Readonly<Record<string, unknown>>;

const text = (value: unknown, key: string): string => {
  if (typeof value !== 'string') throw new Error(`${key} is not a text`);
  return value;
};
const texts = (value: unknown, key: string): string[] => {
  if (!Array.isArray(value)) throw new Error(`${key} is not a list`);
  return value.map((item) => text(item, key));
};

/** `512m` in bytes. */
function bytes(size: string): number {
  const match = /^(\d+)m$/.exec(size);
  if (match === null) throw new Error(`mem_limit ${size}`);
  return Number(match[1]) * 1024 * 1024;
}

/**
 * What Docker's API is given for a service, option for option as `docker compose` does. `source` says what stands for a path of
 * the host. Throws an Error for a key that it does not know, so that nothing is left out.
 */
export function containerOptions(
  service: ComposeService,
  source: (path: string) => string,
): Docker.ContainerCreateOptions {
  const options: Docker.ContainerCreateOptions = {};
  const host: Docker.HostConfig = {};
  for (const [key, value] of Object.entries(service)) {
    switch (key) {
      case 'image':
        options.Image = text(value, key);
        break;
      case 'build': // how the image is made
      case 'stop_grace_period': // for who stops it
        break;
      case 'command':
        options.Cmd = texts(value, key);
        break;
      case 'labels':
        options.Labels = value as Record<string, string>;
        break;
      case 'privileged':
        host.Privileged = value === true;
        break;
      case 'pid':
        host.PidMode = text(value, key);
        break;
      case 'cgroup':
        (host as { CgroupnsMode?: string }).CgroupnsMode = text(value, key);
        break;
      case 'uts':
        host.UTSMode = text(value, key);
        break;
      case 'network_mode':
        host.NetworkMode = text(value, key);
        break;
      case 'read_only':
        host.ReadonlyRootfs = value === true;
        break;
      case 'restart':
        host.RestartPolicy = { Name: text(value, key) };
        break;
      case 'volumes':
        host.Binds = texts(value, key).map((volume) => {
          const [from = '', ...rest] = volume.split(':');
          return [from.startsWith('/') ? source(from) : from, ...rest].join(':');
        });
        break;
      case 'tmpfs':
        host.Tmpfs = Object.fromEntries(
          texts(value, key).map((mount) => {
            const [path = '', ...rest] = mount.split(':');
            return [path, rest.join(':')];
          }),
        );
        break;
      case 'cpus':
        host.NanoCpus = Number(value) * 1e9;
        break;
      case 'mem_limit':
        host.Memory = bytes(text(value, key));
        break;
      case 'logging': {
        const { driver, options: Config = {} } = value as {
          driver: string;
          options?: Record<string, string>;
        };
        host.LogConfig = { Type: driver, Config };
        break;
      }
      default:
        throw new Error(`compose: nothing is known of "${key}"`);
    }
  }
  return { ...options, HostConfig: host };
}
