// A recorded kernel call: its arguments as they were read once, to be run again with no Python in between.
//
// While a `Recorder` stands, a kernel that is called from Python does not run: it leaves a Call with the recorder. A
// call knows where its arrays' pointers are, so that a program (replay.cpp) can place them in other memory.
#pragma once

#include <cstring>
#include <deque>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "cpu/array.h"

struct _object;  // PyObject

namespace minigrad::binding {

// The place of one array's pointer in a call, and how many bytes lie behind it.
struct Slot {
  void* place;
  Size bytes;

  char* get() const {
    char* address = nullptr;
    std::memcpy(&address, place, sizeof address);
    return address;
  }
  void set(char* address) const { std::memcpy(place, &address, sizeof address); }
};

class Call {
 public:
  explicit Call(const char* kernel) : kernel(kernel) {}
  virtual ~Call() = default;
  virtual void run() = 0;
  // Elements first..last only, of a call whose arrays all have that many (or one): see `cuts`.
  virtual void run_part(Size first, Size last) = 0;
  // How many elements the arrays of a call have, if all are views in C order of one size (or numbers); else 0.
  virtual Size cuts() const = 0;
  virtual std::vector<Slot> slots() = 0;
  // Replace a number; false with a Python error set if it does not fit.
  virtual bool set(int argument, _object* value) = 0;

  const char* const kernel;
};

// Where kernels leave their calls; null while they are to run. Guarded by the interpreter's lock.
struct Recorder {
  std::unique_ptr<Call> call;
  static inline Recorder* current = nullptr;
};

namespace detail {

template <class T>
void find_slots(Array<T>& array, std::vector<Slot>& out) {
  if (array.data && array.size) out.push_back({&array.data, array.size * Size(sizeof(T))});
}
template <class A>
void find_slots(List<A>& list, std::vector<Slot>& out) {
  for (A& array : list.items) find_slots(array, out);
}
template <class A>
std::enable_if_t<std::is_arithmetic_v<A>> find_slots(A&, std::vector<Slot>&) {}

// Dimensions belong to the Python array that was read: the call keeps its own.
using Dimensions = std::deque<std::vector<Size>>;
inline const Size* keep(const Size* from, int ndim, Dimensions& kept) {
  kept.emplace_back(from, from + (from ? ndim : 0));
  return kept.back().data();
}
template <class T>
void keep_dimensions(Array<T>& array, Dimensions& kept) {
  array.shape = keep(array.shape, array.ndim, kept);
}
template <class T>
void keep_dimensions(View<T>& view, Dimensions& kept) {
  view.shape = keep(view.shape, view.ndim, kept);
  view.strides = keep(view.strides, view.ndim, kept);
}
template <class A>
void keep_dimensions(List<A>& list, Dimensions& kept) {
  for (A& array : list.items) keep_dimensions(array, kept);
}
template <class A>
std::enable_if_t<std::is_arithmetic_v<A>> keep_dimensions(A&, Dimensions&) {}

// The number of elements to cut by: false if this argument cannot be cut.
template <class T>
bool can_cut(const View<T>& view, Size& size) {
  if (view.size <= 1) return true;  // one number, or one element for all
  if (!view.contiguous || (size && size != view.size)) return false;
  return size = view.size, true;
}
template <class T>
bool can_cut(const Array<T>&, Size&) {
  return false;
}
template <class A>
bool can_cut(const List<A>&, Size&) {
  return false;
}
inline bool can_cut(float, Size&) { return true; }
inline bool can_cut(double, Size&) { return true; }
inline bool can_cut(int64_t, Size&) { return false; }
inline bool can_cut(bool, Size&) { return true; }

constexpr Size kSteps[] = {0, 1, 2, 3, 4, 5, 6, 7, 8};  // by the size of an element

template <class T>
void cut(View<T>& view, Size first, const Size* length) {
  if (view.size <= 1) return;
  view.data += first, view.ndim = 1, view.shape = length, view.size = *length, view.strides = kSteps + sizeof(T);
}
template <class T>
void cut(Array<T>&, Size, const Size*) {}
template <class A>
void cut(List<A>&, Size, const Size*) {}
template <class A>
std::enable_if_t<std::is_arithmetic_v<A>> cut(A&, Size, const Size*) {}

}  // namespace detail

// Cast<A>::read of binding.h, by way of a function of its own: this header knows no Python.
template <class A>
bool read_argument(_object* object, A& out, const char* kernel, int argument);

template <class... A>
class Bound final : public Call {
 public:
  Bound(const char* name, void (*kernel)(A...), const std::tuple<A...>& values)
      : Call(name), kernel_(kernel), values_(values) {
    std::apply([&](auto&... value) { (detail::keep_dimensions(value, dimensions_), ...); }, values_);
  }

  void run() override { std::apply(kernel_, values_); }

  void run_part(Size first, Size last) override {
    const Size length = last - first;
    std::tuple<A...> part = values_;
    std::apply([&](auto&... value) { (detail::cut(value, first, &length), ...); }, part);
    std::apply(kernel_, part);
  }

  Size cuts() const override {
    Size size = 0;
    const auto all = [&](const auto&... value) { return (detail::can_cut(value, size) && ...); };
    return std::apply(all, values_) ? size : 0;
  }

  std::vector<Slot> slots() override {
    std::vector<Slot> found;
    std::apply([&](auto&... value) { (detail::find_slots(value, found), ...); }, values_);
    return found;
  }

  bool set(int argument, _object* number) override {
    int i = 0;
    bool fits = true;
    const auto replace = [&](auto& value) {
      if constexpr (std::is_arithmetic_v<std::decay_t<decltype(value)>>)
        if (i == argument) fits = read_argument(number, value, kernel, argument + 1);
      ++i;
    };
    std::apply([&](auto&... value) { (replace(value), ...); }, values_);
    return fits;
  }

 private:
  void (*const kernel_)(A...);
  std::tuple<A...> values_;
  detail::Dimensions dimensions_;
};

}  // namespace minigrad::binding
