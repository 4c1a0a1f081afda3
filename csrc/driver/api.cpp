// Finding the driver, and what it says went wrong.

#include "api.h"

#ifdef _WIN32
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace minigrad::driver {

Api api;
World world;

namespace {

#ifdef _WIN32
void* open_at(const char* path) { return reinterpret_cast<void*>(LoadLibraryA(path)); }
void* symbol(void* library, const char* name) {
  return reinterpret_cast<void*>(GetProcAddress(static_cast<HMODULE>(library), name));
}
#else
void* open_at(const char* path) { return dlopen(path, RTLD_NOW | RTLD_LOCAL); }
void* symbol(void* library, const char* name) { return dlsym(library, name); }
#endif

template <class F>
bool resolve(void* library, const char* name, F& function) {
  function = reinterpret_cast<F>(symbol(library, name));
  if (!function) PyErr_Format(PyExc_RuntimeError, "[cuda] the driver is too old: it has no %s", name);
  return function != nullptr;
}

}  // namespace

bool open_library(const char* path) {
  void* library = open_at(path);
  if (!library) return PyErr_Format(PyExc_RuntimeError, "[cuda] there is no driver: %s cannot be opened", path), false;
  Api found;
#define ROW(name, text, parameters) \
  if (!resolve(library, text, found.name)) return false;
  MINIGRAD_DRIVER_FUNCTIONS(ROW)
#undef ROW
  api = found;
  return api.ready = check(api.init(0), "[cuda] the driver does not start");
}

bool check(Result result, const char* what) {
  if (result == 0) return true;
  const char *name = "unknown error", *text = "no description";
  api.error_name(result, &name);
  api.error_string(result, &text);
  PyErr_Format(PyExc_RuntimeError, "%s: %s (%d), %s", what, name, result, text);
  return false;
}

bool find_stream(Stream& stream) {
  static PyObject* ptr = PyUnicode_InternFromString("ptr");
  PyObject* current = PyObject_CallNoArgs(world.current_stream);
  PyObject* address = current ? PyObject_GetAttr(current, ptr) : nullptr;
  if (address) stream = PyLong_AsVoidPtr(address);
  Py_XDECREF(address);
  Py_XDECREF(current);
  return !PyErr_Occurred();
}

}  // namespace minigrad::driver
