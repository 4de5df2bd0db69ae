/** An address as numbers: four 32-bit words, an IPv4 address in the last one. */
export interface IpAddress {
  readonly version: 4 | 6;
  readonly words: readonly [number, number, number, number];
}

/** An address block in CIDR notation. */
export interface IpNet {
  readonly address: IpAddress;
  /** Leading bits that count, within the version's 32 or 128. */
  readonly prefixLength: number;
}

/**
 * Reads an IPv4 or IPv6 literal; undefined when it is neither. An IPv4 address mapped into IPv6
 * (`::ffff:1.2.3.4`) is the IPv4 address: that is where the packets go.
 */
export function parseIp(text: string): IpAddress | undefined {
  if (!text.includes(':')) {
    const word = parseIpv4(text);
    return word === undefined ? undefined : { version: 4, words: [0, 0, 0, word] };
  }
  const words = parseIpv6(text);
  if (words === undefined) return undefined;
  if (words[0] === 0 && words[1] === 0 && words[2] === 0xffff) {
    return { version: 4, words: [0, 0, 0, words[3]] };
  }
  return { version: 6, words };
}

/** Reads `10.0.0.0/8` or `fd00::/8`; undefined without a prefix length, with one that is too long and for `::/0`. */
export function parseNet(text: string): IpNet | undefined {
  const match = /^([^/]+)\/(\d{1,3})$/.exec(text);
  if (match === null) return undefined;
  const [, literal = '', length = ''] = match;
  const address = parseIp(literal);
  const prefixLength = Number(length);
  if (address === undefined) return undefined;
  if (address.version === 4 && literal.includes(':')) {
    // A block of mapped addresses: its length counts the 96 bits before them.
    if (prefixLength < 96 || prefixLength > 128) return undefined;
    return { address, prefixLength: prefixLength - 96 };
  }
  // All of IPv6 is no network to Falco (S19).
  if (address.version === 6 && prefixLength === 0) return undefined;
  if (prefixLength > (address.version === 4 ? 32 : 128)) return undefined;
  return { address, prefixLength };
}

/** Is the address in the block? Never when the versions differ. */
export function netContains(net: IpNet, address: IpAddress): boolean {
  if (net.address.version !== address.version) return false;
  const isIpv4 = address.version === 4;
  // An IPv4 address is in the last word only.
  const bits = isIpv4 ? 96 + net.prefixLength : net.prefixLength;
  for (let word = isIpv4 ? 3 : 0; word < 4; word++) {
    const left = bits - word * 32;
    if (left <= 0) return true;
    const mask = left >= 32 ? -1 : -1 << (32 - left);
    const difference = (net.address.words[word] ?? 0) ^ (address.words[word] ?? 0);
    if ((difference & mask) !== 0) return false;
  }
  return true;
}

/** Up to so many blocks are looked at one by one. */
const FEW_NETS = 8;

/**
 * Whether an address is in one of the blocks. Takes one look for each length of prefix that there is, at most 33 for IPv4 and
 * 129 for IPv6, however many blocks there are.
 */
export function anyNetContains(nets: readonly IpNet[]): (address: IpAddress) => boolean {
  if (nets.length <= FEW_NETS) {
    return (address) => {
      for (const net of nets) if (netContains(net, address)) return true;
      return false;
    };
  }
  /** By version and length, the blocks' own bits. */
  const byLength: Readonly<Record<4 | 6, Map<number, Set<number | string>>>> = {
    4: new Map(),
    6: new Map(),
  };
  for (const { address, prefixLength } of nets) {
    const lengths = byLength[address.version];
    const blocks = lengths.get(prefixLength) ?? new Set();
    lengths.set(prefixLength, blocks.add(leadingBits(address, prefixLength)));
  }
  return (address) => {
    for (const [length, blocks] of byLength[address.version])
      if (blocks.has(leadingBits(address, length))) return true;
    return false;
  };
}

/** Of an IPv4 address as a number. */
function leadingBits({ version, words }: IpAddress, length: number): number | string {
  const masked = (word: number, bits: number): number =>
    bits <= 0 ? 0 : bits >= 32 ? word >>> 0 : (word & (-1 << (32 - bits))) >>> 0;
  if (version === 4) return masked(words[3], length);
  return words.map((word, index) => masked(word, length - index * 32)).join();
}

/** One spelling for each address: dotted for IPv4, RFC 5952 for IPv6. */
export function formatIp(address: IpAddress): string {
  const { words } = address;
  if (address.version === 4) {
    const word = words[3];
    return `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`;
  }
  const groups = words.flatMap((word) => [word >>> 16, word & 0xffff]);
  const hex = groups.map((group) => group.toString(16));
  let best = { start: 0, length: 1 };
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === 0) length += 1;
    if (length > best.length) best = { start, length };
  }
  if (best.length < 2) return hex.join(':');
  return `${hex.slice(0, best.start).join(':')}::${hex.slice(best.start + best.length).join(':')}`;
}

function parseIpv4(text: string): number | undefined {
  // No leading zeros, as inet_pton(3): some read them as octal.
  const match = /^(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})$/.exec(
    text,
  );
  if (match === null) return undefined;
  let word = 0;
  for (const part of match.slice(1)) {
    const byte = Number(part);
    if (byte > 255) return undefined;
    word = word * 256 + byte;
  }
  return word;
}

function parseIpv6(text: string): [number, number, number, number] | undefined {
  if (text.length > 45) return undefined;
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0] ?? '', halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1] ?? '', true) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail];
  const word = (index: number): number =>
    (groups[index * 2] ?? 0) * 65536 + (groups[index * 2 + 1] ?? 0);
  return [word(0), word(1), word(2), word(3)];
}

/** `last`: the groups end the address, so that an IPv4 address may stand for the last two. */
function parseGroups(text: string, last: boolean): number[] | undefined {
  if (text === '') return [];
  const parts = text.split(':');
  const groups: number[] = [];
  for (const [index, part] of parts.entries()) {
    if (last && part.includes('.') && index === parts.length - 1) {
      const word = parseIpv4(part);
      if (word === undefined) return undefined;
      groups.push(word >>> 16, word & 0xffff);
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(Number.parseInt(part, 16));
    else return undefined;
  }
  return groups;
}
