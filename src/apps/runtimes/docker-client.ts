import type Docker from 'dockerode';

/** The connection to an engine. Its package takes 0.1 s and some MB, so it is loaded when an engine is first asked: a cell has none. */
export type DockerClient = () => Promise<Docker>;

export function dockerClient(socketPath: string): DockerClient {
  let client: Promise<Docker> | undefined;
  return () => {
    client ??= import('dockerode').then(({ default: Engine }) => new Engine({ socketPath }));
    return client;
  };
}
