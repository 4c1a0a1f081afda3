// From a kernel's C++ signature to a Python function: one template, no code per kernel.
//
// KERNEL(softmax_forward) is a PyMethodDef row for `void softmax_forward(Out<float> y, In<float> x)`. A call costs some
// 50 ns: vector call, no conversions, only checks. What does not fit raises TypeError with kernel and argument; nothing
// is ever copied.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#ifndef MINIGRAD_IMPORT_ARRAY
#define NO_IMPORT_ARRAY
#endif
#define PY_ARRAY_UNIQUE_SYMBOL minigrad_array_api
#include <numpy/arrayobject.h>

#include <exception>
#include <tuple>
#include <utility>

#include "cpu/array.h"
#include "cpu/denormals.h"
#include "replay.h"

namespace minigrad::binding {

static_assert(sizeof(npy_intp) == sizeof(Size));

// A kernel on fewer elements than this in all its arrays keeps the interpreter's lock: giving it up would cost more
// than it gains.
constexpr Size kReleaseAt = 16384;

struct Where {
  const char* kernel;
  int argument;  // counted from 1
};

template <class T>
struct Dtype;
template <>
struct Dtype<float> {
  static constexpr const char* name = "float32";
  static bool holds(int type) { return type == NPY_FLOAT; }
};
template <>
struct Dtype<double> {
  static constexpr const char* name = "float64";
  static bool holds(int type) { return type == NPY_DOUBLE; }
};
template <>
struct Dtype<int64_t> {
  static constexpr const char* name = "int64";
  static bool holds(int type) { return type == NPY_INT64 || (sizeof(long long) == 8 && type == NPY_LONGLONG); }
};
template <>
struct Dtype<int8_t> {
  static constexpr const char* name = "int8";
  static bool holds(int type) { return type == NPY_INT8; }
};
template <>
struct Dtype<Float16> {
  static constexpr const char* name = "float16";
  static bool holds(int type) { return type == NPY_HALF; }
};
template <>
struct Dtype<BFloat16> {
  static constexpr const char* name = "bfloat16";
  static inline int number = -1;  // numpy gives it when ml_dtypes is imported
  static bool holds(int type) { return type == number; }
};
template <>
struct Dtype<uint8_t> {
  static constexpr const char* name = "bool";
  static bool holds(int type) { return type == NPY_BOOL || type == NPY_UINT8; }
};

inline bool refuse(Where where, PyObject* found, const char* layout, const char* dtype, const char* why) {
  if (!PyArray_Check(found)) {
    PyErr_Format(PyExc_TypeError, "[%s] argument %d: expected %s%s, found %s", where.kernel, where.argument, layout,
                 dtype, Py_TYPE(found)->tp_name);
    return false;
  }
  auto* array = reinterpret_cast<PyArrayObject*>(found);
  const auto shape = shape_text(PyArray_DIMS(array), PyArray_NDIM(array));
  PyErr_Format(PyExc_TypeError, "[%s] argument %d: expected %s%s, found %s%S of shape %s", where.kernel, where.argument,
               layout, dtype, why, PyArray_DESCR(array), shape.c_str());
  return false;
}

// Checks flags and dtype and fills the view; one body for all array arguments.
template <class T, class A>
bool read_array(PyObject* object, A& out, Where where, bool contiguous, bool writable) {
  const char* layout =
      contiguous ? (writable ? "writable C-contiguous " : "C-contiguous ") : (writable ? "writable " : "");
  if (!PyArray_Check(object)) return refuse(where, object, layout, Dtype<T>::name, "");
  auto* array = reinterpret_cast<PyArrayObject*>(object);
  if (!Dtype<T>::holds(PyArray_TYPE(array))) return refuse(where, object, layout, Dtype<T>::name, "");
  const int flags = PyArray_FLAGS(array);
  if (contiguous && !(flags & NPY_ARRAY_C_CONTIGUOUS)) return refuse(where, object, layout, Dtype<T>::name, "strided ");
  if (writable && !(flags & NPY_ARRAY_WRITEABLE)) return refuse(where, object, layout, Dtype<T>::name, "read-only ");
  if (!(flags & NPY_ARRAY_ALIGNED)) return refuse(where, object, layout, Dtype<T>::name, "unaligned ");
  if (PyArray_ISBYTESWAPPED(array)) return refuse(where, object, layout, Dtype<T>::name, "byte-swapped ");
  out.data = static_cast<T*>(PyArray_DATA(array));
  out.ndim = PyArray_NDIM(array);
  out.shape = PyArray_DIMS(array);
  out.size = PyArray_MultiplyList(out.shape, out.ndim);
  return true;
}

inline bool refuse_scalar(PyObject* object, Where where, const char* expected) {
  PyErr_Clear();
  PyErr_Format(PyExc_TypeError, "[%s] argument %d: expected %s, found %s", where.kernel, where.argument, expected,
               Py_TYPE(object)->tp_name);
  return false;
}

// Cast<A>::read fills an argument of type A from a Python object, or sets an error and returns false.
template <class A>
struct Cast;

template <>
struct Cast<double> {
  static bool read(PyObject* object, double& out, Where where) {
    if (PyFloat_CheckExact(object)) return out = PyFloat_AS_DOUBLE(object), true;
    if (PyArray_Check(object) && PyArray_NDIM(reinterpret_cast<PyArrayObject*>(object)))
      return refuse_scalar(object, where, "a number");
    out = PyFloat_AsDouble(object);
    return !(out == -1.0 && PyErr_Occurred()) || refuse_scalar(object, where, "a number");
  }
};

template <>
struct Cast<float> {
  static bool read(PyObject* object, float& out, Where where) {
    double wide = 0;
    if (!Cast<double>::read(object, wide, where)) return false;
    out = static_cast<float>(wide);
    return true;
  }
};

template <>
struct Cast<int64_t> {
  static bool read(PyObject* object, int64_t& out, Where where) {
    if (PyLong_CheckExact(object)) {
      out = PyLong_AsLongLong(object);
    } else {
      PyObject* index = PyNumber_Index(object);
      if (!index) return refuse_scalar(object, where, "an int");
      out = PyLong_AsLongLong(index);
      Py_DECREF(index);
    }
    return !(out == -1 && PyErr_Occurred()) || refuse_scalar(object, where, "an int of 64 bits");
  }
};

template <>
struct Cast<bool> {
  static bool read(PyObject* object, bool& out, Where where) {
    if (!PyBool_Check(object) && !PyArray_IsScalar(object, Bool)) return refuse_scalar(object, where, "a bool");
    out = PyObject_IsTrue(object) == 1;
    return true;
  }
};

template <class T>
struct Cast<In<T>> {
  static bool read(PyObject* object, In<T>& out, Where where) { return read_array<T>(object, out, where, true, false); }
};

template <class T>
struct Cast<Out<T>> {
  static bool read(PyObject* object, Out<T>& out, Where where) { return read_array<T>(object, out, where, true, true); }
};

template <class A>
struct Cast<List<A>> {
  static bool read(PyObject* object, List<A>& out, Where where) {
    if (!PyTuple_Check(object) && !PyList_Check(object)) return refuse_scalar(object, where, "a tuple of arrays");
    out.items.resize(static_cast<std::size_t>(PySequence_Fast_GET_SIZE(object)));
    for (std::size_t i = 0; i < out.items.size(); ++i) {
      if (!Cast<A>::read(PySequence_Fast_GET_ITEM(object, i), out.items[i], where)) return false;
      out.size += out.items[i].size;
    }
    return true;
  }
};

template <class A>
struct Cast<Maybe<A>> {
  static bool read(PyObject* object, Maybe<A>& out, Where where) {
    return object == Py_None || Cast<A>::read(object, out, where);
  }
};

template <class V>
void add_strides(PyObject* object, V& out) {
  auto* array = reinterpret_cast<PyArrayObject*>(object);
  out.strides = PyArray_STRIDES(array);
  out.contiguous = PyArray_IS_C_CONTIGUOUS(array);
}

template <class T>
struct Cast<InView<T>> {
  static bool read(PyObject* object, InView<T>& out, Where where) {
    if (PyFloat_Check(object) || PyLong_Check(object) || PyArray_IsScalar(object, Generic)) {
      out.size = 1;
      double wide = 0;
      if (!Cast<double>::read(object, wide, where)) return false;
      out.number = static_cast<T>(wide);
      return true;
    }
    if (!read_array<T>(object, out, where, false, false)) return false;
    add_strides(object, out);
    return true;
  }
};

template <class T>
struct Cast<OutView<T>> {
  static bool read(PyObject* object, OutView<T>& out, Where where) {
    if (!read_array<T>(object, out, where, false, true)) return false;
    add_strides(object, out);
    return true;
  }
};

template <class A>
Size elements(const A& argument) {
  if constexpr (std::is_arithmetic_v<A>)
    return 0;
  else
    return argument.size;
}

// A C++ exception becomes a Python one, with the kernel's name in front.
inline PyObject* raise(const char* kernel, std::exception_ptr error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::bad_alloc&) {
    return PyErr_Format(PyExc_MemoryError, "[%s] out of memory", kernel);
  } catch (const std::invalid_argument& e) {
    return PyErr_Format(PyExc_ValueError, "[%s] %s", kernel, e.what());
  } catch (const std::out_of_range& e) {
    return PyErr_Format(PyExc_IndexError, "[%s] %s", kernel, e.what());
  } catch (const std::exception& e) {
    return PyErr_Format(PyExc_RuntimeError, "[%s] %s", kernel, e.what());
  }
}

