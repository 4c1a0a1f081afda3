// The kernels of a library. For each the compiler is given one more line behind the source, `Entry softmax_rows(...)`.
#pragma once

#include <type_traits>
#include <utility>

#include "machine.h"

namespace cuda_sim {

struct Kernel {
  const char* name;
  int arguments;
  int max_threads;  // of a block, from __launch_bounds__
  void* function;
  void (*call)(void* function, void** arguments);
  Kernel* next;
};
extern Kernel* kernels;

template <class... A, size_t... I>
CUDA_SIM_UNSEEN inline void spread(void (*function)(A...), void** arguments, std::index_sequence<I...>) {
  function(*static_cast<std::remove_reference_t<A>*>(arguments[I])...);
}

struct Entry : Kernel {
  template <class... A>
  Entry(const char* name, void (*function)(A...), int max_threads = 1024)
      : Kernel{name, sizeof...(A), max_threads, reinterpret_cast<void*>(function), run<A...>, kernels} {
    kernels = this;
  }
  template <class... A>
  CUDA_SIM_UNSEEN static void run(void* function, void** arguments) {
    spread(reinterpret_cast<void (*)(A...)>(function), arguments, std::index_sequence_for<A...>{});
  }
};

}  // namespace cuda_sim
