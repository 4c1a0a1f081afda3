// Streams that take note, and graphs that do again what was noted. The graph that a node belongs to lives as long as
// what is launched, for the driver knows nodes by it: `set_node` gives one of them other arguments.

#include "graph.h"

#include <string>

#include "kernel.h"

namespace minigrad::driver {
namespace {

struct Captured {
  PyObject_HEAD Graph graph;
  GraphExec exec;
};

Captured* as_captured(PyObject* object) { return reinterpret_cast<Captured*>(object); }

// launch(): into the current stream
PyObject* launch(PyObject* self, PyObject*) {
  Stream stream = nullptr;
  if (!find_stream(stream)) return nullptr;
  const Result result = unlocked([&] { return api.launch_graph(as_captured(self)->exec, stream); });
  if (!check(result, "[capture] the launch of a graph failed")) return nullptr;
  Py_RETURN_NONE;
}

// set_node(node, kernel, grid, block, args, shared=0)
PyObject* set_node(PyObject* self, PyObject* const* values, Py_ssize_t count) {
  if (count < 5 || !is_kernel(values[1]))
    return PyErr_Format(PyExc_TypeError, "[capture] expected a node, a kernel and its launch"), nullptr;
  const GraphNode node = PyLong_AsVoidPtr(values[0]);
  Launch launch;
  if (PyErr_Occurred() || !prepare(values[1], values + 2, count - 2, launch)) return nullptr;
  const std::string what = std::string("[") + entry_of(values[1]) + "] a graph does not take other arguments";
  if (!check(api.set_node(as_captured(self)->exec, node, &launch.node), what.c_str())) return nullptr;
  Py_RETURN_NONE;
}

void free_captured(PyObject* self) {
  if (as_captured(self)->exec) api.destroy_exec(as_captured(self)->exec);
  if (as_captured(self)->graph) api.destroy_graph(as_captured(self)->graph);
  Py_TYPE(self)->tp_free(self);
}

PyMethodDef methods[] = {
    {"launch", launch, METH_NOARGS, "launch(): put the graph into the current stream."},
    {"set_node", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(set_node)), METH_FASTCALL,
     "set_node(node, kernel, grid, block, args, shared=0): what a node is launched with from now on."},
    {nullptr, nullptr, 0, nullptr},
};

PyTypeObject make_type() {
  PyTypeObject type = {PyVarObject_HEAD_INIT(nullptr, 0)};
  type.tp_name = "minigrad._driver.Graph";
  type.tp_doc = "What a captured stream took note of.";
  type.tp_basicsize = sizeof(Captured);
  type.tp_dealloc = free_captured;
  type.tp_methods = methods;
  type.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION;
  return type;
}
PyTypeObject graph_type = make_type();

bool read_stream(PyObject* value, Stream& stream) {
  stream = PyLong_AsVoidPtr(value);
  return !PyErr_Occurred();
}

}  // namespace

bool ready_graph(PyObject* module) { return PyModule_AddType(module, &graph_type) == 0; }

PyObject* begin_capture(PyObject*, PyObject* value) {
  Stream stream = nullptr;
  if (!read_stream(value, stream)) return nullptr;
  if (!check(api.begin_capture(stream, kRelaxed), "[capture] the stream cannot be captured")) return nullptr;
  Py_RETURN_NONE;
}

PyObject* last_node(PyObject*, PyObject* value) {
  Stream stream = nullptr;
  int status = 0;
  std::uint64_t id = 0;
  Graph graph = nullptr;
  const GraphNode* nodes = nullptr;
  std::size_t count = 0;
  if (!read_stream(value, stream)) return nullptr;
  const Result result = api.capture_info(stream, &status, &id, &graph, &nodes, &count);
  if (!check(result, "[capture] the stream does not say what it noted")) return nullptr;
  if (status == kCaptureActive && count == 1) return PyLong_FromVoidPtr(nodes[0]);
  return PyErr_Format(PyExc_RuntimeError, "[capture] the stream noted nothing, or is captured no more"), nullptr;
}

PyObject* end_capture(PyObject*, PyObject* value) {
  Stream stream = nullptr;
  if (!read_stream(value, stream)) return nullptr;
  Captured* captured = PyObject_New(Captured, &graph_type);
  if (!captured) return nullptr;
  captured->graph = captured->exec = nullptr;
  if (check(api.end_capture(stream, &captured->graph), "[capture] the capture failed") &&
      check(api.instantiate(&captured->exec, captured->graph, 0), "[capture] no graph could be made"))
    return reinterpret_cast<PyObject*>(captured);
  Py_DECREF(captured);
  return nullptr;
}

PyObject* abandon_capture(PyObject*, PyObject* value) {
  Stream stream = nullptr;
  Graph graph = nullptr;
  if (!read_stream(value, stream)) return nullptr;
  api.end_capture(stream, &graph);
  if (graph) api.destroy_graph(graph);
  Py_RETURN_NONE;
}

}  // namespace minigrad::driver
