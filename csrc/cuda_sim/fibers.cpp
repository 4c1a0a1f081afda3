// Stacks and the switch between them. Two CPUs are known; another needs about ten instructions here.

#include <sys/mman.h>

#include <algorithm>

#include "runtime.h"

namespace cuda_sim {

// cuda_sim_switch_stack(save, load): push the registers that a call must keep, note the stack pointer in *save, take
// `load` for it, pop them again there.
#if defined(__x86_64__)
asm(".text\n.p2align 4\n.type cuda_sim_switch_stack,@function\n.hidden cuda_sim_switch_stack\n"
    "cuda_sim_switch_stack:\n"
    "  push %rbp\n  push %rbx\n  push %r12\n  push %r13\n  push %r14\n  push %r15\n"
    "  mov %rsp, (%rdi)\n  mov %rsi, %rsp\n"
    "  pop %r15\n  pop %r14\n  pop %r13\n  pop %r12\n  pop %rbx\n  pop %rbp\n  ret\n"
    ".size cuda_sim_switch_stack, .-cuda_sim_switch_stack\n");

static void** prepare(void** top, void (*body)()) {
  *--top = nullptr;  // as if called: the stack is 8 bytes off a multiple of 16 when `body` begins
  *--top = reinterpret_cast<void*>(body);
  top -= 6;
  std::fill(top, top + 6, nullptr);
  return top;
}
#elif defined(__aarch64__)
asm(".text\n.p2align 2\n.type cuda_sim_switch_stack,@function\n.hidden cuda_sim_switch_stack\n"
    "cuda_sim_switch_stack:\n"
    "  sub sp, sp, #160\n"
    "  stp x19, x20, [sp]\n  stp x21, x22, [sp, #16]\n  stp x23, x24, [sp, #32]\n  stp x25, x26, [sp, #48]\n"
    "  stp x27, x28, [sp, #64]\n  stp x29, x30, [sp, #80]\n  stp d8, d9, [sp, #96]\n  stp d10, d11, [sp, #112]\n"
    "  stp d12, d13, [sp, #128]\n  stp d14, d15, [sp, #144]\n"
    "  mov x9, sp\n  str x9, [x0]\n  mov sp, x1\n"
    "  ldp x19, x20, [sp]\n  ldp x21, x22, [sp, #16]\n  ldp x23, x24, [sp, #32]\n  ldp x25, x26, [sp, #48]\n"
    "  ldp x27, x28, [sp, #64]\n  ldp x29, x30, [sp, #80]\n  ldp d8, d9, [sp, #96]\n  ldp d10, d11, [sp, #112]\n"
    "  ldp d12, d13, [sp, #128]\n  ldp d14, d15, [sp, #144]\n  add sp, sp, #160\n  ret\n"
    ".size cuda_sim_switch_stack, .-cuda_sim_switch_stack\n");

static void** prepare(void** top, void (*body)()) {
  top -= 20;
  std::fill(top, top + 20, nullptr);
  top[11] = reinterpret_cast<void*>(body);  // x30, where `ret` goes
  return top;
}
#else
#error "the CUDA simulator knows x86-64 and aarch64: this processor needs a switch of stacks in fibers.cpp"
#endif

namespace {

// An odd number of pages, and tops staggered by cache lines: else the hot ends of all stacks share a few cache sets.
constexpr size_t kPage = 4096, kStack = 33 * kPage;
constexpr int kStacks = 1024;
char* stacks;
std::vector<int> unused;  // taken from the end, so that new ones are taken in order
int opened;

// Address space for all, memory for a stack when it is first taken; its lowest page stays closed.
int take_stack() {
  if (!stacks) {
    stacks = static_cast<char*>(mmap(nullptr, kStack * kStacks, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    for (int i = kStacks; i-- > 0;) unused.push_back(i);
  }
  const int stack = unused.back();
  unused.pop_back();
  if (stack >= opened) {
    mprotect(stacks + stack * kStack + kPage, kStack - kPage, PROT_READ | PROT_WRITE);
    opened = stack + 1;
  }
  return stack;
}

}  // namespace

int stack_at(const void* address) {
  const auto offset = static_cast<const char*>(address) - stacks;
  return stacks && offset >= 0 && offset < static_cast<long>(kStack * kStacks) ? static_cast<int>(offset / kStack) : -1;
}

void start_fiber(Thread& thread, void (*body)()) {
  thread.stack = take_stack();
  char* top = stacks + (thread.stack + 1) * kStack - 64 * (thread.stack * 5 % 61);
  thread.stack_pointer = prepare(reinterpret_cast<void**>(top), body);
}

void enter_fiber(Thread& thread) {
  current = &thread;
  cuda_sim_switch_stack(&run.scheduler_stack, thread.stack_pointer);
  current = nullptr;
}

void wait_here() { cuda_sim_switch_stack(&current->stack_pointer, run.scheduler_stack); }

void free_stack(Thread& thread) {
  if (thread.stack >= 0) unused.push_back(thread.stack);
  thread.stack = -1;
}

}  // namespace cuda_sim
