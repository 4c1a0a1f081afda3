// A kernel that Python calls: `kernel(grid, block, args, shared=0)` puts one launch into the current stream.
//
// Arguments are packed by the parameters' codes, on the stack, without making an object: "p" an array (its dtype is
// looked at, and whether it is contiguous), "i" "I" "l" "L" integers, "f" "d" floats, "?" a bool, "s" a struct's bytes.
// What a code does not fit is handed to the Python function `slow(index, value)`, which raises or gives the bytes.

#include "kernel.h"

#include <cstring>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

namespace minigrad::driver {
namespace {

struct Parameter {
  char code;
  bool strided;  // whether an array's steps are known to the kernel
  std::size_t bytes, offset;
  std::vector<PyObject*> dtypes;  // of an array's elements; none: any
};

constexpr int kMostDevices = 64;

struct Kernel {
  PyObject_HEAD vectorcallfunc call;
  std::string* entry;
  std::vector<Parameter>* parameters;
  PyObject *find, *slow;  // find(device) -> the driver's function
  Function functions[kMostDevices];
  int shared[kMostDevices];  // bytes of dynamic shared memory that were asked for
};

Kernel* as_kernel(PyObject* object) { return reinterpret_cast<Kernel*>(object); }

PyObject* name(const char* text) { return PyUnicode_InternFromString(text); }

// Arguments -----------------------------------------------------------------------------------------------------------

bool is_true(PyObject* owner, PyObject* attribute) {
  PyObject* value = PyObject_GetAttr(owner, attribute);
  const bool yes = value && PyObject_IsTrue(value) == 1;
  Py_XDECREF(value);
  return yes;
}

bool has_dtype(PyObject* array, const Parameter& parameter) {
  static PyObject* const dtype = name("dtype");
  if (parameter.dtypes.empty()) return true;
  PyObject* found = PyObject_GetAttr(array, dtype);
  Py_XDECREF(found);  // the array has it
  for (PyObject* expected : parameter.dtypes)
    if (found == expected) return true;
  return false;
}

// The address of an array on the GPU with the right elements; false, without an error, for all else.
bool fast_pointer(PyObject* value, const Parameter& parameter, unsigned char* out) {
  static PyObject *const contiguous = name("_c_contiguous"), *const data = name("data"), *const ptr = name("ptr");
  void* address = nullptr;
  if (value != Py_None) {
    if (reinterpret_cast<PyObject*>(Py_TYPE(value)) != world.array_type || !has_dtype(value, parameter)) return false;
    if (!parameter.strided && !is_true(value, contiguous)) return false;
    PyObject* memory = PyObject_GetAttr(value, data);
    PyObject* number = memory ? PyObject_GetAttr(memory, ptr) : nullptr;
    if (number) address = PyLong_AsVoidPtr(number);
    Py_XDECREF(number);
    Py_XDECREF(memory);
    if (PyErr_Occurred()) return false;
  }
  std::memcpy(out, &address, sizeof address);
  return true;
}

template <class T>
bool put(T value, unsigned char* out) {
  std::memcpy(out, &value, sizeof value);
  return true;
}

template <class T>
bool fast_integer(PyObject* value, unsigned char* out) {
  if (!PyLong_Check(value)) return false;
  if constexpr (std::is_same_v<T, std::uint64_t>) {
    return put<T>(PyLong_AsUnsignedLongLong(value), out) && !PyErr_Occurred();
  } else {
    const long long wide = PyLong_AsLongLong(value);
    const bool fits = sizeof(T) == 8 || (wide >= static_cast<long long>(std::numeric_limits<T>::min()) &&
                                         wide <= static_cast<long long>(std::numeric_limits<T>::max()));
    return fits && put<T>(static_cast<T>(wide), out) && !PyErr_Occurred();
  }
}

template <class T>
bool fast_float(PyObject* value, unsigned char* out) {
  if (!PyFloat_Check(value) && !PyLong_Check(value)) return false;
  return put<T>(static_cast<T>(PyFloat_AsDouble(value)), out) && !PyErr_Occurred();
}

// The bytes of a struct: an array without dimensions, bytes, or a tuple that begins with such.
bool fast_struct(PyObject* value, std::size_t bytes, unsigned char* out) {
  if (PyTuple_Check(value) && PyTuple_GET_SIZE(value)) value = PyTuple_GET_ITEM(value, 0);
  Py_buffer view;
  if (!PyObject_CheckBuffer(value) || PyObject_GetBuffer(value, &view, PyBUF_SIMPLE)) return false;
  const bool fits = static_cast<std::size_t>(view.len) == bytes;
  if (fits) std::memcpy(out, view.buf, bytes);
  PyBuffer_Release(&view);
  return fits;
}

bool fast(PyObject* value, const Parameter& parameter, unsigned char* out) {
  switch (parameter.code) {
    case 'p':
      return fast_pointer(value, parameter, out);
    case 'i':
      return fast_integer<std::int32_t>(value, out);
    case 'I':
      return fast_integer<std::uint32_t>(value, out);
    case 'l':
      return fast_integer<std::int64_t>(value, out);
    case 'L':
      return fast_integer<std::uint64_t>(value, out);
    case 'f':
      return fast_float<float>(value, out);
    case 'd':
      return fast_float<double>(value, out);
    case '?':
      return PyBool_Check(value) && put<bool>(value == Py_True, out);
    default:
      return fast_struct(value, parameter.bytes, out);
  }
}

bool pack_slowly(Kernel* kernel, Py_ssize_t i, PyObject* value, const Parameter& parameter, unsigned char* out) {
  PyErr_Clear();
  PyObject* bytes = PyObject_CallFunction(kernel->slow, "nO", i, value);
  if (!bytes) return false;
  const bool fits = fast_struct(bytes, parameter.bytes, out);
  Py_DECREF(bytes);
  if (!fits && !PyErr_Occurred())
    PyErr_Format(PyExc_TypeError, "[%s] argument %zd was not made %zu bytes", kernel->entry->c_str(), i,
                 parameter.bytes);
  return fits;
}

bool pack(Kernel* kernel, PyObject* args, Launch& launch) {
  const auto& parameters = *kernel->parameters;
  const Py_ssize_t count = static_cast<Py_ssize_t>(parameters.size());
  if (!PyTuple_Check(args) || PyTuple_GET_SIZE(args) != count) {
    PyObject* none = PyObject_CallFunction(kernel->slow, "nO", Py_ssize_t(-1), args);
    Py_XDECREF(none);
    if (none) PyErr_Format(PyExc_TypeError, "[%s] expected a tuple of %zd", kernel->entry->c_str(), count);
    return false;
  }
  for (Py_ssize_t i = 0; i < count; ++i) {
    const Parameter& parameter = parameters[static_cast<std::size_t>(i)];
    unsigned char* out = launch.bytes + parameter.offset;
    PyObject* value = PyTuple_GET_ITEM(args, i);
    if (!fast(value, parameter, out) && !pack_slowly(kernel, i, value, parameter, out)) return false;
    launch.arguments[i] = out;
  }
  return true;
}

// Sizes ---------------------------------------------------------------------------------------------------------------

bool read_size(PyObject* value, Dimension& out) {
  const unsigned long long size =
      PyLong_Check(value) ? PyLong_AsUnsignedLongLong(value) : PyNumber_AsSsize_t(value, PyExc_OverflowError);
  if (PyErr_Occurred()) return false;
  if (size > 0x7fffffffull) return PyErr_Format(PyExc_ValueError, "[cuda] a size of %llu is too large", size), false;
  return out = static_cast<Dimension>(size), true;
}

// An int, or a tuple of up to three.
bool read_sizes(PyObject* value, Dimension* out) {
  out[0] = out[1] = out[2] = 1;
  if (!PyTuple_Check(value)) return read_size(value, out[0]);
  const Py_ssize_t count = PyTuple_GET_SIZE(value);
  if (count < 1 || count > 3) return PyErr_Format(PyExc_ValueError, "[cuda] %zd sizes, expected 1 to 3", count), false;
  for (Py_ssize_t i = 0; i < count; ++i)
    if (!read_size(PyTuple_GET_ITEM(value, i), out[i])) return false;
  return true;
}

// The function
// -----------------------------------------------------------------------------------------------------------

// The GPU in use by this thread, which gets its context first if it has none.
bool find_device(int& device) {
  Result result = api.current_device(&device);
  if (result == kInvalidContext) {
    PyObject* done = PyObject_CallNoArgs(world.attach);
    if (!done) return false;
    Py_DECREF(done);
    result = api.current_device(&device);
  }
  if (!check(result, "[cuda] there is no GPU in use")) return false;
  if (device < kMostDevices) return true;
  return PyErr_Format(PyExc_RuntimeError, "[cuda] GPU %d, expected less than %d", device, kMostDevices), false;
}

bool find_function(Kernel* kernel, int device) {
  if (kernel->functions[device]) return true;
  PyObject* found = PyObject_CallFunction(kernel->find, "i", device);
  if (!found) return false;
  kernel->functions[device] = PyLong_AsVoidPtr(found);
  Py_DECREF(found);
  return !PyErr_Occurred();
}

constexpr int kFreeShared = 48 << 10;  // bytes that a launch gets without asking

bool allow_shared(Kernel* kernel, int device, int bytes) {
  if (bytes <= kFreeShared || bytes <= kernel->shared[device]) return true;
  const std::string what = "[" + *kernel->entry + "] " + std::to_string(bytes) + " bytes of shared memory";
  if (!check(api.set_attribute(kernel->functions[device], kMaxDynamicShared, bytes), what.c_str())) return false;
  return kernel->shared[device] = bytes, true;
}

bool refused(Kernel* kernel, Result result, const NodeParameters& n) {
  char what[512];
  PyOS_snprintf(what, sizeof what, "[%s] the launch of %u x %u x %u blocks of %u x %u x %u threads failed",
                kernel->entry->c_str(), n.grid[0], n.grid[1], n.grid[2], n.block[0], n.block[1], n.block[2]);
  return !check(result, what);
}

PyObject* call_kernel(PyObject* self, PyObject* const* values, std::size_t flags, PyObject* names) {
  if (names && PyTuple_GET_SIZE(names)) return PyErr_Format(PyExc_TypeError, "[cuda] arguments go by place"), nullptr;
  Launch launch;
  Stream stream = nullptr;
  if (!prepare(self, values, PyVectorcall_NARGS(flags), launch)) return nullptr;
  if (launch.empty) Py_RETURN_NONE;
  if (!find_stream(stream)) return nullptr;
  const NodeParameters& n = launch.node;
  const Result result = unlocked([&] {
    return api.launch(n.function, n.grid[0], n.grid[1], n.grid[2], n.block[0], n.block[1], n.block[2], n.shared, stream,
                      n.arguments, nullptr);
  });
  if (result && refused(as_kernel(self), result, n)) return nullptr;
  Py_RETURN_NONE;
}

// The type ------------------------------------------------------------------------------------------------------------

std::size_t width(char code) {
  switch (code) {
    case '?':
      return 1;
    case 'i':
    case 'I':
    case 'f':
      return 4;
    default:
      return 8;
  }
}

// A row (code, bytes of a struct, strided, dtypes) of what `Kernel` is made from.
bool read_parameter(PyObject* row, Parameter& out) {
  const char* code = nullptr;
  Py_ssize_t bytes = 0;
  int strided = 0;
  PyObject* dtypes = nullptr;
  if (!PyArg_ParseTuple(row, "snpO!", &code, &bytes, &strided, &PyTuple_Type, &dtypes)) return false;
  out.code = code[0], out.strided = strided;
  out.bytes = code[0] == 's' ? static_cast<std::size_t>(bytes) : width(code[0]);
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(dtypes); ++i) {
    out.dtypes.push_back(PyTuple_GET_ITEM(dtypes, i));
    Py_INCREF(out.dtypes.back());
  }
  return true;
}

bool read_parameters(Kernel* kernel, PyObject* rows) {
  std::size_t end = 0;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(rows); ++i) {
    Parameter parameter;
    if (!read_parameter(PyTuple_GET_ITEM(rows, i), parameter)) return false;
    const std::size_t align = parameter.code == 's' ? 64 : 8;
    parameter.offset = (end + align - 1) / align * align;
    end = parameter.offset + parameter.bytes;
    kernel->parameters->push_back(parameter);
  }
  if (end <= kMostBytes && kernel->parameters->size() <= kMostParameters) return true;
  PyErr_Format(PyExc_ValueError, "[%s] %zu parameters of %zu bytes, expected at most %zu of %zu",
               kernel->entry->c_str(), kernel->parameters->size(), end, kMostParameters, kMostBytes);
  return false;
}

