import { UserError } from '../shared/user-error.ts';
import { kernelTooOld } from './kernel-version.ts';

/** What the loader's errors say. */
interface Refusal {
  readonly operation: string;
  readonly code: string;
  readonly detail: string;
}

const CAPABILITIES = ['CAP_BPF', 'CAP_PERFMON', 'CAP_SYS_PTRACE', 'CAP_DAC_READ_SEARCH'];

/** Says what to do about each way in which the kernel refuses the probe. `more`: another capability that it takes. */
export function explain(error: unknown, doing: string, more?: string): UserError {
  const refusal = error as Partial<Refusal>;
  const said = `Cannot ${refusal.operation ?? doing}: ${refusal.code ?? String(error)}.`;
  const detail = (refusal.detail ?? '').trim().split('\n').slice(-1)[0] ?? '';
  const tooOld = kernelTooOld();
  if (tooOld !== undefined)
    return new UserError(`${tooOld} Upgrade the kernel. ${said}`, { cause: error });
  const parts = [said, detail, adviceFor(refusal, said, more === undefined ? [] : [more])];
  return new UserError(parts.filter((part) => part !== '').join(' '), { cause: error });
}

function adviceFor({ code, detail = '' }: Partial<Refusal>, said: string, more: string[]): string {
  if (code === 'EPERM' || code === 'EACCES') {
    if (said.includes('perf event'))
      return 'With probe.compat_calls: false the agent needs CAP_SYS_ADMIN where kernel.perf_event_paranoid is 3.';
    return `The agent needs root, or ${[...CAPABILITIES, ...more].join(', ')}. In a container it also needs the host’s pid namespace. If it has all of this, kernel lockdown (confidentiality) forbids BPF.`;
  }
  if (/(kernel|vmlinux) BTF/i.test(detail) || code === 'ESRCH')
    return 'The kernel has no BTF (/sys/kernel/btf/vmlinux): use one built with CONFIG_DEBUG_INFO_BTF=y, 5.15 or newer.';
  if (code === 'ENOENT' && said.includes('probe object'))
    return 'The native part is not built: run "npm run build:native".';
  return 'Run "varvel doctor" to see what this host lacks.';
}

/** What `ask` returns; throws what `explain` makes of its error. */
export function explained<T>(doing: string, ask: () => T): T {
  try {
    return ask();
  } catch (error) {
    throw explain(error, doing);
  }
}

/** Opens and changes of files; the others are the loader's groups. */
type RefusedGroup = 'files' | 'calls' | 'memory' | 'namespaces' | 'unix' | 'cgroup';

/** What is refused, as people are told, and by which functions of the kernel; undefined: by hooks of cgroup v2. */
const REFUSED: Readonly<
  Record<RefusedGroup, readonly [what: string, functions: string | undefined]>
> = {
  files: ['to open or change files', 'security_file_open and security_path_*'],
  calls: ['calls by who makes them', 'security_*'],
  cgroup: ['binds and device nodes by cgroup v2', undefined],
  unix: ['connections to unix sockets', 'security_unix_stream_connect'],
  memory: ['to make memory executable', 'security_mmap_file and security_file_mprotect'],
  namespaces: ['user namespaces', 'security_create_user_ns, since Linux 6.1'],
};

/** Loads what refuses such calls. Throws UserError if the kernel does not let it. */
export function refusing(group: RefusedGroup, load: () => void): void {
  const [what, functions] = REFUSED[group];
  try {
    load();
  } catch (error) {
    const { code = String(error) } = error as Partial<Refusal>;
    const why =
      functions === undefined
        ? 'It needs cgroup v2 mounted, and the agent CAP_NET_ADMIN besides CAP_BPF and CAP_PERFMON'
        : `This kernel lets no BPF program change what its functions return (fmod_ret on ${functions}), or the agent has not CAP_BPF and CAP_PERFMON`;
    throw new UserError(`Cannot refuse ${what}: ${code}. ${why}`, { cause: error });
  }
}
