// What the hooks tell the checker.
#pragma once

#include <cstddef>

namespace cuda_sim {

// A load or store of the running thread, by the instruction before the return address `code`.
void access(void* at, size_t bytes, bool write, bool atomic, const void* code);

}  // namespace cuda_sim