template <class A>
bool read_argument(PyObject* object, A& out, const char* kernel, int argument) {
  return Cast<A>::read(object, out, Where{kernel, argument});
}

// One body per signature, whatever the kernel: this keeps the build short.
template <class... A, std::size_t... I>
PyObject* call(const char* name, void (*kernel)(A...), PyObject* const* arguments, Py_ssize_t count,
               std::index_sequence<I...>) {
  if (count != sizeof...(A))
    return PyErr_Format(PyExc_TypeError, "[%s] expected %d arguments, found %zd", name, int(sizeof...(A)), count);
  std::tuple<A...> values;
  if (!(Cast<A>::read(arguments[I], std::get<I>(values), Where{name, int(I) + 1}) && ...)) return nullptr;
  if (Recorder::current) {
    Recorder::current->call = std::make_unique<Bound<A...>>(name, kernel, values);
    Py_RETURN_NONE;
  }

  std::exception_ptr error;
  const Size work = (elements(std::get<I>(values)) + ... + 0);
  // The lock is taken back outside of any handler: a thread that the interpreter ends there unwinds through no catch.
  PyThreadState* released = work >= kReleaseAt ? PyEval_SaveThread() : nullptr;
  try {
    const FlushDenormals flush;
    kernel(std::get<I>(values)...);
  } catch (...) {
    error = std::current_exception();
  }
  if (released) PyEval_RestoreThread(released);
  if (error) return raise(name, error);
  Py_RETURN_NONE;
}

template <class... A>
PyObject* call(const char* name, void (*kernel)(A...), PyObject* const* arguments, Py_ssize_t count) {
  return call(name, kernel, arguments, count, std::index_sequence_for<A...>{});
}

template <auto kernel, class Name>
PyObject* entry(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
  return call(Name::text(), kernel, arguments, count);
}

template <auto kernel, class Name>
PyMethodDef row() {
  return {Name::text(), reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&entry<kernel, Name>)),
          METH_FASTCALL, nullptr};
}

#define KERNEL(name)                                            \
  [] {                                                          \
    struct Name {                                               \
      static constexpr const char* text() { return #name; }     \
    };                                                          \
    return ::minigrad::binding::row<&::minigrad::name, Name>(); \
  }()

}  // namespace minigrad::binding
