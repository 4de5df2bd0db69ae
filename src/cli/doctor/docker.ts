import { existsSync } from 'node:fs';
import { request } from 'node:http';
import type { AgentConfig } from '../../config/config.ts';
import { fail, firstLine, note, ok, warn, type Verdict } from './finding.ts';

/** Asks the engine for its version, as the agent will. */
export async function checkDocker(config: AgentConfig): Promise<Verdict> {
  const { enabled, socket } = config.runtimes.docker;
  if (enabled === false) return note('Docker is turned off in the configuration.');
  if (!existsSync(socket)) {
    if (enabled === 'auto')
      return note(`No Docker engine: there is no socket at ${socket}. It is looked for again.`);
    return fail(
      `Docker is enabled, but there is no socket at ${socket}.`,
      'Start dockerd, or set runtimes.docker.socket.',
    );
  }
  try {
    const version = await dockerVersion(socket);
    return ok(`Docker ${version} answers on ${socket}.`);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? firstLine(error);
    const denied = code === 'EACCES' || code === 'EPERM';
    return (enabled === 'auto' ? warn : fail)(
      denied
        ? `Not allowed to use the Docker socket ${socket}.`
        : `No usable answer from Docker on ${socket} (${code}).`,
      denied
        ? 'Run varvel as root.'
        : 'Start dockerd, set runtimes.docker.socket, or turn Docker off with runtimes.docker.enabled: false.',
    );
  }
}

function dockerVersion(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(3000);
    const asked = request({ socketPath, path: '/version', agent: false, signal }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
        if (body.length > 65_536) response.destroy(new Error('too long an answer'));
      });
      response.on('error', reject);
      response.on('end', () => {
        try {
          const { Version } = JSON.parse(body) as { Version?: unknown };
          if (typeof Version === 'string' && /^[\w.+~-]{1,64}$/.test(Version)) resolve(Version);
          else reject(new Error('not an answer of Docker'));
        } catch {
          reject(new Error('not an answer of Docker'));
        }
      });
    });
    asked.on('error', reject);
    asked.end();
  });
}
