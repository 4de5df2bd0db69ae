// Who holds something of BPF in the kernel.
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';

/** BPF programs, maps and links that some process holds, by its pid: what an attached probe looks like. */
export function bpfHolders(): Map<number, number> {
  const holders = new Map<number, number>();
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    let count = 0;
    try {
      for (const fd of readdirSync(`/proc/${pid}/fd`)) {
        try {
          if (/bpf[-_](link|prog|map)/.test(readlinkSync(`/proc/${pid}/fd/${fd}`))) count++;
        } catch {
          // closed meanwhile
        }
      }
    } catch {
      // ended meanwhile
    }
    if (count > 0) holders.set(Number(pid), count);
  }
  return holders;
}

/** Of those, who has the text in this file below /proc/PID: other tests may run beside, with agents of their own. */
export function bpfHoldersWith(file: 'cgroup' | 'cmdline', text: string): number[] {
  return [...bpfHolders().keys()].filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/${file}`, 'latin1').includes(text);
    } catch {
      return false; // ended meanwhile
    }
  });
}
