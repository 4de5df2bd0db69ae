import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const BUSYBOX = '/bin/busybox';

/** A root file system of busybox: every applet, users root, app (uid 1000) and nobody, an unreadable shadow. */
export function writeBusyboxTree(tree: string): void {
  for (const folder of ['bin', 'dev', 'etc', 'home/app', 'proc', 'root', 'sys', 'tmp', 'var/log']) {
    mkdirSync(join(tree, folder), { recursive: true });
  }
  copyFileSync(BUSYBOX, join(tree, 'bin/busybox'));
  chmodSync(join(tree, 'bin/busybox'), 0o755);
  const { stdout } = spawnSync(BUSYBOX, ['--list'], { encoding: 'utf8' });
  for (const applet of stdout.split('\n')) {
    if (applet !== '' && applet !== 'busybox') symlinkSync('busybox', join(tree, 'bin', applet));
  }
  for (const alias of ['sbin', 'usr'])
    symlinkSync(alias === 'usr' ? '.' : 'bin', join(tree, alias));
  writeFileSync(
    join(tree, 'etc/passwd'),
    'root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\n' +
      'nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n',
  );
  writeFileSync(join(tree, 'etc/group'), 'root:x:0:\napp:x:1000:\nnogroup:x:65534:\n');
  writeFileSync(join(tree, 'etc/shadow'), 'root:*:19000:0:99999:7:::\napp:*:19000:0:99999:7:::\n');
  chmodSync(join(tree, 'etc/shadow'), 0o640);
  chmodSync(join(tree, 'tmp'), 0o1777);
}
