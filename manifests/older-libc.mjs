// node manifests/older-libc.mjs needs FILE…     prints the newest C library (glibc 2.N) that any of these programs and libraries needs
// node manifests/older-libc.mjs relax FILE…     lets each library run with one that lacks what `ebpf_loader.node` brings along
//
// Debian's libbpf and libelf need glibc 2.38 only for the names in BROUGHT, which the addon provides too
// (native/addon/older-libc.c). `relax` marks that need as weak in the file's version table: the loader then continues without it
// and finds the names in the addon. A file that needs anything else of that version is not changed. ELF: gabi, "Symbol Versioning"
// of the LSB.
import { readFileSync, writeFileSync } from 'node:fs';

const BROUGHT = [
  '__isoc23_strtol',
  '__isoc23_strtoul',
  '__isoc23_strtoull',
  '__isoc23_sscanf',
  '__isoc23_fscanf',
];
const SHT_DYNSYM = 11;
const SHT_GNU_VERNEED = 0x6ffffffe;
const SHT_GNU_VERSYM = 0x6fffffff;
const VER_FLG_WEAK = 2;

/** The versions that a 64-bit little-endian ELF file needs of its libraries, and the symbols that need them. */
function versionsOf(file, bytes) {
  if (bytes.readUInt32BE(0) !== 0x7f454c46 || bytes[4] !== 2 || bytes[5] !== 1)
    throw new Error(`${file} is no 64-bit little-endian ELF file`);
  const [start, size, count] = [
    Number(bytes.readBigUInt64LE(40)),
    bytes.readUInt16LE(58),
    bytes.readUInt16LE(60),
  ];
  const sections = Array.from({ length: count }, (_, n) => {
    const at = start + n * size;
    return {
      type: bytes.readUInt32LE(at + 4),
      offset: Number(bytes.readBigUInt64LE(at + 24)),
      bytes: Number(bytes.readBigUInt64LE(at + 32)),
      link: bytes.readUInt32LE(at + 40),
    };
  });
  const nameAt = (offset) => bytes.toString('latin1', offset, bytes.indexOf(0, offset));
  const needs = sections.find(({ type }) => type === SHT_GNU_VERNEED);
  const versym = sections.find(({ type }) => type === SHT_GNU_VERSYM);
  const dynsym = sections.find(({ type }) => type === SHT_DYNSYM);
  if (needs === undefined || versym === undefined || dynsym === undefined) return [];
  const symbols = new Map();
  for (let n = 0; n < dynsym.bytes / 24; n++) {
    const index = bytes.readUInt16LE(versym.offset + 2 * n) & 0x7fff;
    // 0 and 1 are the file's own symbols.
    if (index <= 1) continue;
    const name = nameAt(sections[dynsym.link].offset + bytes.readUInt32LE(dynsym.offset + 24 * n));
    if (!symbols.has(index)) symbols.set(index, []);
    symbols.get(index).push(name);
  }
  const versions = [];
  for (let at = needs.offset, next = -1; next !== 0; at += next) {
    const entries = bytes.readUInt16LE(at + 2);
    next = bytes.readUInt32LE(at + 12);
    for (let n = 0, entry = at + bytes.readUInt32LE(at + 8); n < entries; n++) {
      versions.push({
        name: nameAt(sections[needs.link].offset + bytes.readUInt32LE(entry + 8)),
        flagsAt: entry + 4,
        isWeak: (bytes.readUInt16LE(entry + 4) & VER_FLG_WEAK) !== 0,
        symbols: symbols.get(bytes.readUInt16LE(entry + 6) & 0x7fff) ?? [],
      });
      entry += bytes.readUInt32LE(entry + 12);
    }
  }
  return versions;
}

/** N of glibc 2.N; 0 for anything else. */
const minorOf = (name) => Number(/^GLIBC_2\.(\d+)/.exec(name)?.[1] ?? 0);

const [, , what, ...files] = process.argv;
let newest = 0;
for (const file of files) {
  const bytes = readFileSync(file);
  for (const version of versionsOf(file, bytes)) {
    if (what === 'needs') {
      if (!version.isWeak) newest = Math.max(newest, minorOf(version.name));
    } else if (
      version.name === 'GLIBC_2.38' &&
      version.symbols.every((name) => BROUGHT.includes(name))
    ) {
      bytes.writeUInt16LE(bytes.readUInt16LE(version.flagsAt) | VER_FLG_WEAK, version.flagsAt);
      writeFileSync(file, bytes);
    }
  }
}
if (what === 'needs') console.log(`2.${newest}`);
