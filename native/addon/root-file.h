// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <string>
#include <vector>
#include "status.h"

// Opens `path` inside the tree at `root` (openat2, kernel 5.6). Symlinks resolve inside it if allowed, and are refused
// otherwise. Magic links and mount crossings are refused: a hostile FUSE mount could hang the caller. The descriptor is
// read-only, close-on-exec, and of the wanted type (else EINVAL); the caller owns it.
enum class Wanted { kRegularFile, kDirectory };
Status OpenInRoot(const std::string& root, const std::string& path, bool allow_symlinks, Wanted wanted, int* fd);

// Finds `path` inside the tree at `root`, without symlinks, and in another mount only if allowed: the descriptor (O_PATH) opens nothing. No
// file system is asked but those that the path leads through.
Status FindInRoot(const std::string& root, const std::string& path, bool allow_mounts, int* fd);

// Reads at most `max_bytes` of such a regular file.
Status ReadInRoot(const std::string& root, const std::string& path, bool allow_symlinks, size_t max_bytes,
                  std::vector<char>* content);