PyObject* make_kernel(PyTypeObject* type, PyObject* args, PyObject*) {
  const char* entry = nullptr;
  PyObject *rows = nullptr, *find = nullptr, *slow = nullptr;
  if (!PyArg_ParseTuple(args, "sO!OO", &entry, &PyTuple_Type, &rows, &find, &slow)) return nullptr;
  Kernel* kernel = as_kernel(type->tp_alloc(type, 0));
  if (!kernel) return nullptr;
  kernel->call = call_kernel;
  kernel->entry = new std::string(entry);
  kernel->parameters = new std::vector<Parameter>;
  kernel->find = Py_NewRef(find), kernel->slow = Py_NewRef(slow);
  if (read_parameters(kernel, rows)) return reinterpret_cast<PyObject*>(kernel);
  Py_DECREF(kernel);
  return nullptr;
}

void free_kernel(PyObject* self) {
  Kernel* kernel = as_kernel(self);
  for (const Parameter& parameter : *kernel->parameters)
    for (PyObject* dtype : parameter.dtypes) Py_DECREF(dtype);
  delete kernel->parameters;
  delete kernel->entry;
  Py_DECREF(kernel->find);
  Py_DECREF(kernel->slow);
  Py_TYPE(self)->tp_free(self);
}

PyTypeObject make_type() {
  PyTypeObject type = {PyVarObject_HEAD_INIT(nullptr, 0)};
  type.tp_name = "minigrad._driver.Kernel";
  type.tp_doc = "Kernel(entry, parameters, find, slow): an entry point, called as kernel(grid, block, args, shared=0).";
  type.tp_basicsize = sizeof(Kernel);
  type.tp_dealloc = free_kernel;
  type.tp_call = PyVectorcall_Call;
  type.tp_vectorcall_offset = offsetof(Kernel, call);
  type.tp_new = make_kernel;
  type.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL;
  return type;
}
PyTypeObject kernel_type = make_type();

}  // namespace

