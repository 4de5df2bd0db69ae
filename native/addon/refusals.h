// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

// Removes from this map (by thread, or by request of io_uring) the refused calls that were refused before `before` (CLOCK_BOOTTIME ns), and
// returns how many: their ends were not seen. One whose thread is refused anew meanwhile is counted once, here or by the probe.
uint64_t RemoveRefusals(int map, uint64_t before);
