// Program: a list of recorded kernel calls and the buffers they work on, replayed with no Python in between.
//
// A call is added by running its kernel under a Recorder (replay.h); every array of it must lie in one of the
// program's buffers, and is from then on known as (buffer, offset). `place` says where a buffer lies; `run` runs the
// calls. Calls that work element by element on arrays of one size and stand next to each other are joined: they go
// over the arrays together, block by block, so that what one has written is still in the cache for the next.

#include "program.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <unordered_set>

#include <pybind11/stl.h>

#include "binding.h"
#include "cpu/elementwise.h"
#include "cpu/parallel.h"

namespace py = pybind11;

namespace minigrad::binding {
namespace {

constexpr Size kBlock = 4096;  // elements that joined calls work on at a time: some arrays of it stay in the cache

bool works_by_element(const char* kernel) {
#define NAME(name, formula) #name,
  static const std::unordered_set<std::string_view> names = {
      MINIGRAD_ELEMENTWISE(NAME, NAME, NAME, NAME) "copy_forward",
      "clamp_forward",
      "clamp_backward",
      "pow_scalar_forward",
      "pow_scalar_backward",
      "where_forward"};
#undef NAME
  return names.count(kernel) > 0;
}

struct Buffer {
  char* address;  // while calls are added: where the arrays lie that they are shown
  Size bytes;
};

struct Place {  // of an array in a buffer
  Slot slot;
  Size buffer, offset;
};

struct Entry {
  std::unique_ptr<Call> call;
  std::vector<Place> places;
  Size cuts;  // > 0: may be joined with neighbours of the same
};

struct Group {
  std::size_t first, last;
};

bool overlap(const Place& a, const Place& b) {
  return a.buffer == b.buffer && a.offset < b.offset + b.slot.bytes && b.offset < a.offset + a.slot.bytes;
}

// Whether a call may go block by block along with `other`: what both see must be the very same elements.
bool in_step(const Entry& a, const Entry& b) {
  for (const Place& x : a.places)
    for (const Place& y : b.places)
      if (overlap(x, y) && (x.offset != y.offset || x.slot.bytes != y.slot.bytes)) return false;
  return true;
}

class Program {
 public:
  explicit Program(const std::vector<std::pair<std::uintptr_t, Size>>& buffers) {
    for (const auto& [address, bytes] : buffers) buffers_.push_back({reinterpret_cast<char*>(address), bytes});
  }

  std::size_t add(const py::function& kernel, const py::tuple& arguments) {
    Recorder recorder;
    Recorder::current = &recorder;
    PyObject* done = PyObject_CallObject(kernel.ptr(), arguments.ptr());
    Recorder::current = nullptr;
    if (!done) throw py::error_already_set();
    Py_DECREF(done);
    if (!recorder.call) throw py::type_error("[Program] expected a kernel of the extension");
    const char* name = recorder.call->kernel;
    Entry entry{std::move(recorder.call), {}, 0};
    for (const Slot& slot : entry.call->slots()) entry.places.push_back(find(slot, name));
    if (works_by_element(name)) entry.cuts = entry.call->cuts();
    entries_.push_back(std::move(entry));
    return entries_.size() - 1;
  }

  // Calls first..last become one run; returns its number.
  std::size_t close(std::size_t first, std::size_t last) {
    std::vector<Group> groups;
    for (std::size_t i = first; i < last; ++i) {
      if (groups.empty() || !joins(groups.back(), i))
        groups.push_back({i, i + 1});
      else
        ++groups.back().last;
    }
    runs_.push_back(std::move(groups));
    return runs_.size() - 1;
  }

  void place(Size buffer, py::handle array, Size offset) {
    if (buffer < 0 || buffer >= Size(buffers_.size())) throw py::index_error("[Program] there is no such buffer");
    if (!PyArray_Check(array.ptr())) throw py::type_error("[Program] expected an array to place a buffer in");
    if (slots_.empty()) gather();
    char* address = PyArray_BYTES(reinterpret_cast<PyArrayObject*>(array.ptr())) + offset;
    for (const Place& p : slots_[buffer]) p.slot.set(address + p.offset);
  }

