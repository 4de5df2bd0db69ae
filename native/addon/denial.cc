// SPDX-License-Identifier: Apache-2.0
#include "denial.h"
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <unistd.h>
#include "libbpf-log.h"
#include "pins.h"

static const char kDoing[] = "load what refuses calls";

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

Status Denial::Attach(const std::string& path, int directory) {
  bpf_program* program;
  bpf_object__for_each_program(program, object_) {
    const bool of_cgroup = bpf_program__type(program) == BPF_PROG_TYPE_CGROUP_SOCK_ADDR;
    bpf_link* link = of_cgroup ? bpf_program__attach_cgroup(program, directory) : bpf_program__attach(program);
    if (!link) return Status::Fail(errno, kDoing, LibbpfLog());
    links_.push_back(link);
    names_.push_back(bpf_program__name(program));
  }
  return links_.empty() ? Status::Fail(EINVAL, kDoing, path + " has no programs") : Status{};
}

Status Denial::Start(bpf_object* probe, const std::string& path, const std::string& directory) {
  if (object_) return {};
  if (!probe) return Status::Fail(EBADF, kDoing, "the probe is closed");
  KeepLibbpfLog();
  int fd = -1;
  if (!directory.empty() && (fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
    return Status::Fail(errno, "open " + directory);
  object_ = bpf_object__open_file(path.c_str(), nullptr);
  int error = object_ ? UseMapsOf(probe, object_) : -errno;
  // As in Probe::Load: the verifier aborts if a signal is pending.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  if (!error) error = bpf_object__load(object_);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  const Status status = error ? Status::Fail(-error, kDoing, LibbpfLog()) : Attach(path, fd);
  if (fd >= 0) close(fd);
  if (!status.ok()) Stop();
  return status;
}

Status Denial::Pin(const std::string& directory) {
  for (size_t at = 0; at < links_.size(); at++) {
    Status status = PinFd(bpf_link__fd(links_[at]), directory, names_[at]);
    if (!status.ok()) return status;
  }
  return {};
}

void Denial::Unpin(const std::string& directory) {
  for (const std::string& name : names_) ::Unpin(directory, name);
}

void Denial::Stop() {
  for (bpf_link* link : links_) bpf_link__destroy(link);
  links_.clear();
  names_.clear();
  if (object_) bpf_object__close(object_);
  object_ = nullptr;
}
