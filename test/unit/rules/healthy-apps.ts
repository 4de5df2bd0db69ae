// What healthy apps do: their health checks, starts, package managers and servers.
import {
  BELOW_FIRST,
  call,
  DADOO,
  FIRST,
  GARDEN,
  HOUR,
  NODE,
  OUTSIDE,
  PYTHON,
  read,
  run,
  SECOND,
  SHIM,
  write,
  type Fields,
} from './given-events.ts';

/** Events of which no rule that wakes anyone may tell, by what causes them. */
export const HEALTHY: Readonly<Record<string, readonly Fields[]>> = {
  'a Docker HEALTHCHECK': [
    run('/bin/sh', '-c curl -f http://localhost:8080/ || exit 1', [SHIM], OUTSIDE),
    run('/usr/bin/curl', '-f http://localhost:8080/', ['/bin/sh', SHIM]),
    run(PYTHON, '-c import urllib.request; urllib.request.urlopen("http://localhost")', [
      '/bin/sh',
      SHIM,
    ]),
    run('/bin/busybox', '-c wget -q -O- http://localhost', [SHIM], {
      ...OUTSIDE,
      'proc.name': 'sh',
    }),
  ],
  'pm2, which asks what its host counts in, once it has been up for long': [
    run('/bin/sh', '-c getconf CLK_TCK', [NODE, SHIM], { 'proc.is_exe_upper_layer': false }),
    run('/bin/sh', '-c getconf PAGESIZE', [NODE, SHIM], { 'proc.is_exe_upper_layer': false }),
  ],
  'npm start on Docker': [
    run(NODE, '/usr/local/bin/npm start', [SHIM], FIRST),
    run('/bin/sh', '-c node server.js', [NODE, SHIM], BELOW_FIRST),
    run(NODE, 'server.js', ['/bin/sh', NODE, SHIM], { ...BELOW_FIRST, 'proc.pvpid': 20 }),
    run('/bin/sh', '-c node server.js', [NODE, '/sbin/tini', SHIM], {
      ...BELOW_FIRST,
      'proc.pvpid': 7,
    }),
  ],
  'npm start on Cloud Foundry': [
    run('/tmp/lifecycle/launcher', 'app npm start', [DADOO], { ...GARDEN, ...OUTSIDE }),
    run('/bin/bash', '-c npm start', [DADOO], { ...GARDEN, ...OUTSIDE }),
    run('/bin/bash', '-c npm start', ['/tmp/lifecycle/launcher', DADOO], {
      ...GARDEN,
      'proc.ppid.duration': SECOND,
    }),
    run('/home/vcap/deps/0/node/bin/node', 'npm start', ['/bin/bash', DADOO], {
      ...GARDEN,
      'proc.is_exe_upper_layer': true,
    }),
    run('/bin/sh', '-c node server.js', ['/home/vcap/deps/0/node/bin/node', '/bin/bash', DADOO], {
      ...GARDEN,
      'proc.ppid.duration': 3 * SECOND,
    }),
  ],
  "Cloud Foundry's own programs": [
    run('/etc/cf-assets/healthcheck/healthcheck', '-port=8080', [DADOO], { ...GARDEN, ...OUTSIDE }),
    run('/tmp/lifecycle/diego-sshd', '-address=0.0.0.0:2222', [DADOO], { ...GARDEN, ...OUTSIDE }),
    run('/etc/cf-assets/envoy/envoy', '-c x', [DADOO], { ...GARDEN, ...OUTSIDE }),
    read('/etc/cf-instance-credentials/instance.key', '/etc/cf-assets/envoy/envoy', GARDEN),
    run('/bin/bash', '-c ls', ['/tmp/lifecycle/diego-sshd', DADOO], GARDEN),
  ],
  'an app reads its secrets when it starts': [
    read('/etc/cf-instance-credentials/instance.key', NODE, { ...GARDEN, 'proc.duration': SECOND }),
    read('/bindings/db/password', NODE, { 'proc.duration': SECOND }),
    read('/run/secrets/kubernetes.io/serviceaccount/token', NODE),
    read('/run/secrets/db', '/bin/cat', { ...BELOW_FIRST, 'proc.duration': 0 }),
  ],
  'an app reads its secrets again': [
    // Cloud Foundry renews the instance identity every 24 hours.
    ...['/home/vcap/app/.java-buildpack/open_jdk_jre/bin/java', NODE].map((app) =>
      read('/etc/cf-instance-credentials/instance.key', app, {
        ...GARDEN,
        'proc.duration': 24 * HOUR,
        'proc.is_exe_upper_layer': true,
      }),
    ),
    // A client of PostgreSQL reads its key for each connection, a server its own when it is told to reload.
    read('/etc/cf-service-bindings/db/tls.key', PYTHON, GARDEN),
    read('/bindings/db/tls.key', PYTHON),
    read('/run/secrets/tls.key', '/usr/sbin/nginx'),
    read('/bindings/..2026_11_25/password', NODE, { 'fd.nameraw': '/bindings/db/password' }),
    read('/run/secrets/db', '/usr/local/sbin/php-fpm'),
  ],
  'an app looks after its own logs': [
    write('/app/log/access.log', NODE, { 'evt.is_open_create': false }),
    write('/home/vcap/app/logs/error.log', NODE, { ...GARDEN, 'evt.is_open_create': false }),
    write('/var/log/shop/messages', NODE, { 'evt.is_open_create': false }),
    call('unlink', NODE, { 'evt.arg.path': '/app/log/access.log' }),
    write('/var/log/nginx/access.log', '/bin/sh', {
      'evt.is_open_create': false,
      'proc.aexepath': ['/usr/sbin/logrotate', '/bin/sh', '/usr/sbin/cron'],
    }),
  ],
  'allocators, tracers and tunables': [
    ...[
      'LD_PRELOAD=/usr/lib/x86_64-linux-gnu/libjemalloc.so.2',
      'LD_PRELOAD=/opt/datadog-packages/datadog-apm-inject/stable/inject/launcher.preload.so',
      'LD_PRELOAD=/opt/bitnami/common/lib/libnss_wrapper.so NSS_WRAPPER_PASSWD=/tmp/passwd',
      'LD_PRELOAD=/home/vcap/deps/0/lib/libtcmalloc.so TMPDIR=/tmp/',
      'GLIBC_TUNABLES=glibc.malloc.arena_max=2:glibc.malloc.check=0',
      'LD_LIBRARY_PATH=/tmp/_MEIa1b2c3',
    ].map((env) => run(NODE, '/app/worker.js', [NODE, SHIM], { 'proc.env': env })),
    run('/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2', '/usr/bin/node', ['/bin/bash', NODE], {
      'proc.env': 'LD_TRACE_LOADED_OBJECTS=1',
    }),
  ],
  'programs of a droplet': [
    ...[20, 120].map((seconds) =>
      run('/home/vcap/deps/0/bin/tool', '', ['/home/vcap/deps/0/node/bin/node', DADOO], {
        ...GARDEN,
        'proc.is_exe_upper_layer': true,
        'proc.exe_ino.ctime_duration_pidns_start': seconds * SECOND,
      }),
    ),
  ],
  'gunicorn and uwsgi': [
    run(PYTHON, '/venv/bin/gunicorn app:app', ['/bin/sh', SHIM], {
      'evt.arg.filename': '/venv/bin/gunicorn',
    }),
    write('/tmp/wgunicorn-x', PYTHON),
    call('unlink', PYTHON, { 'evt.arg.path': '/tmp/wgunicorn-x' }),
    call('fchmod', PYTHON, { 'evt.arg.mode': 'S_IWUSR|S_IRUSR', 'fd.name': '/tmp/wgunicorn-x' }),
    call('setuid', '/usr/bin/uwsgi', { 'evt.rawarg.uid': 33, 'user.uid': 33 }),
    call('clone', '/usr/bin/uwsgi', {
      'evt.rawres': 50,
      'evt.arg.flags': 'CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID',
    }),
    write('/app/__pycache__/x.cpython-312.pyc.1', PYTHON),
  ],
  'php-fpm': [
    call('dup2', '/usr/local/sbin/php-fpm', {
      'fd.type': 'ipv4',
      'fd.connected': false,
      'fd.name': '0.0.0.0:9000',
    }),
    call('memfd_create', '/usr/local/sbin/php-fpm', {
      'fd.num': 5,
      'evt.rawres': 5,
      'evt.arg.name': 'opcache_lock',
    }),
    write('/tmp/phpAb1', '/usr/local/sbin/php-fpm'),
    call('rename', '/usr/local/sbin/php-fpm', {
      'evt.arg.oldpath': '/tmp/phpAb1',
      'evt.arg.newpath': '/var/www/html/uploads/cat.jpg',
    }),
    write('/var/www/storage/framework/views/9.php', '/usr/local/sbin/php-fpm'),
  ],
  nginx: [
    run('/bin/sh', '/docker-entrypoint.sh nginx', [SHIM], FIRST),
    write('/etc/nginx/conf.d/default.conf', '/bin/sh', { ...FIRST, 'proc.duration': SECOND }),
    call('setuid', '/usr/sbin/nginx', { 'evt.rawarg.uid': 101, 'user.uid': 101 }),
    call('socket', '/usr/sbin/nginx', {
      'evt.rawres': 6,
      'evt.arg.domain': 'AF_INET',
      'evt.rawarg.type': 1,
      'evt.rawarg.proto': 6,
    }),
    call('prctl', '/usr/sbin/nginx', { 'evt.arg.option': 'PR_SET_DUMPABLE' }),
    write('/var/log/nginx/access.log', '/usr/sbin/nginx', { 'evt.arg.flags': 'O_APPEND|O_WRONLY' }),
  ],
  'apt-get in the build of an image': [
    run('/bin/sh', '-c apt-get update && apt-get install -y curl', [SHIM], FIRST),
    run('/usr/bin/apt-get', 'update', ['/bin/sh', SHIM], {
      ...BELOW_FIRST,
      'proc.pcmdline': 'sh -c apt-get update && apt-get install -y curl',
      'proc.ppid.duration': 300 * SECOND,
      'container.duration': 300 * SECOND,
    }),
    run('/usr/bin/dpkg', '--unpack x.deb', ['/usr/bin/apt-get', '/bin/sh', SHIM]),
    run('/bin/sh', '/var/lib/dpkg/info/x.postinst', ['/usr/bin/dpkg', '/usr/bin/apt-get']),
    run('/usr/sbin/x-setup', '', ['/bin/sh', '/usr/bin/dpkg', '/usr/bin/apt-get'], {
      'proc.is_exe_upper_layer': true,
    }),
    write('/usr/bin/curl.dpkg-new', '/usr/bin/dpkg', { 'user.uid': 0 }),
    write('/etc/passwd', '/usr/sbin/useradd', { 'proc.aexepath': ['/bin/sh', '/usr/bin/dpkg'] }),
    write('/etc/cron.d/x', '/usr/bin/dpkg'),
    call('rename', '/usr/bin/dpkg', {
      'evt.arg.oldpath': '/usr/bin/curl.dpkg-new',
      'evt.arg.newpath': '/usr/bin/curl',
    }),
    call('chmod', '/usr/bin/dpkg', { 'evt.arg.mode': 'S_ISUID|S_IXUSR', 'evt.arg.filename': '/x' }),
    call('chroot', '/usr/bin/dpkg', { 'evt.arg.path': '/' }),
  ],
  'git clone': [
    run('/usr/bin/git', 'clone https://example.com/x', ['/bin/sh', NODE]),
    run('/usr/lib/git-core/git-remote-https', 'origin https://example.com/x', ['/usr/bin/git']),
    write('/var/www/html/index.php', '/usr/bin/git'),
    write('/app/server.js', '/usr/bin/git', { 'evt.is_open_create': false }),
  ],
  'jobs by cron': [
    run('/bin/sh', '-c /app/job.sh', ['/usr/sbin/cron', SHIM]),
    run('/bin/bash', '/app/job.sh', ['/bin/sh', '/usr/sbin/cron', SHIM]),
    run('/usr/bin/find', '/tmp -mtime +1 -delete', ['/bin/bash', '/bin/sh', '/usr/sbin/cron']),
    run('/bin/busybox', '-c /app/job.sh', ['/bin/busybox', SHIM], {
      'proc.name': 'sh',
      'proc.pname': 'crond',
      'proc.pexe': '/usr/sbin/crond',
    }),
    run('/usr/bin/curl', '-s https://example.com/ping', ['/bin/bash', '/bin/sh']),
  ],
  'start scripts of Java': [
    run('/bin/bash', '/usr/local/tomcat/bin/catalina.sh run', [SHIM], FIRST),
    run('/usr/bin/uname', '', ['/bin/bash', SHIM], BELOW_FIRST),
    run('/usr/bin/id', '-u', ['/bin/bash', SHIM], BELOW_FIRST),
    run('/opt/java/openjdk/bin/java', '-Xmx1g -jar app.jar', ['/bin/bash', SHIM], BELOW_FIRST),
    write('/usr/local/tomcat/webapps/ROOT/index.jsp', '/opt/java/openjdk/bin/java', {
      'container.duration': 20 * SECOND,
    }),
    write('/tmp/hsperfdata_app/1', '/opt/java/openjdk/bin/java'),
    write('/tmp/libnetty.so', '/opt/java/openjdk/bin/java'),
    call('unlink', '/opt/java/openjdk/bin/java', { 'evt.arg.path': '/tmp/libnetty.so' }),
  ],
  'entry scripts of a Python environment': [
    run(PYTHON, '/app/.venv/bin/flask run', ['/bin/sh', SHIM], {
      ...BELOW_FIRST,
      'evt.arg.filename': '/app/.venv/bin/flask',
    }),
    run(
      PYTHON,
      '-c from multiprocessing.spawn import spawn_main; spawn_main(tracker_fd=5, pipe_handle=7)',
      [PYTHON, '/bin/sh'],
    ),
  ],
  'a browser that makes pictures of pages': [
    run('/usr/lib/chromium/chromium', '--headless', [NODE, SHIM]),
    call('clone', '/usr/lib/chromium/chromium', {
      'evt.rawres': 9,
      'evt.arg.flags': 'CLONE_NEWUSER|CLONE_NEWPID',
    }),
    call('chroot', '/usr/lib/chromium/chromium', { 'evt.arg.path': '/proc/self/fdinfo' }),
  ],
  'what apps do all day': [
    call('connect', NODE, {
      'evt.rawres': -115,
      'fd.type': 'ipv4',
      'fd.sip': '192.0.2.1',
      'fd.sport': 443,
      'fd.l4proto': 'tcp',
      'fd.name': '10.0.0.2:40000->192.0.2.1:443',
    }),
    call('connect', NODE, {
      'fd.type': 'ipv4',
      'fd.sip': '169.254.169.254',
      'fd.sport': 53,
      'fd.l4proto': 'udp',
      'fd.name': '10.0.0.2:40000->169.254.169.254:53',
    }),
    run(NODE, '/app/worker.js', [NODE, SHIM]),
    run('/usr/bin/convert', 'in.png out.jpg', [NODE, SHIM]),
    write('/tmp/upload-1', NODE),
    write('/app/data/x.json', NODE),
    write('/dev/null', NODE, { 'fd.typechar': 'f' }),
  ],
};
