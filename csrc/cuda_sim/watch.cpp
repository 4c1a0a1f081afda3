// Kernels that do not end. In the checked build every basic block of a kernel counts: a block of threads has so many
// (`patience`), then the launch ends with a report. In both builds so does Ctrl-C, which Python alone would not hear of
// before the launch is over.

#include <pthread.h>
#include <signal.h>
#include <ucontext.h>

#include "runtime.h"

extern "C" char __ehdr_start[] __attribute__((visibility("hidden")));
extern "C" char _end[] __attribute__((visibility("hidden")));

namespace cuda_sim {

bool interrupted;

namespace {

uint64_t steps_left = UINT64_MAX;
pthread_t launcher;
struct sigaction before;
bool listens;

void give_up(const void* code) {
  run.report->file[0] = 0;
  run.report->code[0] = static_cast<uint64_t>(static_cast<const char*>(code) - __ehdr_start);
  if (interrupted) return fail("interrupted", "interrupted at @0 in %s", name_of(*current).c_str());
  fail("endless loop", "its threads took more than %llu steps in one block, the last at @0 in %s",
       static_cast<unsigned long long>(run.launch->patience), name_of(*current).c_str());
}

const char* interrupted_code(void* context) {
  const mcontext_t& machine = static_cast<ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  return reinterpret_cast<const char*>(machine.gregs[REG_RIP]);
#else
  return reinterpret_cast<const char*>(machine.pc);
#endif
}

// A kernel owns nothing, so its thread can be left anywhere; not so in the C library, where a lock may be held: then it
// is left when it next waits.
void on_interrupt(int signal, siginfo_t*, void* context) {
  if (!pthread_equal(pthread_self(), launcher)) {
    pthread_kill(launcher, signal);
    return;
  }
  interrupted = true;
#ifdef CUDA_SIM_CHECK
  steps_left = 1;  // in the next basic block
  (void)context;
#else
  const char* code = interrupted_code(context);
  if (current && code >= __ehdr_start && code < _end) give_up(code + 1);
#endif
}

}  // namespace

void watch_launch_begins() {
  interrupted = false, listens = false;
  launcher = pthread_self();
  if (sigaction(SIGINT, nullptr, &before) || before.sa_handler == SIG_IGN || before.sa_handler == SIG_DFL) return;
  struct sigaction wanted = before;
  wanted.sa_sigaction = on_interrupt;
  wanted.sa_flags = SA_SIGINFO | SA_NODEFER;  // the handler may not return
  listens = sigaction(SIGINT, &wanted, nullptr) == 0;
}

void watch_block_begins() { steps_left = run.launch->patience ? run.launch->patience : UINT64_MAX; }

void watch_launch_ends() {
  if (listens) sigaction(SIGINT, &before, nullptr);
}

}  // namespace cuda_sim

#ifdef CUDA_SIM_CHECK
// The compiler calls this at the beginning of each basic block.
extern "C" void __sanitizer_cov_trace_pc() {
  using namespace cuda_sim;
  if (__builtin_expect(--steps_left == 0, 0) && current) give_up(__builtin_return_address(0));
}
#endif
