// The whole C++ surface on a page.
//
// To add a kernel: write `void softmax_forward(Out<float> y, In<float> x)` in csrc/cpu/softmax.cpp, declare it in
// csrc/cpu/kernels.h, and put its row, KERNEL(softmax_forward), in the table below. The arguments' conversions and
// checks follow from the signature (binding.h); an elementwise op is one row of csrc/cpu/elementwise.h and nothing
// else.

#define MINIGRAD_IMPORT_ARRAY
#include "binding.h"

#include <pybind11/pybind11.h>

#include "cpu/ceilings.h"
#include "cpu/kernels.h"
#include "cpu/memory.h"
#include "cpu/parallel.h"
#include "cpu_flags.h"
#include "pooled_array.h"
#include "program.h"

namespace py = pybind11;

namespace {

#define ROW(name, formula) KERNEL(name),

// clang-format off
PyMethodDef kernels[] = {
    MINIGRAD_ELEMENTWISE(ROW, ROW, ROW, ROW)
    KERNEL(copy_forward),
    KERNEL(clamp_forward),
    KERNEL(clamp_backward),
    KERNEL(pow_scalar_forward),
    KERNEL(pow_scalar_backward),
    KERNEL(where_forward),

    KERNEL(sum_forward),
    KERNEL(mean_forward),
    KERNEL(prod_forward),
    KERNEL(prod_backward),
    KERNEL(max_forward),
    KERNEL(min_forward),
    KERNEL(logsumexp_forward),
    KERNEL(var_forward),
    KERNEL(cumsum_forward),
    KERNEL(cumsum_backward),
    KERNEL(cumprod_forward),
    KERNEL(cumprod_backward),
    KERNEL(recurrence_forward),

    KERNEL(embedding_forward),
    KERNEL(embedding_backward),

    KERNEL(matmul_forward),
    KERNEL(matmul_forward_float16),
    KERNEL(matmul_forward_bfloat16),
    KERNEL(linear_forward),
    KERNEL(linear_forward_float16),
    KERNEL(linear_forward_bfloat16),
    KERNEL(linear_relu_forward),
    KERNEL(linear_gelu_forward),
    KERNEL(linear_add_forward),
    KERNEL(linear_relu_backward),
    KERNEL(linear_gelu_backward),
    KERNEL(linear_backward_bias),
    KERNEL(int8_linear_forward),

    KERNEL(conv2d_forward),
    KERNEL(conv2d_backward_input),
    KERNEL(conv2d_backward_weight),
    KERNEL(conv2d_relu_pool_forward),
    KERNEL(conv2d_relu_pool_backward),
    KERNEL(conv2d_relu_pool_spread),

    KERNEL(softmax_forward),
    KERNEL(softmax_backward),
    KERNEL(log_softmax_forward),
    KERNEL(log_softmax_backward),
    KERNEL(cross_entropy_forward),
    KERNEL(cross_entropy_backward),
    KERNEL(nll_loss_forward),
    KERNEL(nll_loss_backward),
    KERNEL(mse_loss_forward),
    KERNEL(mse_loss_backward),
    KERNEL(binary_cross_entropy_forward),
    KERNEL(binary_cross_entropy_backward),
    KERNEL(binary_cross_entropy_with_logits_forward),
    KERNEL(binary_cross_entropy_with_logits_backward),
    KERNEL(attention_forward),
    KERNEL(attention_backward),

    KERNEL(layer_norm_forward),
    KERNEL(layer_norm_backward),
    KERNEL(rms_norm_forward),
    KERNEL(rms_norm_backward),
    KERNEL(batch_norm_forward),
    KERNEL(batch_norm_apply),
    KERNEL(batch_norm_backward),
    KERNEL(batch_norm_track),
    KERNEL(batch_norm_relu_pool_forward),
    KERNEL(batch_norm_relu_pool_backward),
    KERNEL(max_pool2d_forward),
    KERNEL(max_pool2d_backward),

    KERNEL(uniform_fill),
    KERNEL(normal_fill),
    KERNEL(dropout_forward),
    KERNEL(dropout_backward),

    KERNEL(total_norm),
    KERNEL(clip_norm),
    KERNEL(sgd_step),
    KERNEL(adagrad_step),
    KERNEL(rmsprop_step),
    KERNEL(adam_step),
    {nullptr, nullptr, 0, nullptr},
};
// clang-format on

PyMethodDef others[] = {
    {"empty", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&minigrad::binding::empty)), METH_FASTCALL,
     "empty(shape, dtype) -> ndarray on a 64-byte aligned buffer of the pool, not initialised"},
    {"divert_empty", &minigrad::binding::divert_empty, METH_O,
     "From now on `empty` asks this function first, and returns what it gives unless that is None"},
    {nullptr, nullptr, 0, nullptr},
};

