// Kernel: an entry point with its parameters, that Python calls; see kernel.cpp.
#pragma once

#include "api.h"

namespace minigrad::driver {

constexpr std::size_t kMostBytes = 4096, kMostParameters = 64;  // of one launch: the driver's limit is 4 KB

// A launch made ready: what the driver is called with.
struct Launch {
  NodeParameters node;
  void* arguments[kMostParameters];
  alignas(64) unsigned char bytes[kMostBytes + 64];
  bool empty;  // a grid with a 0 in it: nothing to do
};

bool ready_kernel(PyObject* module);
bool is_kernel(PyObject* object);
const char* entry_of(PyObject* kernel);
// Fill a launch from (grid, block, args, shared); false with an error set.
bool prepare(PyObject* kernel, PyObject* const* values, Py_ssize_t count, Launch& launch);

}  // namespace minigrad::driver
