// SPDX-License-Identifier: Apache-2.0
#include "denial.h"
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "libbpf-log.h"
#include "pins.h"
#include "variant.h"

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

// Whether the BPF LSM is one of those that the kernel asks, and asked in place of fmod_ret: before Linux 7.0 both do the same, but
// for the second call for a rename that exchanges two names (until 5.19).
static bool HasLsm() {
  if (KernelMajor() < 7) return false;
  // lsm_list_modules(ids, size, flags), since 6.8; linux/lsm.h
  const long kListModules = 461;
  const uint64_t kBpf = 109;
  uint64_t ids[64] = {};
  uint32_t size = sizeof(ids);
  const long count = syscall(kListModules, ids, &size, 0);
  return count > 0 && std::find(ids, ids + count, kBpf) != ids + count;
}

// Makes programs of functions (fmod_ret/security_…) those of the LSM hooks with these names. The kernel skips the former if another
// task was interrupted in them on that CPU: a task could be interrupted on purpose, so that another's call is not refused.
static int UseLsm(bpf_object* object) {
  static const std::string kPrefix = "fmod_ret/security_";
  bpf_program* program;
  bpf_object__for_each_program(program, object) {
    const std::string section = bpf_program__section_name(program);
    if (section.compare(0, kPrefix.size(), kPrefix)) continue;
    const std::string function = section.substr(kPrefix.size());
    // The one whose hook has another name.
    const std::string hook = function == "create_user_ns" ? "userns_create" : function;
    int error = bpf_program__set_type(program, BPF_PROG_TYPE_LSM);
    if (!error) error = bpf_program__set_expected_attach_type(program, BPF_LSM_MAC);
    if (!error) error = bpf_program__set_attach_target(program, 0, hook.c_str());
    if (error) return error;
  }
  return 0;
}

uint64_t SkippedOf(bpf_object* object) {
  uint64_t skipped = 0;
  bpf_program* program;
  if (!object) return 0;
  bpf_object__for_each_program(program, object) {
    bpf_prog_info info{};
    __u32 size = sizeof(info);
    // Interrupts run this one too, also in the midst of itself: those are no connects.
    const bool is_nested = bpf_program__name(program) == std::string("tcp_connect");
    const int fd = is_nested ? -1 : bpf_program__fd(program);
    if (fd >= 0 && !bpf_prog_get_info_by_fd(fd, &info, &size)) skipped += info.recursion_misses;
  }
  return skipped;
}

Status Denial::Attach(const std::string& path, int directory) {
  bpf_program* program;
  bpf_object__for_each_program(program, object_) {
    const bpf_prog_type type = bpf_program__type(program);
    if (type == BPF_PROG_TYPE_SYSCALL) continue; // run by the loader
    const bool of_cgroup = type == BPF_PROG_TYPE_CGROUP_SOCK_ADDR || type == BPF_PROG_TYPE_CGROUP_DEVICE;
    bpf_link* link = of_cgroup                   ? bpf_program__attach_cgroup(program, directory)
                     : type == BPF_PROG_TYPE_LSM ? bpf_program__attach_lsm(program)
                                                 : bpf_program__attach(program);
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
  if (!error && HasLsm()) error = UseLsm(object_);
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
