import type { ProcessStatus } from '../../context/process-usage.ts';
import { field, fieldWithReader } from './field.ts';
import type { FieldDefinition, View } from './field.ts';

// What a process has in use when the rule looks, some ms after the event; absent once it has ended.

const status =
  (what: keyof ProcessStatus, factor = 1) =>
  (view: View): number | undefined => {
    const found = view.usage.statusOf(view.process);
    return found && found[what] * factor;
  };

const openFiles = (view: View): number | undefined => view.usage.openFilesOf(view.process);
const fileLimit = (view: View): number | undefined => view.usage.fileLimitOf(view.process);

export const USAGE_FIELDS: readonly FieldDefinition[] = [
  field('proc.fdopencount', 'UINT64', 'Open descriptors. From Linux 6.2.', openFiles),
  field('proc.fdlimit', 'INT64', 'Limit of open descriptors.', fileLimit),
  field('proc.fdusage', 'DOUBLE', 'Open descriptors in percent of the limit.', (v) => {
    const [open, limit] = [openFiles(v), fileLimit(v)];
    if (open === undefined || limit === undefined) return undefined;
    return limit <= 0 ? 0 : (open * 100) / limit;
  }),
  field('proc.vmsize', 'UINT64', 'Virtual memory in kB.', status('vmSizeKb')),
  field('proc.vmrss', 'UINT64', 'Resident memory in kB.', status('vmRssKb')),
  field('proc.vmswap', 'UINT64', 'Swapped memory in kB.', status('vmSwapKb')),
  field('proc.nthreads', 'UINT64', 'Threads, the leader included.', status('threads')),
  field('proc.nchilds', 'UINT64', 'Threads but the leader.', (v) => {
    const threads = status('threads')(v);
    return threads && threads - 1;
  }),
];

/** Of other threads they are 0, as in Falco. */
const ofMain =
  (read: (view: View) => number | undefined) =>
  (view: View): number | undefined =>
    view.event.tid === view.event.pid ? read(view) : 0;

export const THREAD_USAGE_FIELDS: readonly FieldDefinition[] = [
  ...(['vmsize', 'vmrss'] as const).flatMap((name) => {
    const what = name === 'vmsize' ? 'vmSizeKb' : 'vmRssKb';
    const words = name === 'vmsize' ? 'Virtual' : 'Resident';
    return [
      field(
        `thread.${name}`,
        'UINT64',
        `${words} memory in kB; 0 but for the first thread.`,
        ofMain(status(what)),
      ),
      field(
        `thread.${name}.b`,
        'UINT64',
        `${words} memory in bytes; 0 but for the first thread.`,
        ofMain(status(what, 1024)),
      ),
    ];
  }),
];

/** In cgroup v2 all controllers have one path. */
const cgroupOf = (view: View, controller: string): string | undefined => {
  const paths = view.usage.cgroupsOf(view.process);
  return paths?.get(controller) ?? paths?.get('');
};

export const CGROUP_FIELDS: readonly FieldDefinition[] = [
  field('thread.pfmajor', 'UINT64', 'Major page faults of the process.', (v) => {
    return v.usage.faultsOf(v.process)?.major;
  }),
  field('thread.pfminor', 'UINT64', 'Minor page faults of the process.', (v) => {
    return v.usage.faultsOf(v.process)?.minor;
  }),
  field(
    'thread.cgroups',
    'CHARBUF',
    "All cgroups as one text: 'cpu=/a memory=/b', and 'unified=/c' for cgroup v2.",
    (v) => {
      const paths = v.usage.cgroupsOf(v.process);
      return paths && Array.from(paths, ([name, path]) => `${name || 'unified'}=${path}`).join(' ');
    },
  ),
  fieldWithReader(
    'thread.cgroup',
    'CHARBUF',
    'The cgroup of one controller: thread.cgroup.cpuacct.',
    (name = '') =>
      /^[a-zA-Z_]+$/.test(name)
        ? { shape: 'single', read: (v) => cgroupOf(v, name) }
        : { problem: `takes a controller such as cpuacct, not '${name}'` },
    {
      argument: 'required',
      dotArgument: true,
      dotLength: (text) => /^[a-zA-Z_]*/.exec(text)?.[0].length ?? 0,
    },
  ),
];
