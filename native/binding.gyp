{
  "targets": [{
    "target_name": "ebpf_loader",
    "sources": ["addon/addon.cc", "addon/load-js.cc", "addon/host.cc", "addon/probe.cc", "addon/denial.cc", "addon/pins.cc", "addon/pins-js.cc", "addon/deny-js.cc", "addon/backlog.cc", "addon/ring.cc", "addon/loop.cc", "addon/tracepoint.cc", "addon/variant.cc", "addon/root-file.cc", "addon/self-test.cc", "addon/libbpf-log.cc", "addon/isolation.cc", "addon/isolation-js.cc", "addon/process.cc", "addon/sockets.cc", "addon/refusals.cc", "addon/notify.cc", "addon/older-libc.c"],
    "include_dirs": ["probe", "addon"],
    "cflags_cc": ["-O2", "-std=c++17", "-Wall", "-Wextra", "-fvisibility=hidden", "-fno-exceptions"],
    "libraries": ["-lbpf", "-lelf", "-lz"],
    "conditions": [["'<!(echo ${VARVEL_ASAN:-0})'=='1'", {
      "cflags_cc": ["-fsanitize=address,undefined", "-fno-omit-frame-pointer", "-g"],
      "ldflags": ["-fsanitize=address,undefined"]
    }]]
  }]
}
