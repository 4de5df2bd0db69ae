import { isIP } from 'node:net';
import { ScrapeProxy } from '../metrics/scrape-proxy.ts';
import { UserError } from '../shared/user-error.ts';
import type { Io } from './io.ts';

/**
 * `varvel expose-metrics`: answers /metrics on the network until SIGTERM or SIGINT, then resolves to 0. Throws UserError if an option is
 * missing or wrong, or it cannot listen.
 */
export async function runExposeMetrics(
  { socket, listen }: { readonly socket: string | undefined; readonly listen: string | undefined },
  io: Io,
): Promise<number> {
  if (socket === undefined || !socket.startsWith('/'))
    throw usage('--socket needs the absolute path that metrics.scrape_socket of the agent has.');
  const stopped = new Promise<void>((resolve) => {
    process.once('SIGTERM', resolve);
    process.once('SIGINT', resolve);
  });
  const onAgent = (trouble: string | undefined): void =>
    io.stderr(`${trouble ?? 'The agent answers again.'}\n`);
  const proxy = await ScrapeProxy.open({ socket, ...addressOf(listen), onAgent });
  io.stdout(`/metrics is on port ${proxy.port}\n`);
  await stopped;
  await proxy.close();
  return 0;
}

/** `HOST:PORT`, where HOST is an IP address, in brackets if it has colons, or `*`. */
function addressOf(listen = ''): { readonly host: string | undefined; readonly port: number } {
  const [, inBrackets, bare, digits] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(listen) ?? [];
  const port = Number(digits);
  const isKnown = bare === '*' || isIP(bare ?? '') === 4 || isIP(inBrackets ?? '') === 6;
  if (!isKnown || !(port <= 65_535))
    throw usage(
      '--listen needs an IP address and a port, such as 10.0.0.7:9434, [::1]:9434 or *:9434.',
    );
  return { host: bare === '*' ? undefined : (bare ?? inBrackets), port };
}

function usage(message: string): UserError {
  return new UserError(message, { exitCode: 2 });
}
