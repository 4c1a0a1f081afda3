// What the hooks tell the checker.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cuda_sim {

// A load or store of the running thread, by the instruction before the return address `code`.
void access(void* at, size_t bytes, bool write, bool atomic, const void* code);

// Keeps an access that the checker lets pass, while somebody asked for that (trace.cpp).
extern bool tracing;
void trace(const char* address, size_t bytes, bool write, bool atomic, bool shared, uint32_t code);
void trace_settles();  // before memory goes away

}  // namespace cuda_sim
