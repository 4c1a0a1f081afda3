// empty(shape, dtype): the one place where arrays for kernels are made. Read empty, then own.

#include "pooled_array.h"

#include <structmember.h>

#include <cstddef>

#include "cpu/memory.h"

namespace minigrad::binding {
namespace {

struct Buffer {
  PyObject_HEAD void* data;
  std::size_t bytes;
  unsigned long long serial;  // which buffer it is, counted from the start: a later one has a higher number
};

PyMemberDef members[] = {
    {"address", sizeof(void*) == 8 ? T_ULONGLONG : T_UINT, offsetof(Buffer, data), READONLY, nullptr},
    {"bytes", sizeof(void*) == 8 ? T_ULONGLONG : T_UINT, offsetof(Buffer, bytes), READONLY, nullptr},
    {"serial", T_ULONGLONG, offsetof(Buffer, serial), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

void free_buffer(PyObject* self) {
  auto* buffer = reinterpret_cast<Buffer*>(self);
  if (buffer->data) deallocate(buffer->data, buffer->bytes);
  PyObject_Free(self);
}

PyTypeObject make_type() {
  PyTypeObject type = {PyVarObject_HEAD_INIT(nullptr, 0)};
  type.tp_name = "minigrad.Buffer";
  type.tp_doc = "Memory of the pool; goes back to it with the last array on it.";
  type.tp_basicsize = sizeof(Buffer);
  type.tp_dealloc = free_buffer;
  type.tp_members = members;
  type.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION;
  return type;
}
PyTypeObject buffer_type = make_type();

// Dimensions from an int or a sequence of them; -1 with an error set.
int read_shape(PyObject* shape, Size* dims) {
  if (PyIndex_Check(shape)) return dims[0] = PyNumber_AsSsize_t(shape, PyExc_OverflowError), PyErr_Occurred() ? -1 : 1;
  PyObject* items = PySequence_Fast(shape, "[empty] shape: expected an int or a sequence of ints");
  if (!items) return -1;
  const Py_ssize_t ndim = PySequence_Fast_GET_SIZE(items);
  if (ndim > NPY_MAXDIMS) {
    PyErr_Format(PyExc_ValueError, "[empty] found %zd dimensions, expected at most %d", ndim, NPY_MAXDIMS);
  } else {
    for (Py_ssize_t d = 0; d < ndim && !PyErr_Occurred(); ++d)
      dims[d] = PyNumber_AsSsize_t(PySequence_Fast_GET_ITEM(items, d), PyExc_OverflowError);
  }
  Py_DECREF(items);
  return PyErr_Occurred() ? -1 : static_cast<int>(ndim);
}

// Bytes of the array; -1 with an error set.
Size count_bytes(const Size* dims, int ndim, Size itemsize) {
  Size bytes = itemsize;
  bool none = itemsize == 0;
  for (int d = 0; d < ndim; ++d) {
    if (dims[d] < 0) return PyErr_Format(PyExc_ValueError, "[empty] negative dimension %zd", dims[d]), -1;
    none = none || dims[d] == 0;
  }
  for (int d = 0; d < ndim && !none; ++d) {
    if (bytes > PY_SSIZE_T_MAX / dims[d]) return PyErr_Format(PyExc_MemoryError, "[empty] shape is too large"), -1;
    bytes *= dims[d];
  }
  return none ? 0 : bytes;
}

PyObject* make_buffer(Size bytes) {
  Buffer* buffer = PyObject_New(Buffer, &buffer_type);
  if (!buffer) return nullptr;
  buffer->bytes = static_cast<std::size_t>(bytes);
  buffer->data = nullptr;
  static unsigned long long count = 0;
  buffer->serial = ++count;
  try {
    buffer->data = allocate(buffer->bytes);
  } catch (const std::bad_alloc&) {
    Py_DECREF(buffer);
    return PyErr_Format(PyExc_MemoryError, "[empty] no room for %zd bytes", bytes);
  }
  return reinterpret_cast<PyObject*>(buffer);
}

// Steals `dtype`.
PyObject* own(int ndim, const Size* dims, PyArray_Descr* dtype) {
  const Size bytes = count_bytes(dims, ndim, PyDataType_ELSIZE(dtype));
  PyObject* buffer = bytes < 0 ? nullptr : make_buffer(bytes);
  if (!buffer) return Py_DECREF(dtype), nullptr;
  PyObject* array = PyArray_NewFromDescr(&PyArray_Type, dtype, ndim, dims, nullptr,
                                         reinterpret_cast<Buffer*>(buffer)->data, NPY_ARRAY_CARRAY, nullptr);
  if (!array) return Py_DECREF(buffer), nullptr;
  if (PyArray_SetBaseObject(reinterpret_cast<PyArrayObject*>(array), buffer) < 0) return Py_DECREF(array), nullptr;
  return array;
}

}  // namespace

static PyObject* diversion = nullptr;  // asked first, once another device than the CPU is in use

bool ready_pooled_array() { return PyType_Ready(&buffer_type) == 0; }

PyObject* empty(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
  if (count != 2) return PyErr_Format(PyExc_TypeError, "[empty] expected 2 arguments (shape, dtype), found %zd", count);
  if (diversion) {
    PyObject* array = PyObject_Vectorcall(diversion, arguments, 2, nullptr);
    if (array != Py_None) return array;
    Py_DECREF(array);
  }
  Size dims[NPY_MAXDIMS];
  const int ndim = read_shape(arguments[0], dims);
  if (ndim < 0) return nullptr;
  PyArray_Descr* dtype = nullptr;
  if (PyArray_DescrConverter(arguments[1], &dtype) != NPY_SUCCEED) return nullptr;
  if (PyDataType_REFCHK(dtype) || PyDataType_HASSUBARRAY(dtype)) {
    PyErr_Format(PyExc_TypeError, "[empty] dtype %S: expected plain numbers", dtype);
    return Py_DECREF(dtype), nullptr;
  }
  return own(ndim, dims, dtype);
}

PyObject* divert_empty(PyObject*, PyObject* function) {
  Py_INCREF(function);
  Py_XSETREF(diversion, function);
  Py_RETURN_NONE;
}

}  // namespace minigrad::binding
