// A stand-in for NVIDIA's driver: as much of libcuda as csrc/driver uses. It takes note of every call, and can be told
// to fail. Where a test gives it a runner, launches are run by that; without one they are only counted.
//
// A "cubin" is a text: a line for each kernel, its name and the sizes of its parameters. A stream that is captured
// makes a graph of the launches, with copies of their arguments, and of the notes that a test puts in between.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MOST 64
enum {
  INVALID_VALUE = 1,
  INVALID_CONTEXT = 201,
  NOT_FOUND = 500,
  ILLEGAL_STATE = 401,
  UNSUPPORTED = 900,
  INVALIDATED = 901
};

typedef struct {
  char name[128];
  int count, sizes[MOST], most_shared;
} Function;
typedef struct {
  Function* function;
  unsigned sizes[7];
  void** arguments;
  int note;
} Node;
typedef struct {
  Node nodes[4096];
  int count;
} Graph;
typedef struct {
  Graph* graph;
  void** copies[4096];
  unsigned sizes[4096][7];
} Exec;
typedef struct {
  Function* function;
  unsigned grid[3], block[3], shared;
  void** arguments;
  void** extra;
} Parameters;
typedef int (*Runner)(Function*, const unsigned* sizes, void* stream, void** arguments);
typedef void (*Noted)(int note);

static int launches, graph_launches, device, has_context = 1, alive;
static char failing[64];
static int failure;
static Runner runner;
static Noted noted;
static void* captured;  // the stream that is captured
static int captured_state;
static Graph* capturing;
static void* last[1];

// For the tests
// ---------------------------------------------------------------------------------------------------------
void stub_reset(Runner run, Noted note) {
  runner = run, noted = note, failing[0] = 0, launches = graph_launches = device = 0, has_context = 1;
  captured = 0, captured_state = 0, capturing = 0;
}
void stub_fail(const char* name, int code) { strcpy(failing, name), failure = code; }
void stub_context(int there, int number) { has_context = there, device = number; }
int stub_launches(void) { return launches; }
int stub_graph_launches(void) { return graph_launches; }
int stub_graphs_alive(void) { return alive; }
int stub_capturing(void* stream) { return capturing && stream == captured ? captured_state : 0; }
void stub_invalidate(void) { captured_state = 2; }
void stub_note(int note) {
  Node* node = &capturing->nodes[capturing->count++];
  node->function = 0, node->note = note;
}
int stub_nodes(Exec* exec) { return exec->graph->count; }

static int fails(const char* name) {
  if (strcmp(name, failing)) return 0;
  failing[0] = 0;
  return failure;
}
#define CALL(name) \
  if (fails(name)) return failure

static void** copied(Function* f, void** arguments) {
  void** copies = malloc(sizeof(void*) * MOST);
  for (int i = 0; i < f->count; ++i) copies[i] = memcpy(malloc(f->sizes[i]), arguments[i], f->sizes[i]);
  return copies;
}

