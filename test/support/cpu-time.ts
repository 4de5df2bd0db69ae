/** CPU time that this process has used for the call, in ms: unlike the time of a clock it does not run while others run. */
export function cpuMs(call: () => void): number {
  const before = process.cpuUsage();
  call();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}
