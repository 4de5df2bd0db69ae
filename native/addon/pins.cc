// SPDX-License-Identifier: Apache-2.0
#include "pins.h"
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <cerrno>
#include <linux/types.h>
#include <unistd.h>
#include "events.gen.h"
#include "shared.h"

static const char kDoing[] = "keep what denies in the kernel";

Status PinFd(int fd, const std::string& directory, const std::string& name) {
  const int error = bpf_obj_pin(fd, (directory + "/" + name).c_str());
  return error && error != -EEXIST ? Status::Fail(-error, kDoing) : Status{};
}

void Unpin(const std::string& directory, const std::string& name) {
  if (!directory.empty()) unlink((directory + "/" + name).c_str());
}

Status ReadUnseenDenials(const std::string& directory, std::vector<std::pair<uint64_t, uint64_t>>* denials) {
  const char kReading[] = "read what was denied without an agent";
  const int fd = bpf_obj_get((directory + "/scope").c_str());
  if (fd < 0) return Status::Fail(-fd, kReading);
  bpf_map_info info{};
  __u32 size = sizeof(info);
  int error = bpf_map_get_info_by_fd(fd, &info, &size);
  if (!error && (info.key_size != sizeof(uint64_t) || info.value_size != sizeof(scope_entry))) error = -ENOTSUP;
  uint64_t key = 0, next = 0;
  scope_entry entry;
  for (int more = error ? error : bpf_map_get_next_key(fd, nullptr, &next); !more; more = bpf_map_get_next_key(fd, &key, &next)) {
    key = next;
    if (bpf_map_lookup_elem(fd, &key, &entry) == 0 && entry.denied_unseen) denials->emplace_back(key, entry.denied_unseen);
  }
  close(fd);
  return error ? Status::Fail(-error, kReading) : Status{};
}
