// SPDX-License-Identifier: Apache-2.0
#include "denial.h"
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <unistd.h>
#include "libbpf-log.h"

static const char kDoing[] = "load what refuses connections";
static const char* const kPrograms[] = {"deny_connect4", "deny_connect6"};

// All maps that the probe has are used instead of those of the object.
static int UseMapsOf(bpf_object* probe, bpf_object* object) {
  bpf_map* map;
  bpf_object__for_each_map(map, object) {
    bpf_map* known = bpf_object__find_map_by_name(probe, bpf_map__name(map));
    const int error = known ? bpf_map__reuse_fd(map, bpf_map__fd(known)) : 0;
    if (error) return error;
  }
  return 0;
}

Status Denial::Start(bpf_object* probe, const std::string& path, const std::string& directory) {
  if (object_) return {};
  if (!probe) return Status::Fail(EBADF, kDoing, "the probe is closed");
  KeepLibbpfLog();
  const int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return Status::Fail(errno, "open " + directory);
  object_ = bpf_object__open_file(path.c_str(), nullptr);
  int error = object_ ? UseMapsOf(probe, object_) : -errno;
  // As in Probe::Load: the verifier aborts if a signal is pending.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  if (!error) error = bpf_object__load(object_);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  for (const char* name : kPrograms) {
    if (error) break;
    bpf_program* program = bpf_object__find_program_by_name(object_, name);
    bpf_link* link = program ? bpf_program__attach_cgroup(program, fd) : nullptr;
    if (link) links_.push_back(link);
    else error = program ? -errno : -EINVAL;
  }
  close(fd);
  if (!error) return {};
  const std::string log = LibbpfLog();
  Stop();
  return Status::Fail(-error, kDoing, log);
}

void Denial::Stop() {
  for (bpf_link* link : links_) bpf_link__destroy(link);
  links_.clear();
  if (object_) bpf_object__close(object_);
  object_ = nullptr;
}
