// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

// Result of an operation: error is 0 or a positive errno, operation a phrase for people ("load the probe").
struct Status {
  int error = 0;
  std::string operation;
  std::string detail;
  bool ok() const { return error == 0; }
  static Status Fail(int error, std::string operation, std::string detail = "") {
    return Status{error == 0 ? 5 /* EIO */ : error, std::move(operation), std::move(detail)};
  }
};
