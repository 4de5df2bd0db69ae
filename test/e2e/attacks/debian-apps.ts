// The apps of the suite in an image of Debian packages, with what they are started and updated by.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { run } from './image.ts';

const PYTHON_APP = `
import http.server, json, os, tempfile
import helper
secret = open('/run/secrets/db').read()

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with tempfile.NamedTemporaryFile() as upload:
            upload.write(helper.greeting().encode())
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({'pid': os.getpid()}).encode())

http.server.ThreadingHTTPServer(('0.0.0.0', int(os.environ.get('PORT', '8080'))), Handler).serve_forever()
`;

const NODE_APP = `
const fs = require('node:fs');
const http = require('node:http');
const { Worker, isMainThread } = require('node:worker_threads');
fs.mkdirSync('/tmp/cache', { recursive: true });
http.createServer((request, response) => {
  fs.writeFileSync('/tmp/cache/last', request.url);
  response.end('ok');
}).listen(Number(process.env.PORT ?? 8080));
if (isMainThread) new Worker('setTimeout(() => {}, 1000)', { eval: true });
`;

const CLIENT = `
import sys, time, urllib.request
for attempt in range(1000):
    try:
        for i in range(5):
            urllib.request.urlopen(sys.argv[1], timeout=5).read()
        sys.exit(0)
    except OSError:
        time.sleep(0.1)
sys.exit(1)
`;

/** As much of a debugger as a connection takes. */
const DEBUGGER = `
import socket, sys
greeting = b'JDWP-Handshake'
with socket.create_connection(('127.0.0.1', int(sys.argv[1])), timeout=20) as jvm:
    jvm.sendall(greeting)
    assert jvm.recv(64) == greeting
`;

/** Its own default is a name, which a container without a network need not have. */
const JOBS = `
ENV['REDIS_URL'] = 'redis://127.0.0.1:6379'
require 'sidekiq'
class Job
  include Sidekiq::Job
  def perform(path)
    File.write(path, 'done')
  end
end
`;

/** Both may be about to start. */
const ENQUEUE = `
require_relative 'jobs'
begin
  Job.perform_async('/tmp/done')
rescue RedisClient::Error
  sleep 0.2
  retry
end
sleep 0.2 until File.exist?('/tmp/done')
File.delete('/tmp/done')
`;

/** What the postinst of libpam-runtime writes. */
const PAM = {
  'common-account': ['account required pam_unix.so'],
  'common-auth': ['auth required pam_unix.so'],
  'common-password': ['password required pam_unix.so'],
  'common-session': ['session required pam_unix.so'],
  'common-session-noninteractive': ['session required pam_unix.so'],
};

export function writeApps(tree: string): void {
  const apps = {
    'app/ruby/config.ru': "run ->(env) { [200, { 'content-type' => 'text/plain' }, ['hello']] }\n",
    'app/ruby/jobs.rb': JOBS,
    'app/ruby/enqueue.rb': ENQUEUE,
    'etc/cron.d/app': '* * * * * root /app/job.sh\n',
    ...Object.fromEntries(
      Object.entries(PAM).map(([name, lines]) => [`etc/pam.d/${name}`, `${lines.join('\n')}\n`]),
    ),
    'app/python/app.py': PYTHON_APP,
    'app/python/helper.py': 'def greeting():\n    return "hello"\n',
    'app/node/server.js': NODE_APP,
    'app/node/package.json':
      '{"name":"shop","version":"1.0.0","scripts":{"start":"node server.js"}}',
    'app/client.py': CLIENT,
    'app/debugger.py': DEBUGGER,
    'run/secrets/db': 'password\n',
  };
  for (const [name, text] of Object.entries(apps)) {
    mkdirSync(dirname(join(tree, name)), { recursive: true });
    writeFileSync(join(tree, name), text);
  }
  writeFileSync(
    join(tree, 'app/python/wsgi.py'),
    "def app(environ, start):\n    start('200 OK', [])\n    return [b'hello']\n",
  );
  writeFileSync(
    join(tree, 'app/supervisord.conf'),
    [
      '[supervisord]\nnodaemon=true\nuser=root\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile=/run/supervisord.pid',
      '[program:web]\ncommand=python3 /app/python/app.py',
      // Again and again, also long after the start.
      '[program:job]\ncommand=/app/slow-job.sh\nautorestart=true\nstartsecs=0',
      '',
    ].join('\n'),
  );
  mkdirSync(join(tree, 'app/services/web'), { recursive: true });
  for (const [name, command] of Object.entries({
    'app/services/web/run': 'exec python3 /app/python/app.py',
    'app/slow-job.sh': '/app/job.sh\nsleep 5',
    'app/start.sh': 'umask 022\nexport STARTED=$(date +%s)\nexec "$@"',
    'app/job.sh': 'date >> /tmp/job.log\nls /app | sort > /tmp/listing',
  }))
    writeFileSync(join(tree, name), `#!/bin/sh\nset -e\n${command}\n`, { mode: 0o755 });
  const repository = join(tree, 'srv/repository');
  mkdirSync(repository);
  writeFileSync(join(repository, 'README'), 'hello\n');
  const git = ['-C', repository, '-c', 'user.name=x', '-c', 'user.email=x@example.com'];
  run('git', [...git, 'init', '-q', '-b', 'main']);
  run('git', [...git, 'add', '.']);
  run('git', [...git, 'commit', '-q', '-m', 'first']);
  const bare = join(tree, 'srv/site.git');
  // Links between files of an image are none to git: each has an inode of its own once it is read.
  run('git', ['clone', '-q', '--bare', '--no-hardlinks', repository, bare]);
  writeFileSync(
    join(bare, 'hooks/post-receive'),
    '#!/bin/sh\nset -e\nmkdir -p /tmp/site\ngit --work-tree=/tmp/site checkout -q -f main\n/app/job.sh\n',
    { mode: 0o755 },
  );
  writeFileSync(join(tree, 'etc/gitconfig'), '[safe]\n\tdirectory = *\n');
  writeFileSync(
    join(tree, 'etc/nginx/conf.d/site.conf'),
    'server { listen 8080; root /var/www/html; }\n',
  );
  mkdirSync(join(tree, 'var/www/html'), { recursive: true });
  writeFileSync(join(tree, 'var/www/html/index.html'), 'hello\n');
}
