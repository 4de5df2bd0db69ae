import { notifyManager } from 'ebpf-loader-napi';

type Environment = Readonly<Record<string, string | undefined>>;

/** Whether a manager restarts the service when this process ends, and cannot be told of another one. */
export const isBoundToManager = (env: Environment): boolean =>
  env['INVOCATION_ID'] !== undefined && env['NOTIFY_SOCKET'] === undefined;

/**
 * Has systemd take another process of the service for its main one (sd_notify(3), MAINPID=), so that the end of this one does not end
 * the service. Does nothing where no manager listens. Throws LoaderError.
 */
export function passMainProcess(pid: number, env: Environment): void {
  const socket = env['NOTIFY_SOCKET'];
  if (socket !== undefined) notifyManager(socket, `MAINPID=${pid}`);
}
