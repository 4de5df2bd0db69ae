import type Docker from 'dockerode';

/** The connection to an engine. Its package takes 29 MB and 0.1 s, so it is loaded when the engine is first asked: most cells have none. */
export type DockerClient = () => Promise<Docker>;

export function dockerClient(socketPath: string): DockerClient {
  let client: Promise<Docker> | undefined;
  return () => {
    client ??= import('dockerode').then(({ default: Engine }) => new Engine({ socketPath }));
    return client;
  };
}