  void set(std::size_t call, int argument, const py::object& number) {
    if (!entries_.at(call).call->set(argument, number.ptr())) throw py::error_already_set();
  }

  void run(std::size_t number) {
    const char* name = "";
    std::exception_ptr error;
    {
      py::gil_scoped_release released;
      try {
        const FlushDenormals flush;
        for (const Group& group : runs_.at(number)) name = entries_[group.first].call->kernel, run(group);
      } catch (...) {
        error = std::current_exception();
      }
    }
    if (!error) return;
    raise(name, error);
    throw py::error_already_set();
  }

  std::vector<std::vector<std::string>> groups() const {
    std::vector<std::vector<std::string>> names;
    for (const auto& run : runs_)
      for (const Group& group : run) {
        names.emplace_back();
        for (std::size_t i = group.first; i < group.last; ++i) names.back().push_back(entries_[i].call->kernel);
      }
    return names;
  }

 private:
  Place find(const Slot& slot, const char* kernel) const {
    const char* address = slot.get();
    for (std::size_t i = 0; i < buffers_.size(); ++i)
      if (address >= buffers_[i].address && address < buffers_[i].address + buffers_[i].bytes)
        return {slot, Size(i), address - buffers_[i].address};
    throw py::value_error("[Program] an array of " + std::string(kernel) + " lies in none of the buffers");
  }

  void gather() {
    slots_.resize(buffers_.size());
    for (const Entry& entry : entries_)
      for (const Place& p : entry.places) slots_[p.buffer].push_back(p);
  }

  bool joins(const Group& group, std::size_t i) const {
    const Entry& next = entries_[i];
    if (next.cuts <= kBlock || entries_[group.first].cuts != next.cuts) return false;
    return std::all_of(entries_.begin() + group.first, entries_.begin() + group.last,
                       [&](const Entry& before) { return in_step(before, next); });
  }

  void run(const Group& group) {
    if (group.last - group.first == 1) return entries_[group.first].call->run();
    const Size size = entries_[group.first].cuts, blocks = (size + kBlock - 1) / kBlock;
    parallel_for(blocks, kStreamGrain / kBlock, [&](Size begin, Size end) {
      for (Size block = begin; block < end; ++block)
        for (std::size_t i = group.first; i < group.last; ++i)
          entries_[i].call->run_part(block * kBlock, std::min(size, (block + 1) * kBlock));
    });
  }

  std::vector<Buffer> buffers_;
  std::vector<Entry> entries_;
  std::vector<std::vector<Place>> slots_;  // by buffer
  std::vector<std::vector<Group>> runs_;
};

}  // namespace

void define_program(py::module_& m) {
  py::class_<Program>(m, "Program", "Recorded kernel calls and the buffers they work on.")
      .def(py::init<const std::vector<std::pair<std::uintptr_t, Size>>&>(), py::arg("buffers"))
      .def("add", &Program::add, "Take in the call kernel(*arguments); returns its number.", py::arg("kernel"),
           py::arg("arguments"))
      .def("close", &Program::close, "Make the calls first..last one run; returns its number.", py::arg("first"),
           py::arg("last"))
      .def("place", &Program::place, "Lay a buffer into the memory of an array.", py::arg("buffer"), py::arg("array"),
           py::arg("offset") = 0)
      .def("set", &Program::set, "Replace a number among the arguments of a call.", py::arg("call"),
           py::arg("argument"), py::arg("number"))
      .def("run", py::overload_cast<std::size_t>(&Program::run), "Run the calls of a run.", py::arg("number"))
      .def("groups", &Program::groups, "The kernels in order, joined ones together.");
}

}  // namespace minigrad::binding
