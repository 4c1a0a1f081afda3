// Program: recorded kernel calls, replayed in one go. See program.cpp.
#pragma once

#include <pybind11/pybind11.h>

namespace minigrad::binding {

void define_program(pybind11::module_& m);

}  // namespace minigrad::binding
