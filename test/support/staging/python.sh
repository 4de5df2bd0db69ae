#!/bin/bash
# The same of a Python app: an environment of its own, a package with an extension in C that builds itself, compiled modules.
set -euo pipefail
build=$1 cache=$2 deps=$3/$4
mkdir -p "$cache" "$deps/bin" "$deps/profile.d" /tmp/downloads
cd "$build"
cat >Procfile <<'END'
web: python app.py
END
echo 'print("app")' >app.py
# A dependency that comes as an archive with its own installer, as conda and others do.
printf '#!/bin/sh\necho installed > "$1"\n' >/tmp/downloads/install.sh
curl -sSf -o "$cache/install.sh" file:///tmp/downloads/install.sh
sh "$cache/install.sh" "$cache/installed"
curl -sSf file:///tmp/downloads/install.sh | sh -s "$cache/again"
/usr/bin/python3 -m venv "$deps/python"
export PATH=$deps/python/bin:$PATH HOME=/tmp PIP_DISABLE_PIP_VERSION_CHECK=1
mkdir -p native
cat >native/pyproject.toml <<'END'
[project]
name = "native"
version = "1.0"
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
END
cat >native/backend.py <<'END'
import os, subprocess, zipfile


def build_wheel(folder, config_settings=None, metadata_directory=None):
    subprocess.check_call(["cc", "-shared", "-fPIC", "-o", "native.so", "native.c"])
    print(subprocess.check_output("uname -m; id -u", shell=True, text=True))
    name = "native-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        wheel.write("native.so", "native.so")
        info = "native-1.0.dist-info/"
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: native\nVersion: 1.0\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(info + "RECORD", "native.so,,\n")
    return name
END
echo 'int answer(void) { return 42; }' >native/native.c
pip install --no-index --no-build-isolation ./native
python -m compileall -q .
python -c 'import ctypes, glob, sys; ctypes.CDLL(glob.glob(sys.prefix + "/lib/python*/site-packages/native.so")[0])'
pip list >/dev/null
ln -sf ../python/bin/python "$deps/bin/python"
printf 'export PYTHONPATH=$DEPS_DIR/0/python\n' >"$deps/profile.d/python.sh"
tar -czf /tmp/droplet -C /tmp app contents
rm -rf /tmp/downloads
