// ndarrays on buffers of the pool: a tiny Python object owns the buffer and is the array's base.
#pragma once

#include "binding.h"

namespace minigrad::binding {

bool ready_pooled_array();
// empty(shape, dtype) -> ndarray
PyObject* empty(PyObject*, PyObject* const* arguments, Py_ssize_t count);
// divert_empty(function): other devices have memory of their own
PyObject* divert_empty(PyObject*, PyObject* function);

}  // namespace minigrad::binding