// The driver
// ------------------------------------------------------------------------------------------------------------
int cuInit(unsigned flags) {
  CALL("cuInit");
  return flags ? INVALID_VALUE : 0;
}
int cuGetErrorName(int code, const char** text) {
  *text = code == INVALID_CONTEXT ? "CUDA_ERROR_INVALID_CONTEXT"
          : code == 701           ? "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES"
                                  : "CUDA_ERROR_OTHER";
  return 0;
}
int cuGetErrorString(int code, const char** text) {
  *text = code == 701 ? "too many resources requested for launch" : "no words for it";
  return 0;
}
int cuCtxGetDevice(int* number) {
  CALL("cuCtxGetDevice");
  *number = device;
  return has_context ? 0 : INVALID_CONTEXT;
}
int cuModuleLoadData(void** module, const void* image) {
  CALL("cuModuleLoadData");
  *module = strdup(image);
  return 0;
}
int cuModuleGetFunction(void** function, void* module, const char* name) {
  CALL("cuModuleGetFunction");
  const size_t length = strlen(name);
  for (const char* line = module; *line; line = strchr(line, '\n') + 1) {
    if (strncmp(line, name, length) || (line[length] != ' ' && line[length] != '\n')) continue;
    Function* f = calloc(1, sizeof *f);
    char* at = (char*)line + length;
    strcpy(f->name, name);
    while (*at == ' ') f->sizes[f->count++] = (int)strtol(at, &at, 10);
    return *function = f, 0;
  }
  return NOT_FOUND;
}
int cuFuncSetAttribute(Function* f, int attribute, int value) {
  CALL("cuFuncSetAttribute");
  if (attribute != 8 || value > 232448) return INVALID_VALUE;
  return f->most_shared = value, 0;
}
int cuLaunchKernel(Function* f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, void* stream, void** arguments, void** extra) {
  CALL("cuLaunchKernel");
  const unsigned sizes[7] = {gx, gy, gz, bx, by, bz, shared};
  if (!gx || !gy || !gz || gy > 65535 || gz > 65535 || bx * by * bz > 1024 || extra) return INVALID_VALUE;
  if (shared > (48u << 10) && (int)shared > f->most_shared) return INVALID_VALUE;
  if (stub_capturing(stream) == 2) return INVALIDATED;
  if (stub_capturing(stream)) {
    Node* node = &capturing->nodes[capturing->count++];
    node->function = f, node->arguments = copied(f, arguments);
    memcpy(node->sizes, sizes, sizeof sizes);
    return 0;
  }
  ++launches;
  return runner ? runner(f, sizes, stream, arguments) : 0;
}
int cuStreamBeginCapture_v2(void* stream, int mode) {
  CALL("cuStreamBeginCapture");
  if (!stream || mode != 2) return UNSUPPORTED;
  if (capturing) return ILLEGAL_STATE;
  captured = stream, captured_state = 1, capturing = calloc(1, sizeof *capturing), ++alive;
  return 0;
}
int cuStreamGetCaptureInfo_v2(void* stream, int* status, uint64_t* id, Graph** graph, void*** nodes, size_t* count) {
  *status = stub_capturing(stream), *id = 1, *graph = capturing, *count = 0;
  if (*status == 1 && capturing->count) last[0] = &capturing->nodes[capturing->count - 1], *nodes = last, *count = 1;
  return 0;
}
int cuGraphDestroy(Graph* graph) {
  --alive;
  free(graph);
  return 0;
}
int cuStreamEndCapture(void* stream, Graph** graph) {
  CALL("cuStreamEndCapture");
  *graph = 0;
  if (!capturing || stream != captured) return ILLEGAL_STATE;
  Graph* made = capturing;
  const int state = captured_state;
  capturing = 0, captured = 0, captured_state = 0;
  if (state == 2) return cuGraphDestroy(made), INVALIDATED;
  return *graph = made, 0;
}
int cuGraphInstantiateWithFlags(Exec** exec, Graph* graph, unsigned long long flags) {
  CALL("cuGraphInstantiate");
  if (flags) return INVALID_VALUE;
  Exec* made = calloc(1, sizeof *made);
  made->graph = graph;
  for (int i = 0; i < graph->count; ++i) {
    if (!graph->nodes[i].function) continue;
    made->copies[i] = copied(graph->nodes[i].function, graph->nodes[i].arguments);
    memcpy(made->sizes[i], graph->nodes[i].sizes, sizeof made->sizes[i]);
  }
  ++alive;
  return *exec = made, 0;
}
int cuGraphExecKernelNodeSetParams(Exec* exec, Node* node, const Parameters* p) {
  CALL("cuGraphExecKernelNodeSetParams");
  const long i = node - exec->graph->nodes;
  if (i < 0 || i >= exec->graph->count || p->function != node->function || p->extra) return INVALID_VALUE;
  exec->copies[i] = copied(p->function, p->arguments);
  memcpy(exec->sizes[i], p->grid, 3 * sizeof(unsigned));
  memcpy(exec->sizes[i] + 3, p->block, 3 * sizeof(unsigned));
  exec->sizes[i][6] = p->shared;
  return 0;
}
int cuGraphLaunch(Exec* exec, void* stream) {
  CALL("cuGraphLaunch");
  ++graph_launches;
  for (int i = 0; i < exec->graph->count; ++i) {
    Function* f = exec->graph->nodes[i].function;
    if (!f && noted) noted(exec->graph->nodes[i].note);
    const int result = f && runner ? runner(f, exec->sizes[i], stream, exec->copies[i]) : 0;
    if (result) return result;
  }
  return 0;
}
int cuGraphExecDestroy(Exec* exec) {
  --alive;
  free(exec);
  return 0;
}
