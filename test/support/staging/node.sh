#!/bin/bash
# What staging of a Node app does in its container, in the order in which Cloud Foundry's buildpack does it: dependencies are fetched
# and unpacked, and programs from them are run at once; packages of the app are installed, and build themselves.
# Arguments of each script: BUILD_DIR CACHE_DIR DEPS_DIR INDEX.
set -euo pipefail
build=$1 cache=$2 deps=$3/$4
mkdir -p "$cache" "$deps/bin" "$deps/node/bin" "$deps/profile.d" "$deps/varvel" /tmp/downloads
# Fetched over HTTP there; here over a file, by the same program.
cp /usr/bin/node /tmp/downloads/node
tar -czf /tmp/downloads/node.tgz -C /tmp/downloads node
curl -sSf -o "$cache/node.tgz" file:///tmp/downloads/node.tgz
tar -xzf "$cache/node.tgz" -C "$deps/node/bin"
ln -sf ../node/bin/node "$deps/bin/node"
export PATH=$deps/bin:$PATH HOME=/tmp npm_config_cache=$cache/npm npm_config_offline=true npm_config_audit=false npm_config_fund=false
node --version
mkdir -p "$build/native"
cat >"$build/native/package.json" <<'END'
{"name": "native", "version": "1.0.0", "scripts": {"install": "make && ./check", "postinstall": "node -e \"console.log(process.version)\""}}
END
printf 'all:\n\tcc -O1 -o check check.c\n' >"$build/native/Makefile"
printf '#include <stdio.h>\nint main(void) { puts("native"); return 0; }\n' >"$build/native/check.c"
cat >"$build/package.json" <<'END'
{"name": "app", "version": "1.0.0", "scripts": {"build": "node build.js", "start": "node server.js"}, "dependencies": {"native": "file:./native"}}
END
echo 'require("node:child_process").execSync("find . -name package.json | head -n 3 && uname -a")' >"$build/build.js"
cd "$build"
npm install --install-links --foreground-scripts
npm run build
npm rebuild
npm prune --omit=dev
printf 'export NODE_HOME=$DEPS_DIR/0/node\n' >"$deps/profile.d/node.sh"
chmod 755 "$deps/profile.d/node.sh"
printf '{"format": 1, "policy": "enabled: true\\n"}' >"$deps/varvel/policy.json"
tar -czf /tmp/droplet -C /tmp app contents
printf -- '---\ndefault_process_types: {web: npm start}\n' >/tmp/result.json
rm -rf /tmp/downloads
