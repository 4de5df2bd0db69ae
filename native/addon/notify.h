// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include "status.h"

// Sends a message to a service manager (sd_notify(3)): one datagram to the unix socket of this path, of which a leading '@' stands for
// the abstract namespace. EINVAL: no such path can be. Waits while the manager's queue is full.
Status NotifyManager(const std::string& path, const std::string& message);
