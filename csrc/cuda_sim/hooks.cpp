// How the checker hears of loads and stores: the compiler instruments the kernels as for its thread and undefined
// behaviour sanitizers, whose runtimes are not linked. Their entry points are defined here instead.

#ifdef CUDA_SIM_CHECK

#include "access.h"
#include "runtime.h"

using namespace cuda_sim;

#define HERE __builtin_return_address(0)

extern "C" {

#define CUDA_SIM_HOOKS(PREFIX, BYTES)                                                    \
  void __tsan_##PREFIX##read##BYTES(void* at) { access(at, BYTES, false, false, HERE); } \
  void __tsan_##PREFIX##write##BYTES(void* at) { access(at, BYTES, true, false, HERE); }
#define CUDA_SIM_ALL_HOOKS(BYTES)   \
  CUDA_SIM_HOOKS(, BYTES)           \
  CUDA_SIM_HOOKS(unaligned_, BYTES) \
  CUDA_SIM_HOOKS(volatile_, BYTES)
CUDA_SIM_ALL_HOOKS(1)
CUDA_SIM_ALL_HOOKS(2)
CUDA_SIM_ALL_HOOKS(4)
CUDA_SIM_ALL_HOOKS(8)
CUDA_SIM_ALL_HOOKS(16)

void __tsan_read_range(void* at, size_t bytes) { access(at, bytes, false, false, HERE); }
void __tsan_write_range(void* at, size_t bytes) { access(at, bytes, true, false, HERE); }
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_init() {}
void __tsan_vptr_update(void**, void*) {}

// Clang calls these in the place of the C library's.
void* __tsan_memcpy(void* to, const void* from, size_t bytes) {
  access(const_cast<void*>(from), bytes, false, false, HERE);
  access(to, bytes, true, false, HERE);
  return memcpy(to, from, bytes);
}
void* __tsan_memmove(void* to, const void* from, size_t bytes) {
  access(const_cast<void*>(from), bytes, false, false, HERE);
  access(to, bytes, true, false, HERE);
  return memmove(to, from, bytes);
}
void* __tsan_memset(void* to, int value, size_t bytes) {
  access(to, bytes, true, false, HERE);
  return memset(to, value, bytes);
}

// The compilers' records of what they found suspicious.
struct Location {
  const char* file;
  uint32_t line, column;
};
struct Type {
  uint16_t kind, info;
  char name[1];
};
struct Mismatch {
  Location location;
  Type* type;
  unsigned char log_alignment, kind;
};
struct Bounds {
  Location location;
  Type *array, *index;
};

static Place place_of(const Location& l) { return {l.file, static_cast<int>(l.line)}; }

void __ubsan_handle_type_mismatch_v1(Mismatch* found, uintptr_t address) {
  if (!current) return;
  const Place place = place_of(found->location);
  blame(place);
  fail(address ? "misaligned" : "wild pointer",
       "%s address %p for %s, which needs an alignment of %d bytes, at %s:%d in %s", address ? "misaligned" : "null",
       reinterpret_cast<void*>(address), found->type->name, 1 << found->log_alignment, place.file, place.line,
       name_of(*current).c_str());
}

void __ubsan_handle_out_of_bounds(Bounds* found, uintptr_t index) {
  if (!current) return;
  const Place place = place_of(found->location);
  blame(place);
  fail("out of bounds", "index %d out of bounds of %s, at %s:%d in %s", static_cast<int>(index), found->array->name,
       place.file, place.line, name_of(*current).c_str());
}

void __ubsan_handle_divrem_overflow(Location* found, uintptr_t, uintptr_t) {
  if (!current) return;
  const Place place = place_of(*found);
  blame(place);
  fail("division by zero", "division by zero at %s:%d in %s", place.file, place.line, name_of(*current).c_str());
}

}  // extern "C"

#endif