bool prepare(PyObject* self, PyObject* const* values, Py_ssize_t count, Launch& launch) {
  Kernel* kernel = as_kernel(self);
  NodeParameters& n = launch.node;
  if (count != 3 && count != 4) {
    PyErr_Format(PyExc_TypeError, "[%s] found %zd, expected grid, block, args, shared", kernel->entry->c_str(), count);
    return false;
  }
  n.shared = 0, n.arguments = launch.arguments, n.extra = nullptr;
  if (!read_sizes(values[0], n.grid) || !read_sizes(values[1], n.block)) return false;
  if (count == 4 && !read_size(values[3], n.shared)) return false;
  if (!pack(kernel, values[2], launch)) return false;
  launch.empty = !n.grid[0] || !n.grid[1] || !n.grid[2];
  int device = 0;
  if (launch.empty) return true;
  if (!find_device(device) || !find_function(kernel, device)) return false;
  n.function = kernel->functions[device];
  return allow_shared(kernel, device, static_cast<int>(n.shared));
}

bool is_kernel(PyObject* object) { return Py_TYPE(object) == &kernel_type; }
const char* entry_of(PyObject* kernel) { return as_kernel(kernel)->entry->c_str(); }
bool ready_kernel(PyObject* module) { return PyModule_AddType(module, &kernel_type) == 0; }

}  // namespace minigrad::driver
