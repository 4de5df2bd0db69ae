import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { decodeText } from '../../../src/shared/text.ts';
import { holds } from '../../support/rules-load.ts';
import {
  makeConnect,
  makeRefused,
  makeEvent,
  makeProcess,
  makeSubject,
  openForRead,
  RUNTIME,
} from '../../support/rules-subject.ts';

const open = makeSubject(openForRead('/etc/ssl/Certs/ca.pem'));
const connectTo = (remoteIp: string, localIp = '172.17.0.2', family = 2) =>
  makeSubject(makeEvent('connect', { call: makeConnect({ remoteIp, localIp, family }) }));

function all(subject: ReturnType<typeof makeSubject>, conditions: Record<string, boolean>): void {
  for (const [condition, expected] of Object.entries(conditions)) {
    assert.equal(holds(condition, subject), expected, condition);
  }
}

describe('operators', () => {
  test('E1 absent is false for every operator, exists says which', () => {
    const orphan = makeSubject(openForRead('/x'), { process: makeProcess() });
    all(orphan, {
      'proc.pname = x': false,
      'proc.pname != x': false,
      'not proc.pname != x': true,
      'proc.pname in (x)': false,
      'proc.pname exists': false,
      'proc.name exists': true,
      'proc.ppid.duration > 0': false,
      'fd.sip != 1.2.3.4': false,
    });
  });

  test('E2 E3 text operators', () => {
    all(open, {
      'fd.name = /etc/ssl/Certs/ca.pem': true,
      'fd.name == /etc/ssl/Certs/ca.pem': true,
      'fd.name contains ssl/C': true,
      'fd.name contains ssl/c': false,
      'fd.name icontains SSL/c': true,
      'fd.name startswith /etc/': true,
      'fd.name startswith etc': false,
      'fd.name endswith .pem': true,
      'fd.name contains ""': true,
      'fd.name glob /etc/*.pem': true,
      'fd.name glob /etc/*/Certs/c?.pem': true,
      'fd.name glob "/etc/ssl/[A-D]erts/*"': true,
      'fd.name glob "/etc/ssl/[!A-D]erts/*"': false,
      'fd.name glob "/etc/ssl/[[:upper:]]erts/ca.pem"': true,
      'fd.name glob /etc': false,
      'fd.name glob ""': false,
      'fd.name iglob ""': false,
      'fd.name glob "/etc/{ssl,x}/*"': false,
      'fd.name glob "/etc/ssl/Certs\\\\/ca.pem"': true,
      'fd.name glob "/etc/*\\\\*"': false,
      'fd.name glob /ETC/*': false,
      'fd.name iglob /ETC/*/certs/*': true,
      'proc.name < 5': false,
      'proc.name > 5': true,
    });
  });

  test('S10: a glob that ends with a backslash matches nothing', () => {
    all(makeSubject(openForRead('/x\\')), {
      'fd.name endswith \\': true,
      'fd.name glob *\\': false,
      'fd.name iglob *\\': false,
      'fd.name glob *\\\\': true,
    });
  });

  test('E2 S10 pmatch', () => {
    all(open, {
      'fd.name pmatch (/etc)': true,
      'fd.name pmatch (etc)': true,
      'fd.name pmatch (//etc)': true,
      'fd.name pmatch (/etc/)': true,
      'fd.name pmatch (/et)': false,
      'fd.name pmatch (/etc/ssl/Certs/ca.pem)': true,
      'fd.name pmatch (/etc/ssl/Certs/ca.pem/x)': false,
      'fd.name pmatch (/)': true,
      'fd.name pmatch ("")': true,
      'fd.name pmatch (/usr, /etc/*/Certs)': true,
      'fd.name pmatch (/*/Certs)': false,
      'fd.name pmatch ()': false,
      'fd.name pmatch (/etc/ss?)': true,
      'fd.name pmatch (/etc/[s]sl)': true,
      'fd.name pmatch (/usr, /lib, etc)': true,
    });
  });

  test('E2 S16 in and intersects on single values', () => {
    all(open, {
      'proc.name in (a, node)': true,
      'proc.name in (a, b, c, d, e, node)': true,
      'proc.name in (a, b, c, d, e, f)': false,
      'proc.name in ()': false,
      'proc.name intersects (a, node)': true,
      'fd.num in (3, 4)': true,
      'fd.num in (1, 2, 4, 5, 6, 7)': false,
      'proc.duration in (100000000000)': true,
    });
  });

  test('E4 modifiers', () => {
    all(open, {
      'proc.name = anyof (a, node)': true,
      'proc.name = anyof': false,
      'proc.name != anyof (a, node)': true,
      'proc.name != allof (a, node)': false,
      'proc.name != allof (a, b)': true,
      'proc.name regex oneof ("n.*", "x.*")': true,
      'proc.pname = anyof (a, b)': false,
      'fd.name contains oneof ()': false,
      'fd.name startswith anyof (/usr/, /etc/)': true,
      'fd.name contains allof (etc, ssl)': true,
      'fd.name contains allof (etc, nope)': false,
      'fd.name contains oneof (etc, nope)': true,
      'fd.name contains oneof (etc, ssl)': false,
      'fd.name contains anyof ()': false,
      'fd.name contains allof ()': false,
      'fd.name glob anyof (/usr/*, /etc/*)': true,
    });
  });

  test('E5 S2 S3 either end of a connection', () => {
    const subject = connectTo('93.184.216.34');
    all(subject, {
      'fd.ip = 93.184.216.34': true,
      'fd.ip = 172.17.0.2': true,
      'fd.ip != 93.184.216.34': false,
      'fd.ip != 1.1.1.1': true,
      'fd.ip in (1.1.1.1, 172.17.0.2)': true,
      'fd.ip intersects (1.1.1.1, 93.184.216.34)': true,
      'fd.ip != ::1': true,
      'fd.net = 172.16.0.0/12': true,
      'fd.net != 172.16.0.0/12': false,
      'fd.net in (10.0.0.0/8, 93.0.0.0/8)': true,
      'fd.snet in (172.16.0.0/12)': false,
      'fd.cnet in (10.0.0.0/8, 172.16.0.0/12)': true,
      'fd.snet = 0.0.0.0/0': true,
      'fd.snet != ::/1': true,
      'fd.net intersects (10.0.0.0/8, 93.0.0.0/8)': true,
      'fd.net exists': true,
      'fd.port = 443': true,
      'fd.port = 40000': true,
      'fd.port != 443': false,
      'fd.sport = 443': true,
      'fd.cport = 443': false,
      'fd.lport = 40000': true,
      'fd.rport = 443': true,
    });
    const unix = makeSubject(
      makeEvent('connect', {
        call: makeConnect({ family: 1, protocol: 0, unixPath: '/run/docker.sock' }),
      }),
    );
    all(unix, {
      'fd.ip exists': true,
      'fd.port exists': true,
      'fd.net exists': true,
      'fd.port != 1': false,
      'fd.net != 10.0.0.0/8': false,
      'fd.sip exists': false,
      'fd.sport exists': false,
      'fd.ip != 1.1.1.1': false,
      'fd.name = /run/docker.sock': true,
      'fd.type = unix': true,
    });
  });

  test('IPv6, and IPv4 mapped into it, whatever the spelling', () => {
    all(connectTo('fd00:ec2::254', '::1', 10), {
      'fd.sip = "fd00:0ec2:0:0::0254"': true,
      'fd.snet = "fd00:ec2::/32"': true,
      'fd.typechar = 6': true,
    });
    all(connectTo('::ffff:169.254.169.254', '::ffff:10.0.0.1', 10), {
      'fd.sip = 169.254.169.254': true,
      'fd.snet = 169.254.0.0/16': true,
      'fd.typechar = 4': true,
      'fd.name = "10.0.0.1:40000->169.254.169.254:443"': true,
    });
  });

  test('E6 S4 any ancestor', () => {
    const chain = makeSubject(openForRead('/x'), {
      process: makeProcess({
        image: { name: 'cat' },
        parent: makeProcess({
          image: { name: 'sh' },
          parent: makeProcess({ image: { name: 'nginx' }, parent: RUNTIME }),
        }),
      }),
    });
    all(chain, {
      'proc.aname = nginx': true,
      'proc.aname = cat': false,
      'proc.aname[0] = cat': true,
      'proc.aname[1] = sh': true,
      'proc.aname[2] = nginx': true,
      'proc.aname[3] = containerd-shim': true,
      'proc.aname[4] exists': false,
      'proc.aname[4] != x': false,
      'proc.aname != sh': true,
      'proc.aname in (a, b, c, d, nginx)': true,
      'proc.aname startswith anyof (x, ngi)': true,
      'proc.aname = allof (sh, nginx)': true,
      'proc.aname = allof (sh, bash)': false,
      'proc.aname = oneof (sh, nginx)': false,
      'proc.aname = oneof (bash, nginx)': true,
      'proc.aname exists': true,
      'proc.aexepath endswith containerd-shim': true,
      'proc.apid = 900': true,
      'proc.acmdline contains server': true,
    });
  });

  test('E8 results', () => {
    const failed = makeSubject(
      makeEvent('openat', {
        result: -2,
        open: { ...openForRead('/x').open!, file: undefined },
        params: { fd: -2 },
      }),
    );
    all(failed, {
      'evt.res = ENOENT': true,
      'evt.rawres = -2': true,
      'evt.rawres < 0': true,
      'evt.failed = true': true,
      'fd.num = -1': true,
      'fd.typechar = f': true,
      'evt.res startswith E': true,
      'evt.arg.fd = ENOENT': true,
      'evt.rawarg.fd = -2': true,
    });
    all(open, { 'evt.res = SUCCESS': true, 'evt.failed = false': true });
    all(makeSubject(makeEvent('procexit', { exit: { status: 0 } })), {
      'evt.res exists': false,
      'evt.rawres exists': false,
    });
  });

  test('S1 a missing argument is empty', () => {
    all(open, {
      'proc.args[0] = server.js': true,
      'proc.args[99] exists': true,
      'proc.args[99] = ""': true,
    });
  });

  test('E7 S10 S11 regex is POSIX and matches the whole value', () => {
    all(open, {
      'fd.name regex "/etc/.*"': true,
      'fd.name regex "etc"': false,
      'fd.name regex "^/etc/(ssl|tls)/[A-Z][a-z]+/ca\\\\.pem$"': true,
      'fd.name regex "/[[:lower:]]+/ssl/[[:alpha:]]{5}/.*"': true,
      'fd.name regex ""': false,
      'fd.name glob ""': false,
      // Of an empty value both are all there is.
      'proc.args[99] regex ""': true,
      'proc.args[99] glob ""': true,
      'fd.name regex "/ETC/.*"': false,
      'not fd.name regex "/tmp/.*"': true,
    });
    const orphan = makeSubject(openForRead('/x'), { process: makeProcess() });
    all(orphan, { 'proc.pname regex ".*"': false });
    const lines = makeSubject(openForRead('/a\nb'));
    // A newline is no end of the value.
    all(lines, { 'fd.name regex "/a"': false, 'fd.name regex "/a.b"': false });
  });

  test('E7 S9 control characters and bytes that are not UTF-8 are compared as they came', () => {
    const name = decodeText(Buffer.from('/tmp/a\n\x1b\xff\xc3\xa9', 'latin1'));
    all(makeSubject(openForRead(name)), {
      'fd.name contains "a\\n\\x1b"': true,
      'fd.name endswith "\\xff\\xc3\\xa9"': true,
      'fd.name endswith "é"': true,
      'fd.name contains "\ufffd"': false,
      'fd.name contains "\\xc3"': false,
      'len(fd.name) = 11': true,
      'fd.name regex "/tmp/a\\n..é"': true,
      'fd.name regex "/tmp/.*"': false,
    });
  });

  test('E7 `?` and sets of a glob take one byte, as in the C locale', () => {
    const name = decodeText(Buffer.from('/é\xff', 'utf8'));
    all(makeSubject(openForRead(name)), {
      'fd.name glob "/???\\xbf"': true,
      'fd.name glob "/??*"': true,
      'fd.name glob "/?*ÿ"': true,
      'fd.name glob "/[é][é]ÿ"': true,
      'fd.name glob "/?ÿ"': false,
      'fd.name iglob "/É*"': false,
    });
  });

  test('E3 case is folded for ASCII only, order is by bytes', () => {
    all(makeSubject(openForRead('/K\u212a\u00c9')), {
      'fd.name icontains "/k\u212a"': true,
      'fd.name icontains "/kk"': false,
      'fd.name icontains "\u00e9"': false,
      'fd.name iglob "/k*"': true,
    });
    const named = makeProcess({ image: { name: '/\uff5e' } });
    all(makeSubject(openForRead('/\u{1f600}'), { process: named }), {
      // U+1F600 comes after U+FF5E by bytes, before it by UTF-16 units.
      'fd.name > val(proc.name)': true,
      'fd.name < val(proc.name)': false,
      'fd.name glob "/????"': true,
      'fd.name regex "/."': true,
    });
  });

  test('S19 all of IPv4 is not IPv6', () => {
    all(connectTo('93.184.216.34'), { 'fd.net = 0.0.0.0/0': true });
    all(connectTo('fd00::1', '::1', 10), {
      'fd.net = 0.0.0.0/0': false,
      'fd.net != 0.0.0.0/0': true,
      'fd.sip != 1.2.3.4': true,
    });
  });

  test('S18 a failed connect has no address', () => {
    const refused = makeSubject(
      makeEvent('connect', {
        result: -111,
        call: makeRefused(3),
        params: { res: -111 },
      }),
    );
    all(refused, {
      'evt.res = ECONNREFUSED': true,
      'evt.arg.res = ECONNREFUSED': true,
      'evt.arg[0] = ECONNREFUSED': true,
      'evt.rawarg.res = -111': true,
      'fd.sip exists': false,
      'fd.sip != 1.1.1.1': false,
      'fd.net != 10.0.0.0/8': false,
    });
  });

  test('S19 S20 what is unset on a host', () => {
    all(makeSubject(openForRead('/x'), { process: makeProcess({ loginUid: -1 }) }), {
      'user.loginuid = -1': true,
      'user.loginuid = 4294967295': false,
      'user.loginname = "<NA>"': true,
    });
  });

  test('S20 evt.dir always is <', () => {
    all(open, { 'evt.dir = "<"': true, 'evt.dir = ">"': false });
  });

  test('a hostile value cannot make a regex slow', () => {
    const started = process.hrtime.bigint();
    const subject = makeSubject(openForRead(`/${'a'.repeat(4000)}b`));
    assert.equal(holds('fd.name regex "/(a*)*(a|aa)+c"', subject), false);
    assert.ok(process.hrtime.bigint() - started < 5_000_000_000n);
  });

  test('a glob that is a field has the room of a constant', () => {
    const glob = (pattern: string): boolean => {
      const process = makeProcess({ image: { name: pattern } });
      return holds('fd.name glob val(proc.name)', makeSubject(openForRead('/etc/x'), { process }));
    };
    assert.equal(glob('/etc/*'), true);
    assert.equal(glob('/etc/?'.padEnd(255, '*')), true);
    assert.equal(glob('/etc/?'.padEnd(256, '*')), false);
  });

  test('a hostile path cannot make a glob slow', () => {
    const started = process.hrtime.bigint();
    const subject = makeSubject(openForRead(`/${'a'.repeat(4000)}`));
    assert.equal(holds(`fd.name glob "${'*a'.repeat(120)}b"`, subject), false);
    assert.ok(process.hrtime.bigint() - started < 1_000_000_000n);
  });
});
