// One launch once more, under a debugger. minigrad/cuda/debugger.py has written down what it was given; the arrays are
// put where they lay, so that every pointer in the arguments holds. Linked with the runtime and one kernel file.

#include <sys/mman.h>

#include <cstdio>
#include <string>
#include <vector>

#include "../runtime.h"

extern "C" int cuda_sim_launch(const cuda_sim::Launch* launch, cuda_sim::Report* report);

// Called by the thread that is to be followed, just before its kernel: the debugger stops here (walk.py).
extern "C" __attribute__((noinline)) void cuda_sim_thread_found() { asm volatile(""); }

namespace {

using namespace cuda_sim;

std::vector<char> record;
size_t at;
uint64_t wanted_block, wanted_thread;
void (*call_kernel)(void* function, void** arguments);

uint64_t number() {
  uint64_t value;
  memcpy(&value, &record[at], sizeof value);
  at += sizeof value;
  return value;
}

// So many bytes, with their number before them.
char* bytes(size_t* size) {
  *size = number();
  char* begin = &record[at];
  at += *size;
  return begin;
}

const char* name() {
  size_t size;
  return bytes(&size);
}

bool read(const char* path) {
  FILE* file = fopen(path, "rb");
  if (!file) return false;
  char part[4096];
  for (size_t n; (n = fread(part, 1, sizeof part, file)) > 0;) record.insert(record.end(), part, part + n);
  fclose(file);
  return true;
}

// Whole pages, at the address that they had.
bool restore_memory() {
  for (uint64_t spans = number(); spans > 0; --spans) {
    void* address = reinterpret_cast<void*>(number());
    size_t size;
    const char* content = bytes(&size);
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
    if (mmap(address, size, PROT_READ | PROT_WRITE, flags, -1, 0) != address) return false;
    memcpy(address, content, size);
  }
  return true;
}

void call_and_tell(void* function, void** arguments) {
  const uint3 b = block.index;
  const uint64_t which = b.x + uint64_t{grid_dim.x} * (b.y + uint64_t{grid_dim.y} * b.z);
  if (which == wanted_block && static_cast<uint64_t>(current->linear) == wanted_thread) cuda_sim_thread_found();
  call_kernel(function, arguments);
}

}  // namespace

int main(int, char** argv) {
  if (!read(argv[1])) return puts("the record of the launch cannot be read"), 2;
  wanted_block = number(), wanted_thread = number();
  if (!restore_memory()) return puts("another mapping lies where the arrays were"), 3;
  Launch launch{};
  launch.kernel = name();
  for (unsigned& size : launch.grid) size = static_cast<unsigned>(number());
  for (unsigned& size : launch.block) size = static_cast<unsigned>(number());
  launch.dynamic_shared = number(), launch.max_shared = number();
  std::vector<Buffer> buffers(number());
  for (Buffer& b : buffers) {
    b.base = reinterpret_cast<char*>(number());
    b.bytes = number(), b.read_only = static_cast<int>(number()), b.name = name();
  }
  std::vector<void*> arguments(number());
  std::vector<std::vector<char>> values;  // copies, which are aligned
  for (void*& argument : arguments) {
    size_t size;
    const char* value = bytes(&size);
    argument = values.emplace_back(value, value + size).data();
  }
  launch.buffers = buffers.data(), launch.buffer_count = static_cast<int>(buffers.size());
  launch.arguments = arguments.data(), launch.argument_count = static_cast<int>(arguments.size());
  for (const Kernel* k = kernels; k; k = k->next)
    if (!strcmp(k->name, launch.kernel)) {
      static Kernel told = *k;
      call_kernel = k->call, told.call = call_and_tell, told.next = kernels;
      kernels = &told;
      break;
    }
  Report report;
  if (cuda_sim_launch(&launch, &report)) return printf("%s: %s\n", report.kind, report.message), 1;
  return 0;
}
