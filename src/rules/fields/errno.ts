import { constants } from 'node:os';

/** Those of Linux (asm-generic/errno.h) that Node.js does not list. */
const MORE = `
ENOTBLK:15 ECHRNG:44 EL2NSYNC:45 EL3HLT:46 EL3RST:47 ELNRNG:48 EUNATCH:49 ENOCSI:50 EL2HLT:51
EBADE:52 EBADR:53 EXFULL:54 ENOANO:55 EBADRQC:56 EBADSLT:57 EBFONT:59 ENONET:64 ENOPKG:65
EREMOTE:66 EADV:68 ESRMNT:69 ECOMM:70 EDOTDOT:73 ENOTUNIQ:76 EBADFD:77 EREMCHG:78 ELIBACC:79
ELIBBAD:80 ELIBSCN:81 ELIBMAX:82 ELIBEXEC:83 ERESTART:85 ESTRPIPE:86 EUSERS:87
ESOCKTNOSUPPORT:94 EPFNOSUPPORT:96 ESHUTDOWN:108 ETOOMANYREFS:109 EHOSTDOWN:112 EUCLEAN:117
ENOTNAM:118 ENAVAIL:119 EISNAM:120 EREMOTEIO:121 ENOMEDIUM:123 EMEDIUMTYPE:124 ENOKEY:126
EKEYEXPIRED:127 EKEYREVOKED:128 EKEYREJECTED:129 EOWNERDEAD:130 ENOTRECOVERABLE:131 ERFKILL:132
`;

const NAMES: ReadonlyMap<number, string> = new Map([
  // EWOULDBLOCK is EAGAIN and EOPNOTSUPP is ENOTSUP: Linux's own names come first.
  ...Object.entries(constants.errno)
    .filter(([name]) => name !== 'EWOULDBLOCK' && name !== 'ENOTSUP')
    .map(([name, number]): [number, string] => [number, name]),
  ...MORE.trim()
    .split(/\s+/)
    .map((entry): [number, string] => {
      const [name = '', number] = entry.split(':');
      return [Number(number), name];
    }),
]);

/** `ENOENT` of -2, as system calls return it; undefined for what is no error or has no name. */
export function errorName(result: number): string | undefined {
  return NAMES.get(-result);
}
