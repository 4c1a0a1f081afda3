// Graph: what was put into a stream while it was captured, to be launched as one; see graph.cpp.
#pragma once

#include "api.h"

namespace minigrad::driver {

bool ready_graph(PyObject* module);
// begin_capture(stream): from now on the stream takes note instead of running
PyObject* begin_capture(PyObject*, PyObject* stream);
// last_node(stream) -> the node of what was put into a captured stream last
PyObject* last_node(PyObject*, PyObject* stream);
// end_capture(stream) -> Graph
PyObject* end_capture(PyObject*, PyObject* stream);
// abandon_capture(stream): end it and forget what was noted, whatever state it is in
PyObject* abandon_capture(PyObject*, PyObject* stream);

}  // namespace minigrad::driver
