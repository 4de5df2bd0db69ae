import type { Container } from '../apps/identity.ts';
import type { Detection } from '../rules/detection.ts';
import { shorten } from './escape.ts';
import { EVIDENCE_RULE } from './notice-rules.ts';
import { notice } from './notices.ts';
import type { Delivery } from './stream.ts';

/** What was gathered about a process before a response to what it did. */
export interface EvidenceFound {
  readonly container: Container;
  /** Of the detection: its rule and time (Unix ns), and its number and id; undefined: it was counted, or its line is late. */
  readonly rule: string;
  readonly timeNs: bigint;
  readonly line: Pick<Delivery, 'seq' | 'id'> | undefined;
  /** `kill done, isolate done`. */
  readonly responses: string;
  readonly process: { readonly pid: number; readonly name: string };
  /** What could not be had, and why. */
  readonly missing: readonly string[];
  readonly program: FoundFile;
  /** The file whose open was refused. */
  readonly file: FoundFile | undefined;
  /** `PID NAME PATH` of the process and its ancestors in the container. */
  readonly processes: readonly string[];
  readonly open: number | undefined;
  readonly files: readonly string[];
  readonly sockets: readonly string[];
}

export interface FoundFile {
  readonly path: string;
  readonly digest: { readonly sha256: string; readonly bytes: number } | undefined;
}

/**
 * The line of evidence. Its time is that of the detection: who reads can join the two by time and rule. Of each list it has what fits;
 * `evidence.open` says how many descriptors there were.
 */
export function evidenceNotice(found: EvidenceFound): Detection {
  const { container, rule, timeNs, line, process, program, file } = found;
  const which = line === undefined ? '' : `line ${line.seq}, `;
  const partly = found.missing.length === 0 ? '' : ', not all of it';
  return {
    ...notice(EVIDENCE_RULE, timeNs, container, {
      output: `Evidence of the process ${process.pid} (${process.name}) for ${which}"${rule}"${partly}`,
      outputFields: {
        'evidence.of': line?.seq ?? null,
        'evidence.id': line?.id ?? null,
        'evidence.rule': rule,
        'evidence.responses': found.responses,
        'evidence.missing': fitting(found.missing, MISSING_BYTES),
        'evidence.exe': cut(program.path),
        'evidence.exe_sha256': program.digest?.sha256 ?? null,
        'evidence.exe_bytes': program.digest?.bytes ?? null,
        ...fileFields(file),
        'evidence.processes': fitting(found.processes, LIST_BYTES),
        'evidence.sockets': fitting(found.sockets, LIST_BYTES),
        'evidence.open': found.open ?? null,
        'evidence.files': fitting(found.files, LIST_BYTES),
      },
    }),
    priority: 'Informational',
  };
}

const fileFields = (file: FoundFile | undefined): Detection['outputFields'] =>
  file === undefined
    ? {}
    : {
        'evidence.file': cut(file.path),
        'evidence.file_sha256': file.digest?.sha256 ?? null,
        'evidence.file_bytes': file.digest?.bytes ?? null,
      };

/** Bytes of a list, and of one of its entries: with them a line of JSON has some 1,500, and one of text less. */
const LIST_BYTES = 256;
const MISSING_BYTES = 320;
const ENTRY_BYTES = 128;

const cut = (text: string): string => shorten(text, ENTRY_BYTES, String).encoded;

/** The first entries that fit, each shortened; null without any. */
function fitting(entries: readonly string[], bytes: number): readonly string[] | null {
  const found: string[] = [];
  let left = bytes;
  for (const entry of entries) {
    const short = cut(entry);
    left -= Buffer.byteLength(short) + 3;
    if (left < 0) break;
    found.push(short);
  }
  return found.length === 0 ? null : found;
}
