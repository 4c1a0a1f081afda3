// The part of NVIDIA's driver that launches and graphs need, found when it is asked for: nothing links against it.
//
// The types are the driver's own by size and order (CUDA 12 and later); `api.cpp` opens the library.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <cstddef>
#include <cstdint>

namespace minigrad::driver {

using Result = int;       // CUresult
using Function = void*;   // CUfunction
using Module = void*;     // CUmodule
using Stream = void*;     // CUstream
using Graph = void*;      // CUgraph
using GraphExec = void*;  // CUgraphExec
using GraphNode = void*;  // CUgraphNode
using Dimension = unsigned;

constexpr Result kInvalidContext = 201;          // CUDA_ERROR_INVALID_CONTEXT
constexpr int kMaxDynamicShared = 8;             // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
constexpr int kRelaxed = 2, kCaptureActive = 1;  // CU_STREAM_CAPTURE_MODE_RELAXED, CU_STREAM_CAPTURE_STATUS_ACTIVE

struct NodeParameters {  // CUDA_KERNEL_NODE_PARAMS_v1
  Function function;
  Dimension grid[3], block[3], shared;
  void** arguments;
  void** extra;
};

// One row for each function: its name here, the driver's symbol, its parameters.
#define MINIGRAD_DRIVER_FUNCTIONS(ROW)                                                                                 \
  ROW(init, "cuInit", (unsigned))                                                                                      \
  ROW(error_name, "cuGetErrorName", (Result, const char**))                                                            \
  ROW(error_string, "cuGetErrorString", (Result, const char**))                                                        \
  ROW(current_device, "cuCtxGetDevice", (int*))                                                                        \
  ROW(load, "cuModuleLoadData", (Module*, const void*))                                                                \
  ROW(find, "cuModuleGetFunction", (Function*, Module, const char*))                                                   \
  ROW(set_attribute, "cuFuncSetAttribute", (Function, int, int))                                                       \
  ROW(launch, "cuLaunchKernel",                                                                                        \
      (Function, Dimension, Dimension, Dimension, Dimension, Dimension, Dimension, Dimension, Stream, void**, void**)) \
  ROW(begin_capture, "cuStreamBeginCapture_v2", (Stream, int))                                                         \
  ROW(capture_info, "cuStreamGetCaptureInfo_v2",                                                                       \
      (Stream, int*, std::uint64_t*, Graph*, const GraphNode**, std::size_t*))                                         \
  ROW(end_capture, "cuStreamEndCapture", (Stream, Graph*))                                                             \
  ROW(instantiate, "cuGraphInstantiateWithFlags", (GraphExec*, Graph, unsigned long long))                             \
  ROW(set_node, "cuGraphExecKernelNodeSetParams", (GraphExec, GraphNode, const NodeParameters*))                       \
  ROW(launch_graph, "cuGraphLaunch", (GraphExec, Stream))                                                              \
  ROW(destroy_exec, "cuGraphExecDestroy", (GraphExec))                                                                 \
  ROW(destroy_graph, "cuGraphDestroy", (Graph))

struct Api {
#define ROW(name, symbol, parameters) Result(*name) parameters = nullptr;
  MINIGRAD_DRIVER_FUNCTIONS(ROW)
#undef ROW
  bool ready = false;
};
extern Api api;

// What Python tells the extension once: see `configure` in module.cpp.
struct World {
  PyObject* array_type = nullptr;      // whose arrays lie on the GPU
  PyObject* current_stream = nullptr;  // function: the stream of this thread, with its `ptr`
  PyObject* attach = nullptr;          // function: gives this thread the context of the GPU in use
};
extern World world;

// Open the driver's library; false with an error set.
bool open_library(const char* path);
// True if the call went well; else false with a RuntimeError that begins with `what`.
bool check(Result result, const char* what);
// The driver's stream of this thread; false with an error set.
bool find_stream(Stream& stream);

// Gives up the interpreter's lock: the driver waits where too much is queued.
template <class F>
Result unlocked(F call) {
  PyThreadState* state = PyEval_SaveThread();
  const Result result = call();
  PyEval_RestoreThread(state);
  return result;
}

}  // namespace minigrad::driver
