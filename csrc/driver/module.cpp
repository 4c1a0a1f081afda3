// The module minigrad._driver: kernels on a GPU started by the driver itself, with no more in between than must be.
//
// Read api.h (what of the driver is used), kernel.cpp (a launch), graph.cpp (many at once). Nothing here is compiled
// for an instruction set, and nothing runs before `open`.

#include "graph.h"
#include "kernel.h"

namespace minigrad::driver {
namespace {

PyObject* open(PyObject*, PyObject* args) {
  const char* path = nullptr;
  if (!PyArg_ParseTuple(args, "s", &path) || !open_library(path)) return nullptr;
  Py_RETURN_NONE;
}

PyObject* configure(PyObject*, PyObject* args) {
  PyObject *type = nullptr, *stream = nullptr, *attach = nullptr;
  if (!PyArg_ParseTuple(args, "OOO", &type, &stream, &attach)) return nullptr;
  Py_XSETREF(world.array_type, Py_NewRef(type));
  Py_XSETREF(world.current_stream, Py_NewRef(stream));
  Py_XSETREF(world.attach, Py_NewRef(attach));
  Py_RETURN_NONE;
}

PyObject* load(PyObject*, PyObject* args) {
  const char* image = nullptr;
  Py_ssize_t size = 0;
  Module module = nullptr;
  if (!PyArg_ParseTuple(args, "y#", &image, &size)) return nullptr;
  if (!check(api.load(&module, image), "[cuda] the driver does not load the kernels")) return nullptr;
  return PyLong_FromVoidPtr(module);
}

PyObject* find(PyObject*, PyObject* args) {
  PyObject* module = nullptr;
  const char* entry = nullptr;
  Function function = nullptr;
  if (!PyArg_ParseTuple(args, "Os", &module, &entry)) return nullptr;
  void* address = PyLong_AsVoidPtr(module);
  if (PyErr_Occurred() || !check(api.find(&function, address, entry), entry)) return nullptr;
  return PyLong_FromVoidPtr(function);
}

PyMethodDef functions[] = {
    {"open", open, METH_VARARGS, "open(path): load the driver's library."},
    {"configure", configure, METH_VARARGS, "configure(array_type, current_stream, attach)"},
    {"load", load, METH_VARARGS, "load(cubin) -> module, in the context of the GPU in use"},
    {"find", find, METH_VARARGS, "find(module, entry) -> function"},
    {"begin_capture", begin_capture, METH_O, "begin_capture(stream)"},
    {"last_node", last_node, METH_O, "last_node(stream) -> node"},
    {"end_capture", end_capture, METH_O, "end_capture(stream) -> Graph"},
    {"abandon_capture", abandon_capture, METH_O, "abandon_capture(stream)"},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef definition = {PyModuleDef_HEAD_INIT, "minigrad._driver", "Launches by the driver.", -1, functions};

}  // namespace
}  // namespace minigrad::driver

PyMODINIT_FUNC PyInit__driver() {
  using namespace minigrad::driver;
  PyObject* module = PyModule_Create(&definition);
  if (module && ready_kernel(module) && ready_graph(module)) return module;
  Py_XDECREF(module);
  return nullptr;
}
