// What the processor, and the operating system with it, can run.
#pragma once

#include <vector>

namespace minigrad {

struct CpuFlag {
  const char* name;
  bool present;
};

inline std::vector<CpuFlag> cpu_flags() {
#if defined(__x86_64__) && defined(__GNUC__)
  __builtin_cpu_init();
#define FLAG(name) {#name, __builtin_cpu_supports(#name) != 0}
  return {FLAG(sse2),    FLAG(avx),      FLAG(avx2),     FLAG(fma),     FLAG(bmi2),
          FLAG(avx512f), FLAG(avx512bw), FLAG(avx512dq), FLAG(avx512vl)};
#undef FLAG
#elif defined(__aarch64__)
  return {{"neon", true}};
#else
  return {};
#endif
}

}  // namespace minigrad
