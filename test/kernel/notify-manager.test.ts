import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { notifyManager, type LoaderError } from 'ebpf-loader-napi';

/** Prints what comes to the socket of this name, and who has sent it. */
const MANAGER = `
use Socket;
$| = 1;
socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die $!;
(my $path = $ARGV[0]) =~ s/^@/\\0/;
bind($s, pack_sockaddr_un($path)) or die $!;
print "here\\n";
for (1 .. 2) { recv($s, my $message, 4096, 0); print "<$message>\\n"; }
`;

function codeOf(socket: string): string {
  try {
    notifyManager(socket, 'MAINPID=1');
    return 'sent';
  } catch (error) {
    return (error as LoaderError).code;
  }
}

test('a service manager gets each message whole, by a path and in the abstract namespace', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'varvel-notify-'));
  try {
    for (const socket of [join(folder, 'notify'), `@varvel-test-${process.pid}`]) {
      const manager = spawn('perl', ['-e', MANAGER, socket], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let said = '';
      manager.stdout.on('data', (text: Buffer) => (said += text.toString()));
      await once(manager.stdout, 'data');
      const descriptors = readdirSync('/proc/self/fd').length;
      notifyManager(socket, 'MAINPID=42');
      notifyManager(socket, 'STATUS=a\nREADY=1');
      assert.equal(readdirSync('/proc/self/fd').length, descriptors, 'no descriptor is left');
      await once(manager, 'close');
      assert.equal(said, 'here\n<MAINPID=42>\n<STATUS=a\nREADY=1>\n');
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('nobody listens, or no socket can have that name', () => {
  assert.equal(codeOf('/nonexistent/notify'), 'ENOENT');
  assert.equal(codeOf(`@varvel-nobody-${process.pid}`), 'ECONNREFUSED');
  for (const name of ['', '/', '@', 'relative', `/${'x'.repeat(108)}`])
    assert.equal(codeOf(name), 'EINVAL');
});
