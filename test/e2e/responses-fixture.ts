// What tests of responses have in common: apps, what they do that rules are about, and the lines of it.
import type Docker from 'dockerode';
import type { TestDockerd } from '../support/dockerd.ts';
import { until, type DetectionLine } from '../support/e2e-agent.ts';
import { agentLines, runContainer } from '../support/e2e-docker.ts';
import { call, callFd } from '../support/kernel-calls.ts';
import { stepsProgram, type Step } from '../support/kernel-process.ts';

export const RULES = `
- rule: Shadow read
  desc: A test's own.
  condition: evt.type in (open, openat, openat2) and evt.is_open_read = true and fd.name = /etc/shadow
  output: shadow read
  priority: ERROR
  tags: [secrets]
`;
export const NAMESPACE_RULE = `
- rule: User namespace made
  desc: A test's own.
  condition: evt.type in (unshare, clone, clone3) and evt.rawres >= 0 and evt.arg.flags contains CLONE_NEWUSER
  output: flags=%evt.arg.flags result=%evt.res
  priority: ERROR
`;
/** As the default rule, in a file of few. */
export const RUNTIME_RULE = `
- rule: Container runtime contacted
  desc: A test's own.
  condition: evt.type = connect and fd.type = unix and basename(fd.name) in (docker.sock)
  output: socket=%fd.name result=%evt.res
  priority: ERROR
`;
const MOUNTED_AT = '/run/runtime.sock';
const quoted = (steps: readonly Step[]): string => steps.map((step) => `'${step}'`).join(' ');
/** A shell's command that connects to the runtime, prints what became of it, and then makes these steps. */
export const contacting = (...then: Step[]): string => {
  const address = Buffer.from(`\x01\0${MOUNTED_AT}\0`);
  const connect = call('connect', '@', `b:${address.toString('hex')}`, address.length);
  return `/steps ${quoted([...callFd('socket', 1, 1, 0), ...connect, ...then])}`;
};

/** An app that has got the engine's socket, under another name. */
export const runWithRuntime = (engine: TestDockerd): Promise<Docker.Container> =>
  runContainer(engine, 'exec sleep 600', {
    labels: { 'varvel.enable': 'true', 'varvel.app': 'shop' },
    hostConfig: { Binds: [`${stepsProgram()}:/steps:ro`, `${engine.socketPath}:${MOUNTED_AT}`] },
  });

/** It waits by itself for what never comes: a sleep would be a process that outlives the shell. */
export const READ =
  'rm -f /tmp/never; mkfifo /tmp/never; exec 3<>/tmp/never; read -r a < /etc/shadow; read -r -t SECONDS a <&3; true';
/** SIGKILL, as a shell says it. */
export const KILLED = 137;

export const runApp = (
  engine: TestDockerd,
  name: string,
  space: string,
): Promise<Docker.Container> =>
  runContainer(engine, 'exec sleep 600', {
    labels: { 'varvel.enable': 'true', 'varvel.app': name, 'varvel.space': space },
  });

/** An app that may make namespaces: Docker's own filter lets no container make one. */
export const runUnfiltered = (
  engine: TestDockerd,
  more: Docker.HostConfig = {},
): Promise<Docker.Container> =>
  runContainer(engine, 'exec sleep 600', {
    labels: { 'varvel.enable': 'true', 'varvel.app': 'shop' },
    hostConfig: { SecurityOpt: ['seccomp=unconfined'], CapAdd: ['SYS_ADMIN'], ...more },
  });

/** The line that comes next in the app's log, after so many of them. */
export async function nextLine(
  engine: TestDockerd,
  app: Docker.Container,
  before: number,
): Promise<DetectionLine> {
  const lines = await until('the read is told', async () => {
    const found = (await agentLines(engine, app)).filter(({ rule }) => rule === 'Shadow read');
    return found.length > before && found;
  });
  return lines[before]!;
}

export const outcomeOf = ({ output_fields: fields }: DetectionLine): unknown =>
  fields['varvel.response.outcome'];

/** What busybox says of a connect to an address that nobody has: the exit code is 0 if it says this. */
export const SAYS = (words: string): string =>
  `nc 192.0.2.1 9 2>&1 </dev/null | grep -q '${words}'`;
export const CUT_OFF = SAYS('Operation not permitted');
export const NO_ROUTE = SAYS('Network is unreachable');