py::dict memory_stats() {
  const auto stats = minigrad::memory_stats();
  py::dict out;
  out["allocated"] = stats.allocated;
  out["cached"] = stats.cached;
  out["reserved"] = stats.reserved();
  out["peak"] = stats.peak;
  out["allocations"] = stats.allocations;
  out["reuses"] = stats.reuses;
  out["frees"] = stats.frees;
  out["cache_limit"] = stats.cache_limit;
  return out;
}

py::list kernel_names() {
  py::list names;
  for (const PyMethodDef* row = kernels; row->ml_name; ++row) names.append(row->ml_name);
  return names;
}

py::dict cpu_flags() {
  py::dict out;
  for (const auto& flag : minigrad::cpu_flags()) out[flag.name] = flag.present;
  return out;
}

// The number under which numpy knows ml_dtypes' bfloat16.
int number_of_bfloat16() {
  const auto type = py::module_::import("ml_dtypes").attr("bfloat16");
  PyArray_Descr* dtype = nullptr;
  if (!PyArray_DescrConverter(type.ptr(), &dtype)) throw py::error_already_set();
  const int number = dtype->type_num;
  Py_DECREF(dtype);
  return number;
}

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)
#define JOIN_OF(a, b) a##b
#define JOIN(a, b) JOIN_OF(a, b)

}  // namespace

PYBIND11_MODULE(JOIN(_C_, MINIGRAD_ISA), m) {
  if (_import_array() < 0 || !minigrad::binding::ready_pooled_array()) throw py::error_already_set();
  if (PyModule_AddFunctions(m.ptr(), kernels) < 0 || PyModule_AddFunctions(m.ptr(), others) < 0)
    throw py::error_already_set();
  minigrad::binding::Dtype<minigrad::BFloat16>::number = number_of_bfloat16();
  m.attr("isa") = TEXT(MINIGRAD_ISA);
  m.attr("KERNELS") = kernel_names();
  m.def("cpu_flags", &cpu_flags, "Instruction sets that this processor and its operating system can run.");
  m.def("get_num_threads", &minigrad::num_threads);
  m.def("set_num_threads", &minigrad::set_num_threads, py::arg("threads"));
  m.def("memory_stats", &memory_stats,
        "Bytes in use, kept for reuse, their sum and peak, and how many requests there were.");
  m.def("reset_peak", &minigrad::reset_peak, "Start measuring the peak anew.");
  minigrad::binding::define_program(m);
  m.def("empty_cache", &minigrad::empty_cache, "Give the buffers kept for reuse back to the system.");
  using Unlocked = py::call_guard<py::gil_scoped_release>;
  m.def("fma_rate", &minigrad::fma_rate, py::arg("rounds"), Unlocked(), "Multiply-adds: operations per second.");
  m.def("read_rate", &minigrad::read_rate, py::arg("bytes"), py::arg("repeats"), Unlocked(), "Bytes read per second.");
  m.def("copy_rate", &minigrad::copy_rate, py::arg("bytes"), py::arg("repeats"), Unlocked(),
        "Bytes read and written per second.");
}
