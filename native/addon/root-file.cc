// SPDX-License-Identifier: Apache-2.0
#include "root-file.h"
#include <cerrno>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// O_PATH only looks up the path. Opening a device node that a container put there would act on the host's device.
static Status Find(const std::string& root, const std::string& path, uint64_t resolve, int* fd) {
  int dir = open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0) return Status::Fail(errno, "open the root " + root);
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve;
  int found = -1;
  for (int attempt = 0; attempt < 8; attempt++) { // EAGAIN: something was renamed meanwhile (openat2(2))
    found = static_cast<int>(syscall(SYS_openat2, dir, path.c_str(), &how, sizeof(how)));
    if (found >= 0 || errno != EAGAIN) break;
  }
  int saved = errno;
  close(dir);
  if (found < 0) return Status::Fail(saved, "open in the root: " + path);
  *fd = found;
  return {};
}

Status FindInRoot(const std::string& root, const std::string& path, bool allow_mounts, int* fd) {
  return Find(root, path, RESOLVE_NO_SYMLINKS | (allow_mounts ? 0 : RESOLVE_NO_XDEV), fd);
}

Status OpenInRoot(const std::string& root, const std::string& path, bool allow_symlinks, Wanted wanted, int* fd) {
  int found = -1;
  Status status = Find(root, path, RESOLVE_NO_XDEV | (allow_symlinks ? 0 : RESOLVE_NO_SYMLINKS), &found);
  if (!status.ok()) return status;
  struct stat facts{};
  const mode_t type = wanted == Wanted::kDirectory ? S_IFDIR : S_IFREG;
  if (fstat(found, &facts) != 0 || (facts.st_mode & S_IFMT) != type) {
    close(found);
    return Status::Fail(EINVAL, "open in the root: " + path,
                        wanted == Wanted::kDirectory ? "not a directory" : "not a regular file");
  }
  // Opens the same inode, whatever has the name by now.
  const std::string self = "/proc/self/fd/" + std::to_string(found);
  const int opened = open(self.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  const int saved = errno;
  close(found);
  if (opened < 0) return Status::Fail(saved, "open in the root: " + path);
  *fd = opened;
  return {};
}

Status ReadInRoot(const std::string& root, const std::string& path, bool allow_symlinks, size_t max_bytes,
                  std::vector<char>* content) {
  int fd = -1;
  Status status = OpenInRoot(root, path, allow_symlinks, Wanted::kRegularFile, &fd);
  if (!status.ok()) return status;
  content->resize(max_bytes);
  size_t used = 0;
  while (used < max_bytes) {
    ssize_t n = read(fd, content->data() + used, max_bytes - used);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      status = Status::Fail(errno, "read in the root: " + path);
      break;
    }
    if (n == 0) break;
    used += static_cast<size_t>(n);
  }
  close(fd);
  content->resize(used);
  return status;
}
