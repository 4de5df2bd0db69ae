import { execFile } from 'node:child_process';
import { UserError } from '../shared/user-error.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** systemd waits for its own answer for 5 s. */
const TIMEOUT_MS = 10_000;

/** Whether a manager restarts the service when this process ends, and cannot be told of another one. */
export const isBoundToManager = (env: Environment): boolean =>
  env['INVOCATION_ID'] !== undefined && env['NOTIFY_SOCKET'] === undefined;

/**
 * Has systemd take this process for the service's main one (sd_notify(3), MAINPID=), so that the end of the one before does not end
 * the service. Does nothing where no manager listens. Node has no datagram sockets of the unix family: systemd's own program is
 * asked. Throws UserError if that fails.
 */
export async function becomeMainProcess(env: Environment): Promise<void> {
  if (env['NOTIFY_SOCKET'] === undefined) return;
  await new Promise<void>((resolve, reject) => {
    execFile(
      'systemd-notify',
      [`MAINPID=${process.pid}`],
      { timeout: TIMEOUT_MS, env: { ...process.env, ...env } },
      (error, _stdout, stderr) => {
        if (error === null) resolve();
        else
          reject(
            new UserError(
              `systemd could not be told of the new agent (systemd-notify: ${stderr.trim() || error.message}): the one that runs goes on.`,
              { cause: error },
            ),
          );
      },
    );
  });
}
